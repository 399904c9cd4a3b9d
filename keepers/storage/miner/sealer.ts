import type { Registry } from 'prom-client'
import { LOAD_SECTORS, LOAD_SIZE } from '../../../protocol/storage/sealing.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'
import { shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge } from '../../runtime/metrics.ts'
import type { SealingContexts } from './contexts.ts'
import type { SealStore } from './seal-store.ts'
import type { SealThreads } from './seal-threads.ts'
import type { StorageNode } from './storage-node.ts'

/** Loads in work at the same time; the log may have millions. */
const LOADS_IN_WORK = 16
/** How long a load that can't be sealed yet is left alone, in ms; doubles from the first to the second. */
const RETRY_MS = [1000, 60_000] as const

export interface SealerOptions {
  minerId: Uint8Array
  shard: Shard
  store: SealStore
  node: StorageNode
  contexts: SealingContexts
  threads: SealThreads
  log: Log
  metrics: Registry
  /** A load can be mined from now on. */
  onSealed(load: number): void
}

/** Seals every load of the shard once and keeps it. */
export class Sealer {
  readonly #options: SealerOptions
  readonly #work = new Map<number, Promise<void>>()
  readonly #waiting = new Map<number, { until: number; delay: number }>()
  readonly #bytes
  readonly #seconds
  readonly #loads
  /** Loads of the shard below this are sealed, in work or waiting. */
  #planned: number
  #flowLength = 0
  #stopping = false

  constructor(options: SealerOptions) {
    const { shard, metrics, store } = options
    this.#options = options
    this.#planned = shard.shardId
    this.#bytes = counter(metrics, { name: 'sealed_bytes_total', help: 'Bytes sealed since the start' })
    this.#seconds = counter(metrics, { name: 'sealing_seconds_total', help: 'Time spent sealing, summed over threads' })
    this.#loads = gauge(metrics, { name: 'sealed_loads', help: 'Loads of 256 KiB that can be mined' })
    this.#loads.set(store.loads.size)
  }

  /** Loads known of that are not sealed yet. */
  get pending(): number {
    return this.#work.size + this.#waiting.size
  }

  /** Bytes per second that a thread has sealed since the start; 0 before the first. */
  async rate(): Promise<number> {
    const [bytes, seconds] = await Promise.all([this.#bytes.get(), this.#seconds.get()])
    return (bytes.values[0]?.value ?? 0) / (seconds.values[0]?.value || 1)
  }

  /** Seals what a log of `flowLength` sectors has more than before, and what could not be had then. */
  plan(flowLength: number): void {
    this.#flowLength = flowLength
    const { shard, store } = this.#options
    while (this.#work.size < LOADS_IN_WORK && (this.#planned + 1) * LOAD_SECTORS <= flowLength) {
      if (!store.loads.has(this.#planned)) this.#start(this.#planned)
      this.#planned += shard.numShard
    }
    const now = Date.now()
    for (const [load, { until }] of this.#waiting) {
      if (this.#work.size >= LOADS_IN_WORK) break
      if (until <= now) this.#start(load)
    }
  }

  /** Seals a load anew whose seals have turned out to be useless; not at once, as what made them so may last. */
  async again(load: number): Promise<void> {
    const { contexts, store } = this.#options
    contexts.reset()
    await store.remove(load)
    this.#loads.set(store.loads.size)
    if (!this.#work.has(load)) this.#wait(load)
  }

  /** Ends when nothing is in work any more; stop the threads, too. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#work.values())
  }

  #start(load: number): void {
    if (this.#work.has(load) || this.#stopping) return
    const work = this.#seal(load)
      .catch((error: unknown) => {
        if (!this.#stopping) this.#options.log.warn({ load, reason: shortMessage(error) }, 'a load could not be sealed yet')
        return false
      })
      .then((done) => {
        this.#work.delete(load)
        if (done) this.#waiting.delete(load)
        else this.#wait(load)
        if (!this.#stopping) this.plan(this.#flowLength)
      })
    this.#work.set(load, work)
  }

  #wait(load: number): void {
    const delay = Math.min((this.#waiting.get(load)?.delay ?? RETRY_MS[0] / 2) * 2, RETRY_MS[1])
    this.#waiting.set(load, { until: Date.now() + delay, delay })
  }

  async #seal(load: number): Promise<boolean> {
    const { contexts, node, store, minerId, threads, onSealed } = this.#options
    const contextDigests = await contexts.of(load)
    const data = contextDigests && (await node.load(load))
    if (!data) return false
    const { sealed, worth, seconds } = await threads.run({ load, minerId, contextDigests, data: new Uint8Array(data) })
    await store.put({ load, minerId, contextDigests, worth, sealed })
    this.#seconds.inc(seconds)
    this.#bytes.inc(LOAD_SIZE)
    this.#loads.set(store.loads.size)
    onSealed(load)
    return true
  }
}
