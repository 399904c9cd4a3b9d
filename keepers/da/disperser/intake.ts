import { createHash, randomBytes } from 'node:crypto'
import { MAX_BLOB_BYTES } from '../../../protocol/da/codes.ts'
import { DiskFull } from '../../runtime/files.ts'
import { Groups } from '../../runtime/groups.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Admission } from './admission.ts'
import type { BlobFiles } from './blob-files.ts'
import type { DisperserMetrics } from './metrics.ts'
import type { Pipeline } from './pipeline.ts'
import type { Requests, Task } from './requests.ts'
import type { StoredPromise } from './schema.ts'

export interface IntakeOptions {
  files: BlobFiles
  requests: Requests
  admission: Admission
  pipeline: Pipeline
  /** Why blobs can't be certified now, or undefined. */
  problem: () => string | undefined
  /** Why we don't pay for a blob, or undefined when we do. */
  sponsorProblem: () => GrpcError | undefined
  metrics: DisperserMetrics
}

/** Takes blobs. What is answered with an id is on disk and in the database. */
export class Intake {
  readonly #options: IntakeOptions
  readonly #written: Groups<Task>

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#written = new Groups((tasks) => this.#acknowledge(tasks))
  }

  /** @param payment of the client; without one we pay, if we do. @throws GrpcError */
  async accept(data: Uint8Array, payment: StoredPromise | undefined, peer: string): Promise<string> {
    try {
      return await this.#accept(data, payment, peer)
    } catch (error) {
      if (error instanceof GrpcError) this.#options.metrics.turnedAway(String(error.code))
      throw error
    }
  }

  async #accept(data: Uint8Array, payment: StoredPromise | undefined, peer: string): Promise<string> {
    const { admission, problem, sponsorProblem, pipeline, metrics } = this.#options
    const { length } = data
    if (length === 0) throw GrpcError.invalidArgument('the blob is empty: expected at least 1 byte')
    if (length > MAX_BLOB_BYTES) throw GrpcError.invalidArgument(`the blob has ${length} bytes: expected at most ${MAX_BLOB_BYTES}`)
    const trouble = problem()
    if (trouble !== undefined) throw GrpcError.unavailable(trouble)
    const unpaid = payment ? undefined : sponsorProblem()
    if (unpaid) throw unpaid
    admission.enter(peer, length)
    let task: Task
    try {
      task = await this.#keep(data, payment)
    } catch (error) {
      admission.leave(length)
      if (error instanceof DiskFull) throw GrpcError.resourceExhausted(error.message)
      throw error
    }
    metrics.accepted(length)
    pipeline.add(task)
    return task.id
  }

  async #keep(data: Uint8Array, payment: StoredPromise | undefined): Promise<Task> {
    const id = `${createHash('sha256').update(data).digest('hex')}-${randomBytes(16).toString('hex')}`
    const task: Task = { id, length: data.length, attempts: 0, payment: payment ?? null, sponsored: payment === undefined }
    await this.#options.files.write(id, data)
    try {
      await this.#written.add(task)
    } catch (error) {
      await this.#options.files.remove(id)
      throw error
    }
    return task
  }

  /** One sync of the folder and one statement for all whose bytes were written meanwhile. */
  async #acknowledge(tasks: readonly Task[]): Promise<void> {
    const { files, requests } = this.#options
    await files.keep(tasks.map(({ id }) => id))
    await requests.accept(tasks)
  }
}
