import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { threadKernel } from '../../../codec/keccak/index.ts'
import { HASH_SIZE, SEGMENT_HEIGHT, SEGMENT_SIZE, zeroHash } from '../../../protocol/storage/constants.ts'
import { chunksInSegment, type FileShape, fileShape } from '../../../protocol/storage/file-shape.ts'
import { PositionalFile } from '../../runtime/files.ts'
import { segmentLength } from './segments.ts'

/** What identifies a file's bytes: its root and, as a root does not commit to it, its size in bytes. */
export interface FileKey {
  root: string
  size: number
}

/** The bytes on disk are not those the tree commits to. */
export class SegmentCorrupt extends Error {
  override readonly name = 'SegmentCorrupt'
}

/** The roots given for a file's segments do not make up its root. */
export class TreeMismatch extends Error {
  override readonly name = 'TreeMismatch'
}

/**
 * One file on disk: the data, and beside it a sidecar of 32 bytes per leaf of the segment tree (zero = not known) followed by one
 * byte per data segment (1 = stored). A mark is written after the data it vouches for, so a process killed at any instant has
 * lost nothing that it acknowledged; `sync` makes that hold for a power cut too.
 */
export class StoredFile {
  readonly key: FileKey
  readonly shape: FileShape
  readonly #data: PositionalFile
  readonly #sidecar: PositionalFile
  readonly #roots: Uint8Array
  readonly #marks: Uint8Array
  #stored = 0
  /** First and last segment whose root or mark awaits its write to the sidecar. */
  #dirty: [number, number] | undefined
  #flushing: Promise<void> | undefined
  #queued: Promise<void> | undefined

  private constructor(key: FileKey, data: PositionalFile, sidecar: PositionalFile, content: Uint8Array) {
    this.key = key
    this.shape = fileShape(key.size)
    this.#data = data
    this.#sidecar = sidecar
    const { segments, paddedSegments } = this.shape
    this.#roots = content.subarray(0, HASH_SIZE * paddedSegments)
    this.#marks = content.subarray(HASH_SIZE * paddedSegments, HASH_SIZE * paddedSegments + segments)
    for (let i = segments; i < paddedSegments; i++) this.#roots.set(zeroHash(SEGMENT_HEIGHT), HASH_SIZE * i)
    for (const mark of this.#marks) this.#stored += mark
  }

  /** Opens the file at `path`, made when it is not there. @throws DiskFull */
  static async open(path: string, key: FileKey): Promise<StoredFile> {
    await mkdir(dirname(path), { recursive: true })
    const data = await PositionalFile.open(path)
    const sidecar = await PositionalFile.open(`${path}.tree`)
    const { segments, paddedSegments } = fileShape(key.size)
    const content = new Uint8Array(HASH_SIZE * paddedSegments + segments)
    const existing = await sidecar.read(0, content.length)
    content.set(existing)
    // Taking the sidecar's whole space now leaves no room for a segment that is stored and then cannot be marked.
    if (existing.length < content.length) await sidecar.write(existing.length, content.subarray(existing.length))
    const file = new StoredFile(key, data, sidecar, content)
    if (file.#rootsKnown() && !file.#rootsMatch(file.#roots)) await file.#recover()
    return file
  }

  /** Number of segments stored. */
  get stored(): number {
    return this.#stored
  }

  has(index: number): boolean {
    return this.#marks[index] === 1
  }

  /** One bit per data segment, least significant first. */
  bitmap(): Uint8Array {
    const bits = new Uint8Array(Math.ceil(this.shape.segments / 8))
    for (let i = 0; i < this.shape.segments; i++) if (this.has(i)) bits[i >> 3]! |= 1 << (i & 7)
    return bits
  }

  /** The root of a leaf of the segment tree, as far as known. */
  rootOf(index: number): Uint8Array | undefined {
    const root = this.#roots.subarray(HASH_SIZE * index, HASH_SIZE * (index + 1))
    return root.some((byte) => byte !== 0) ? root : undefined
  }

  /** All leaves of the segment tree, 32 bytes each; undefined until every one is known. */
  tree(): Uint8Array | undefined {
    return this.#rootsKnown() ? this.#roots : undefined
  }

  /** Takes all leaves of the segment tree at once, so that segments need no proofs. @throws TreeMismatch */
  async putTree(roots: Uint8Array): Promise<void> {
    if (this.#rootsKnown()) return
    const padding = HASH_SIZE * this.shape.segments
    const padded = roots.length === this.#roots.length && Buffer.compare(roots.subarray(padding), this.#roots.subarray(padding)) === 0
    if (!padded || !this.#rootsMatch(roots)) {
      throw new TreeMismatch(`the ${roots.length} bytes are not the ${this.shape.paddedSegments} padded segment roots under ${this.key.root}`)
    }
    this.#roots.set(roots)
    await this.#flush(0, this.shape.segments - 1)
  }

  /** The root that `bytes` has as segment `index`. */
  hash(index: number, bytes: Uint8Array): Uint8Array {
    return threadKernel().segmentRoot(bytes, chunksInSegment(this.shape, index))
  }

  /** Stores a segment that the caller has verified to have `root` under the file's root. @throws DiskFull */
  async write(index: number, bytes: Uint8Array, root: Uint8Array): Promise<void> {
    if (this.has(index)) return this.#settled(index)
    await this.#data.write(index * SEGMENT_SIZE, bytes)
    this.#roots.set(root, HASH_SIZE * index)
    if (this.#marks[index] === 0) this.#stored++
    this.#marks[index] = 1
    await this.#flush(index, index)
  }

  /** A stored segment, verified against the tree, in `buffer` (of a segment's size). @throws SegmentCorrupt */
  async read(index: number, buffer: Uint8Array = new Uint8Array(SEGMENT_SIZE)): Promise<Uint8Array> {
    const length = segmentLength(this.shape, index)
    const bytes = await this.#data.readInto(buffer.subarray(0, length), index * SEGMENT_SIZE)
    const expected = this.rootOf(index)
    if (bytes.length !== length || !expected || Buffer.compare(this.hash(index, bytes), expected) !== 0) {
      throw new SegmentCorrupt(`segment ${index} of ${this.key.root} on disk is not what was stored`)
    }
    return bytes
  }

  /** Forgets a segment whose bytes are lost; its root stays known. */
  async drop(index: number): Promise<void> {
    if (!this.has(index)) return
    this.#marks[index] = 0
    this.#stored--
    await this.#flush(index, index)
  }

  /** Everything written so far survives a power cut. */
  async sync(): Promise<void> {
    await this.#data.sync()
    await this.#sidecar.sync()
  }

  async close(): Promise<void> {
    await this.#flushing?.catch(() => {})
    await this.#data.close()
    await this.#sidecar.close()
  }

  #rootsKnown(): boolean {
    for (let i = 0; i < this.shape.segments; i++) if (!this.rootOf(i)) return false
    return true
  }

  #rootsMatch(roots: Uint8Array): boolean {
    return `0x${Buffer.from(threadKernel().reduce(roots)).toString('hex')}` === this.key.root
  }

  /** The sidecar is damaged: makes it anew from the data, or forgets what it claimed where the data do not fit either. */
  async #recover(): Promise<void> {
    for (let i = 0; i < this.shape.segments; i++) {
      this.#roots.set(this.hash(i, await this.#data.read(i * SEGMENT_SIZE, segmentLength(this.shape, i))), HASH_SIZE * i)
    }
    const intact = this.#rootsMatch(this.#roots)
    if (!intact) this.#roots.fill(0, 0, HASH_SIZE * this.shape.segments)
    this.#marks.fill(intact ? 1 : 0)
    this.#stored = intact ? this.shape.segments : 0
    await this.#flush(0, this.shape.segments - 1)
  }

  /** Waits until the mark of a stored segment is on its way to disk no more. */
  async #settled(index: number): Promise<void> {
    if (this.#dirty && this.#dirty[0] <= index && index <= this.#dirty[1]) await this.#flush(index, index)
    else await this.#flushing
  }

  /** Writes roots and marks of segments [from, to]; calls that arrive during a write share the next one. */
  #flush(from: number, to: number): Promise<void> {
    this.#soil(from, to)
    this.#queued ??= (this.#flushing ?? Promise.resolve())
      .catch(() => {})
      .then(() => {
        this.#queued = undefined
        this.#flushing = this.#writeSidecar()
        return this.#flushing
      })
    return this.#queued
  }

  #soil(from: number, to: number): void {
    const [start, end] = this.#dirty ?? [from, to]
    this.#dirty = [Math.min(start, from), Math.max(end, to)]
  }

  async #writeSidecar(): Promise<void> {
    const [from, to] = this.#dirty!
    this.#dirty = undefined
    try {
      await this.#sidecar.write(HASH_SIZE * from, this.#roots.slice(HASH_SIZE * from, HASH_SIZE * (to + 1)))
      await this.#sidecar.write(this.#roots.length + from, this.#marks.slice(from, to + 1))
    } catch (error) {
      this.#soil(from, to)
      throw error
    }
  }
}
