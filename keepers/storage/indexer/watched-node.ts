import type { Logger } from 'pino'
import type { Dispatcher } from 'undici'
import type { Shard } from '../../../protocol/storage/shard.ts'
import { type NodeStatus, StorageNodeClient } from '../../../sdk/storage/node-client.ts'

/** A node as clients are told of it. `latency` in ms; `since` the unix second it was last found dead or first seen. */
export interface ShardedNode {
  url: string
  config: Shard
  latency: number
  since: number
}

/** The chain, and the Flow on it, that a node stores. */
export type StorageNetwork = NodeStatus['networkIdentity']

export interface WatchOptions {
  log: Logger
  /** What requests go through; by default what every client uses. */
  dispatcher?: Dispatcher
  /** Throws, with the reason, for a network whose nodes are not wanted. */
  admit?: (network: StorageNetwork) => void
}

/** A node that does not answer within this time twice in a row is dead; one that refuses the connection is at once. */
export const ANSWER_MS = 1500
const SILENCES = 2

/** One storage node whose health is checked again and again. */
export class WatchedNode {
  readonly client: StorageNodeClient
  /** Undefined while it does not answer. */
  live: ShardedNode | undefined
  /** Of its last answer, also when it is silent now. */
  network: StorageNetwork | undefined
  /** Checks in a row that it did not pass, and why not the last. */
  silences = 0
  problem: Error | undefined
  readonly #options: WatchOptions
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(url: string, options: WatchOptions) {
    this.client = new StorageNodeClient(url)
    this.#options = options
  }

  get url(): string {
    return this.client.url
  }

  async check(): Promise<void> {
    const { log, dispatcher, admit } = this.#options
    const options = { signal: AbortSignal.timeout(ANSWER_MS), retries: 0, ...(dispatcher && { dispatcher }) }
    const asked = performance.now()
    try {
      this.network = (await this.client.status(options)).networkIdentity
      const latency = Math.max(1, Math.round(performance.now() - asked))
      admit?.(this.network)
      const config = await this.client.shardConfig(options)
      if (!this.live) log.info({ node: this.url, ...config }, 'a storage node is up')
      this.live = { url: this.url, config, latency, since: this.live?.since ?? Math.floor(Date.now() / 1000) }
      this.silences = 0
      this.problem = undefined
    } catch (error) {
      this.silences++
      this.problem = error as Error
      const slow = options.signal.aborted && this.silences < SILENCES
      if (!this.live || slow) return
      this.live = undefined
      log.warn({ node: this.url, reason: this.problem.message }, 'a storage node does not answer: no client is sent to it')
    }
  }

  /** Checks it every `pollMs` from now on, until stopped. */
  watch(pollMs: number, checked: () => void = () => {}): void {
    if (this.#stopped) return
    this.#timer = setTimeout(async () => {
      await this.check()
      checked()
      this.watch(pollMs, checked)
    }, pollMs)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }
}
