import { CHUNK_SIZE } from '../../../protocol/storage/constants.ts'
import { fileShape } from '../../../protocol/storage/file-shape.ts'
import { type SegmentProof, verifySegmentProof } from '../../../protocol/storage/merkle.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'
import { RpcError } from '../../runtime/jsonrpc.ts'
import { ALREADY_FINALIZED, ALREADY_PRUNED, tooManyWrites } from './errors.ts'
import { type FileStore, keyId } from './file-store.ts'
import type { Finality } from './finality.ts'
import type { Leases } from './leases.ts'
import { inShard, segmentLength } from './segments.ts'
import type { FileKey, StoredFile } from './stored-file.ts'
import type { Submission, Submissions } from './submissions.ts'

/** A segment that brings its own proof, as clients send it. */
export interface ProvenSegment {
  root: string
  data: Uint8Array
  index: number
  proof: SegmentProof
  fileSize: number
}

export interface UploadsOptions {
  submissions: Submissions
  store: FileStore
  finality: Finality
  leases: Leases
  shard: Shard
  /** Bytes of files accepted before their Submit event, all together. */
  earlyBytes: number
}

/** Larger files are not accepted before their Submit event is seen. */
export const EARLY_FILE_LIMIT = 10 * 1024 * 1024
/** How long a file waits for its Submit event. */
export const EARLY_FILE_MS = 10 * 60_000

/** Takes segments in, in any order and in parallel. What it returns from is stored. */
export class Uploads {
  readonly #options: UploadsOptions
  /** Files that came before their event, and when their first segment did. */
  readonly #early = new Map<string, { key: FileKey; at: number }>()
  readonly #lastWrite = new Map<string, number>()

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  /** Segments of one or more files; with `seq`, of that submission. Repeated segments are fine. */
  async putProven(segments: ProvenSegment[], seq?: number): Promise<void> {
    const { submissions, finality } = this.#options
    const named = seq === undefined || segments.length === 0 ? undefined : await submissions.bySeq(seq)
    const targets: (Submission | undefined)[] = []
    for (const segment of segments) {
      const target = named ?? (await this.#oldest(segment.root))
      this.#admit(segment, target)
      targets.push(target)
    }
    for (const [i, segment] of segments.entries()) await this.#store(segment, targets[i])
    for (const [i, { root, fileSize }] of segments.entries()) if (targets[i]) await finality.settle({ root, size: fileSize })
  }

  /** The padded segment roots of a submission. @throws TreeMismatch */
  async putTree(submission: Submission, roots: Uint8Array): Promise<void> {
    await this.#options.store.obtain(submission, (file) => file.putTree(roots))
  }

  /** A segment of a submission whose tree is here already; false when it is not the one that the tree asks for. */
  async putSegment(submission: Submission, index: number, bytes: Uint8Array): Promise<boolean> {
    const { store, finality } = this.#options
    return store.obtain(submission, async (file) => {
      const root = file.hash(index, bytes)
      if (Buffer.compare(root, file.rootOf(index) ?? root.subarray(0, 0)) !== 0) return false
      await this.#write(file, index, bytes, root)
      if (finality.complete(submission, file)) await finality.settle(submission)
      return true
    })
  }

  /** When a segment of the file last came in from outside, as wall clock in ms. */
  lastWrite(key: FileKey): number | undefined {
    return this.#lastWrite.get(keyId(key))
  }

  /** The Submit event of a file has come: what was stored of it counts. */
  async adopt(submission: Submission): Promise<void> {
    this.#early.delete(keyId(submission))
    await this.#options.finality.settle(submission)
  }

  /** Deletes files whose Submit event never came. */
  async expire(now: number): Promise<void> {
    for (const [id, { key, at }] of this.#early) {
      if (now - at < EARLY_FILE_MS) continue
      this.#early.delete(id)
      if ((await this.#options.submissions.byKey(key)).length === 0) await this.#options.store.remove(key)
    }
    for (const [id, at] of this.#lastWrite) if (now - at >= EARLY_FILE_MS) this.#lastWrite.delete(id)
  }

  /** The submission that a root alone stands for in an upload: the first that still lacks data, else the first. */
  async #oldest(root: string): Promise<Submission | undefined> {
    const all = await this.#options.submissions.byRoot(root)
    return all.find((submission) => submission.stored) ?? all[0]
  }

  /** The checks that need nothing but the segment and what the log says of it, in the order clients rely on. */
  #admit({ root, data, index, fileSize }: ProvenSegment, submission: Submission | undefined): void {
    const { leases, shard } = this.#options
    if (data.length === 0) throw RpcError.failed('data is empty')
    if (data.length % CHUNK_SIZE !== 0) throw RpcError.failed('invalid data length')
    if (submission) {
      if (submission.root !== root) throw RpcError.internal('data root and tx seq not match')
      if (submission.size !== fileSize) throw RpcError.invalidParams('file_size', 'segment file size not matched with tx file size')
      if (leases.ended(submission)) throw RpcError.invalidParams('root', ALREADY_PRUNED)
      if (submission.stored) throw RpcError.invalidParams('root', ALREADY_FINALIZED)
    } else if (fileSize > EARLY_FILE_LIMIT) {
      throw RpcError.invalidParams('file_size', 'caching of large file when tx is unavailable is not supported')
    }
    const shape = fileShape(fileSize)
    if (index >= shape.segments) throw RpcError.invalidParams('index', 'index out of bound')
    if (data.length !== segmentLength(shape, index)) throw RpcError.invalidParams('data', 'invalid data length')
    if (submission && !inShard(shard, submission.startEntry, index)) {
      throw RpcError.invalidParams('index', `segment ${index} is not kept here: this node has shard ${shard.shardId}/${shard.numShard}`)
    }
  }

  async #store({ root, data, index, proof, fileSize }: ProvenSegment, submission: Submission | undefined): Promise<void> {
    const { store } = this.#options
    const key = { root, size: fileSize }
    const leaf = verifySegmentProof({ root, size: fileSize, index, data, proof })
    if (!leaf) throw RpcError.invalidParams('proof', 'validate proof failed')
    if (!submission) this.#reserve(key)
    await store.obtain(key, (file) => this.#write(file, index, data, leaf))
  }

  async #write(file: StoredFile, index: number, bytes: Uint8Array, root: Uint8Array): Promise<void> {
    this.#lastWrite.set(keyId(file.key), Date.now())
    await this.#options.store.claim(bytes.length)
    await file.write(index, bytes, root)
  }

  /** Files before their event share a bounded space, each counted with its full size from its first segment on. */
  #reserve(key: FileKey): void {
    const id = keyId(key)
    if (this.#early.has(id)) return
    let taken = key.size
    for (const early of this.#early.values()) taken += early.key.size
    if (taken > this.#options.earlyBytes) throw RpcError.failed(tooManyWrites(this.#early.size))
    this.#early.set(id, { key, at: Date.now() })
  }
}
