import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import PQueue from 'p-queue'
import type { SealJob, SealJobDone } from './seal-worker.ts'

/** Threads that seal; a job waits for a free one. */
export class SealThreads {
  readonly #all = new Set<Worker>()
  readonly #idle: Worker[] = []
  readonly #queue: PQueue
  readonly #stop = new AbortController()

  constructor(threads: number) {
    this.#queue = new PQueue({ concurrency: threads })
  }

  /** Seals; the job's data belong to the thread from now on. */
  run(job: SealJob): Promise<SealJobDone> {
    return this.#queue.add(async () => {
      this.#stop.signal.throwIfAborted()
      const worker = this.#idle.pop() ?? this.#start()
      worker.postMessage(job, [job.data.buffer])
      // A thread that fails rejects this and is not used again.
      const [done] = (await once(worker, 'message', { signal: this.#stop.signal })) as [SealJobDone]
      this.#idle.push(worker)
      return done
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all([...this.#all].map((worker) => worker.terminate()))
    await this.#queue.onIdle()
  }

  #start(): Worker {
    const worker = new Worker(new URL('seal-worker.ts', import.meta.url))
    this.#all.add(worker)
    worker.once('exit', () => this.#all.delete(worker))
    return worker
  }
}
