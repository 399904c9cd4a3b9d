import { Worker } from 'node:worker_threads'
import { type Call, caller, SCRATCH_BYTES, type Shared } from './kernels.ts'

/** What makes calls. */
export interface Threads {
  /** How many parts can run at a time. */
  readonly count: number
  /** Makes the calls of each part in order, parts side by side. Rejects with the first error, once all parts have come to an end. */
  run(parts: Call[][]): Promise<void>
  close(): Promise<void>
}

/** No threads: calls are made at once, in this one. */
export function thisThread(shared: Shared, scratch: number): Threads {
  const call = caller(shared, scratch)
  return {
    count: 1,
    run: async (parts) => parts.forEach(call),
    close: async () => {},
  }
}

interface Part {
  calls: Call[]
  resolve(): void
  reject(error: unknown): void
}

/** Threads that start when there is work for them. `scratch` is the address of the first one's scratch memory. */
export class WorkerThreads implements Threads {
  readonly count: number
  readonly #shared: Shared
  readonly #idle: number[]
  readonly #scratch: number
  readonly #workers = new Map<number, Worker>()
  readonly #waiting: Part[] = []
  readonly #running = new Map<number, Part>()
  #closed = false

  constructor(shared: Shared, scratch: number, count: number) {
    this.#shared = shared
    this.#scratch = scratch
    this.count = count
    this.#idle = [...Array(count).keys()].reverse()
  }

  async run(parts: Call[][]): Promise<void> {
    const outcomes = await Promise.allSettled(
      parts.map(
        (calls) =>
          new Promise<void>((resolve, reject) => {
            this.#waiting.push({ calls, resolve, reject })
            this.#next()
          }),
      ),
    )
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#next()
    await Promise.all([...this.#workers.values()].map((worker) => worker.terminate()))
  }

  #next(): void {
    if (this.#closed) for (const part of this.#waiting.splice(0)) part.reject(closed())
    while (this.#waiting.length > 0 && this.#idle.length > 0) {
      const thread = this.#idle.pop()!
      const part = this.#waiting.shift()!
      const worker = this.#workers.get(thread) ?? this.#start(thread)
      this.#running.set(thread, part)
      // A thread at work keeps the process alive, an idle one does not.
      worker.ref()
      worker.postMessage(part.calls)
    }
  }

  #start(thread: number): Worker {
    const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: { ...this.#shared, scratch: this.#scratch + thread * SCRATCH_BYTES } })
    worker.on('message', (error: unknown) => {
      worker.unref()
      this.#finish(thread, error)
    })
    // One that dies fails its part; the next part of this thread starts another.
    let reason: unknown
    worker.on('error', (error) => {
      reason = error
    })
    worker.on('exit', (code) => {
      this.#workers.delete(thread)
      this.#finish(thread, this.#closed ? closed() : (reason ?? new Error(`A thread of the row codec stopped with code ${code}.`)))
    })
    this.#workers.set(thread, worker)
    return worker
  }

  #finish(thread: number, error: unknown): void {
    const part = this.#running.get(thread)
    if (!part) return
    this.#running.delete(thread)
    this.#idle.push(thread)
    if (error === null) part.resolve()
    else part.reject(error)
    this.#next()
  }
}

export const closed = (): Error => new Error('The row codec is closed.')
