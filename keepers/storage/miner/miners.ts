import { Worker } from 'node:worker_threads'
import type { Registry } from 'prom-client'
import type { Log } from '../../runtime/log.ts'
import { counter } from '../../runtime/metrics.ts'
import type { MiningOrder, MiningReport, MiningTask, MiningWorkerData, Won } from './mining-worker.ts'

/** Loads in the memory of all threads together (128 MiB), and of one at least. */
const CACHED_LOADS = 512
const MIN_CACHED_LOADS = 16
/** How long a thread that failed is not replaced, in ms: what made it fail may last. */
const RESTART_MS = 1000

export interface MinersOptions extends Omit<MiningWorkerData, 'cachedLoads'> {
  threads: number
  /** Loads that can be mined from the start. */
  sealed: Iterable<number>
  log: Log
  metrics: Registry
  onWon(won: Won): void
  onDamaged(load: number): void
}

/** The threads that mine, all at the same task. */
export class Miners {
  readonly #options: MinersOptions
  readonly #workers = new Set<Worker>()
  readonly #sealed: Set<number>
  readonly #nonces
  readonly #tries
  #task: MiningTask | undefined
  #stopping = false

  constructor(options: MinersOptions) {
    const { metrics, sealed, threads } = options
    this.#options = options
    this.#sealed = new Set(sealed)
    this.#nonces = counter(metrics, { name: 'nonces_total', help: 'Nonces tried since the start' })
    this.#tries = counter(metrics, { name: 'tries_total', help: 'Seals hashed since the start' })
    for (let i = 0; i < threads; i++) this.#start()
  }

  /** Nonces tried since the start. */
  async nonces(): Promise<number> {
    return (await this.#nonces.get()).values[0]?.value ?? 0
  }

  /** What to mine from now on; nothing pauses the threads. */
  setTask(task: MiningTask | undefined): void {
    this.#task = task
    this.#tell({ task })
  }

  add(load: number): void {
    this.#sealed.add(load)
    this.#tell({ sealed: [load] })
  }

  /** Leaves a load out until it is added again. */
  remove(load: number): void {
    this.#sealed.delete(load)
    this.#tell({ removed: load })
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all([...this.#workers].map((worker) => worker.terminate()))
  }

  #tell(order: MiningOrder): void {
    for (const worker of this.#workers) worker.postMessage(order)
  }

  #start(): void {
    if (this.#stopping) return
    const { folder, minerId, nonceRate, threads, log } = this.#options
    const cachedLoads = Math.max(MIN_CACHED_LOADS, Math.floor(CACHED_LOADS / threads))
    const workerData: MiningWorkerData = { folder, minerId, nonceRate, cachedLoads }
    const worker = new Worker(new URL('mining-worker.ts', import.meta.url), { workerData })
    this.#workers.add(worker)
    worker.on('message', (report: MiningReport) => this.#hear(report))
    worker.on('error', (error) => log.error({ err: error }, 'a mining thread has failed; another one takes its place'))
    worker.once('exit', () => {
      this.#workers.delete(worker)
      setTimeout(() => this.#start(), RESTART_MS).unref()
    })
    worker.postMessage({ sealed: [...this.#sealed] } satisfies MiningOrder)
    worker.postMessage({ task: this.#task } satisfies MiningOrder)
  }

  #hear(report: MiningReport): void {
    const { log, onDamaged, onWon } = this.#options
    if ('won' in report) onWon(report.won)
    else if ('damaged' in report) {
      // Every thread that meets the file reports it; the first is enough.
      if (!this.#sealed.has(report.damaged)) return
      this.remove(report.damaged)
      log.warn({ load: report.damaged, reason: report.reason }, 'seals are damaged: sealing them again')
      onDamaged(report.damaged)
    } else {
      this.#nonces.inc(report.nonces)
      this.#tries.inc(report.tries)
    }
  }
}
