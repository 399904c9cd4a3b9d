import { hexlify } from 'ethers'
import PQueue from 'p-queue'
import type { EncodedRows, RowCodec } from '../../../codec/rows/index.ts'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { type Blob, blobIdOf, blobOf } from '../../../protocol/da/blob.ts'
import { isEnoughWeight } from '../../../protocol/da/certificate.ts'
import { shapeFor } from '../../../protocol/da/codes.ts'
import type { DaEpoch, EpochReader } from '../../../sdk/da/epochs.ts'
import { blobToWire, type Payment, paymentToWire } from '../../../sdk/da/messages.ts'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { Admission } from './admission.ts'
import { weightOf } from './batching.ts'
import type { BlobFiles } from './blob-files.ts'
import { type Dispersal, NotEnough, shortfall, Unacceptable } from './dispersal.ts'
import { type Gathered, gather } from './gather.ts'
import type { DisperserMetrics } from './metrics.ts'
import { type Payments, storedPromise } from './payments.ts'
import type { Requests, Task } from './requests.ts'
import type { SignerLinks } from './signer-links.ts'

export type Stage = 'ENCODING' | 'DISPERSING' | 'CERTIFYING'

export interface PipelineOptions {
  requests: Requests
  files: BlobFiles
  codec: RowCodec
  epochs: Pick<EpochReader, 'current'>
  links: SignerLinks
  payments: Payments
  admission: Admission
  /** Takes a blob that enough signers have stored. */
  stored: (dispersal: Dispersal) => void
  config: {
    codecThreads: number
    /** Bytes of encoded blobs in memory. */
    maxEncodedBytes: number
    storeMs: number
    graceMs: number
    attempts: number
    retryMs: number
  }
  metrics: DisperserMetrics
  signal: AbortSignal
  log: Log
}

/** What encoding makes of a blob, in times its size: four times the rows, and trees over them. Small blobs fill up the least rows of their code. */
const ENCODED_FACTOR = 4.5
const LEAST_ENCODED = 262_144
const MOST_RETRY_MS = 30_000

/**
 * The way of a blob from the disk to its signers. The bytes wait on disk; as many as fit into a bound are encoded at a time, each sent to all signers of the
 * epoch at once. What fails is tried again some times, from the start: the epoch may be another by then.
 */
export class Pipeline {
  readonly #options: PipelineOptions
  readonly #waiting: Task[] = []
  readonly #stages = new Map<string, Stage>()
  readonly #retries = new Set<NodeJS.Timeout>()
  /** Blobs on the way, so that the same bytes are sent once. */
  readonly #underway = new Map<string, Task[]>()
  /** A few at a time, so that blobs are ready one after the other. */
  readonly #encodings: PQueue
  #encoded = 0

  constructor(options: PipelineOptions) {
    this.#options = options
    this.#encodings = new PQueue({ concurrency: options.config.codecThreads + 1 })
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get encodedBytes(): number {
    return this.#encoded
  }

  /** Where an open request is, as far as this process knows. */
  stageOf(id: string): Stage {
    return this.#stages.get(id) ?? 'ENCODING'
  }

  add(task: Task): void {
    this.#stages.set(task.id, 'ENCODING')
    this.#waiting.push(task)
    this.#pump()
  }

  /** It goes into a batch with the requests that it has: equal bytes that come from now on go a way of their own. */
  sealed({ blobId, tasks }: Dispersal): readonly Task[] {
    this.#underway.delete(blobId)
    return tasks
  }

  /** They are in a batch that is on record. */
  batched({ tasks }: Dispersal): void {
    for (const { id, length } of tasks) {
      this.#stages.delete(id)
      this.#options.admission.leave(length)
    }
  }

  /** Takes back what was batched and will not be certified. */
  reopen(tasks: readonly Task[]): void {
    for (const task of tasks) {
      this.#options.admission.resume(task.length)
      this.#retry(task)
    }
  }

  /** Its signatures did not come together: everybody who waits for it is told, or it is tried again. */
  async failed({ blobId, tasks }: Pick<Dispersal, 'blobId' | 'tasks'>, error: unknown): Promise<void> {
    if (this.#underway.get(blobId) === tasks) this.#underway.delete(blobId)
    for (const task of tasks) await this.#failed(task, error)
  }

  close(): void {
    for (const timer of this.#retries) clearTimeout(timer)
  }

  #pump(): void {
    const { maxEncodedBytes } = this.#options.config
    for (let next = this.#waiting[0]; next && !this.#options.signal.aborted; next = this.#waiting[0]) {
      const task = next
      const bytes = Math.max(LEAST_ENCODED, ENCODED_FACTOR * task.length)
      if (this.#encoded > 0 && this.#encoded + bytes > maxEncodedBytes) return
      this.#waiting.shift()
      this.#encoded += bytes
      void this.#disperse(task)
        .catch((error) => this.#failed(task, error))
        .finally(() => {
          this.#encoded -= bytes
          this.#pump()
        })
    }
  }

  async #disperse(task: Task): Promise<void> {
    const epoch = await this.#options.epochs.current()
    const encoded = await this.#encodings.add(() => this.#encode(task, epoch))
    try {
      const { rowRoot, rlcRoot } = encoded
      const blob = blobOf(shapeFor(task.length, epoch.codes), task.length, hexlify(rowRoot), hexlify(rlcRoot))
      await this.#send(task, epoch, blob, encoded)
    } finally {
      encoded.release()
    }
  }

  async #encode(task: Task, { codes }: DaEpoch): Promise<EncodedRows> {
    const { files, codec, metrics } = this.#options
    const data = await files.read(task.id)
    if (!data) throw new Unacceptable('its bytes are gone from the disk of the disperser')
    const encodedIn = metrics.stage('encode')
    const encoded = await codec.encode(data, shapeFor(data.length, codes))
    encodedIn()
    return encoded
  }

  async #send(task: Task, epoch: DaEpoch, blob: Blob, encoded: EncodedRows): Promise<void> {
    const { requests, payments, metrics, stored } = this.#options
    const blobId = blobIdOf(blob)
    const payment = await payments.forBlob(task, blobId, blob)
    task.payment = storedPromise(payment)
    await requests.encoded(task.id, blobId, blob, task.payment)
    this.#stages.set(task.id, 'DISPERSING')
    const others = this.#underway.get(blobId)
    if (others) {
      others.push(task)
      return
    }
    const tasks = [task]
    this.#underway.set(blobId, tasks)
    try {
      const storedIn = metrics.stage('store')
      const { answers } = await this.#store(epoch, blobId, blob, encoded, payment)
      storedIn()
      for (const { id } of tasks) this.#stages.set(id, 'CERTIFYING')
      stored({ epoch: epoch.epoch, inEpoch: epoch, blobId, tasks, readyAt: Date.now(), answers })
    } catch (error) {
      await this.failed({ blobId, tasks }, error)
    }
  }

  /** Sends every member its rows. @throws NotEnough */
  async #store(epoch: DaEpoch, blobId: string, blob: Blob, encoded: EncodedRows, payment: Payment): Promise<Gathered<void>> {
    const { links, config, signal } = this.#options
    const assignment = createAssignment(epoch, blobId, blob.log2K)
    const wire = blobToWire(blob)
    const { rlc } = encoded
    const linked = epoch.members.map((member) => ({ ...member, link: links.of(member) }))
    const result = await gather({
      members: linked,
      totalWeight: epoch.totalWeight,
      ask({ index, link }, signal) {
        const indices = assignment.rowsOf(index)
        const bytes = indices.length * (blob.rowSize + 32 * blob.log2T) + rlc.length
        const message = () => ({
          epoch: epoch.epoch,
          blob: wire,
          rlc,
          rows: encoded.rows(indices),
          paths: encoded.paths(indices),
          payment: paymentToWire(payment),
        })
        return link.store({ bytes, message, signal })
      },
      isLagging: ({ link }) => link.lagging,
      graceMs: config.graceMs,
      timeoutMs: config.storeMs,
      signal,
    })
    this.#options.metrics.failures('store', result)
    const weight = weightOf(result.answers.keys(), epoch)
    if (!isEnoughWeight(weight, epoch.totalWeight)) throw shortfall('stored', epoch.totalWeight, result)
    return result
  }

  async #failed(task: Task, error: unknown): Promise<void> {
    const { requests, admission, config, signal, metrics, log } = this.#options
    if (signal.aborted) return // it is open still, and taken up at the next start
    const reason = reasonOf(error)
    const waits = error instanceof PerigeeError && (error.code === 'NETWORK' || error.code === 'NOT_FOUND')
    const hopeless = error instanceof Unacceptable || (!waits && task.attempts + 1 >= config.attempts)
    const end = error instanceof Unacceptable || (error instanceof NotEnough && error.refused) ? 'refused' : 'unsigned'
    const facts = { request: task.id, reason, attempt: task.attempts + 1 }
    if (error instanceof Unacceptable) log.info(facts, 'a blob was refused')
    else if (hopeless) log.error(facts, 'a blob was given up')
    else log.warn(facts, 'a blob was not certified: trying again')
    try {
      if (!waits) await requests.failed(task.id, reason, hopeless ? end : 'open')
    } catch (problem) {
      log.error({ err: problem, request: task.id }, 'a failure could not be written down')
    }
    if (!waits) task.attempts++
    if (!hopeless) return this.#retry(task)
    metrics.ended(end)
    this.#stages.delete(task.id)
    admission.leave(task.length)
  }

  #retry(task: Task): void {
    if (this.#options.signal.aborted) return
    this.#stages.set(task.id, 'ENCODING')
    const wait = Math.min(this.#options.config.retryMs * 2 ** Math.max(0, task.attempts - 1), MOST_RETRY_MS)
    const timer = setTimeout(() => {
      this.#retries.delete(timer)
      this.add(task)
    }, wait)
    this.#retries.add(timer)
  }
}
