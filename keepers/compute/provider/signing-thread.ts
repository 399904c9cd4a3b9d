import { Worker } from 'node:worker_threads'
import type { ReceiptRow } from './signing.ts'
import type { SigningTask } from './signing-worker.ts'

interface Asked {
  resolve: (signatures: string[]) => void
  reject: (error: Error) => void
}

/** Signs answers in a thread of its own, in the order in which they are given. */
export class SigningThread {
  readonly address: string
  readonly #task: SigningTask
  readonly #asked: Asked[] = []
  #worker: Worker | undefined

  constructor(address: string, task: SigningTask) {
    this.address = address
    this.#task = task
  }

  /** @throws when the thread ends before; the next call starts another one */
  sign(rows: readonly ReceiptRow[]): Promise<string[]> {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>()
    this.#worker ??= this.#start()
    this.#asked.push({ resolve, reject })
    this.#worker.postMessage(rows)
    return promise
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(new URL('./signing-worker.ts', import.meta.url), { workerData: this.#task })
    const fail = (error: Error) => {
      this.#worker = undefined
      for (const { reject } of this.#asked.splice(0)) reject(error)
    }
    worker.on('message', (signatures: string[]) => this.#asked.shift()!.resolve(signatures))
    worker.on('error', fail)
    worker.on('exit', () => fail(new Error('the signing thread has ended')))
    return worker
  }
}
