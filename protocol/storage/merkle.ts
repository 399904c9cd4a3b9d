import { getBytes, hexlify } from 'ethers'
import { threadKernel } from '../../codec/keccak/index.ts'
import { CHUNK_SIZE, HASH_SIZE, SEGMENT_CHUNKS, SEGMENT_HEIGHT, SEGMENT_SIZE, zeroHash } from './constants.ts'
import { chunksInSegment, type FileShape, fileShape, heightsOf, powerOfTwoAtLeast } from './file-shape.ts'

/** A perfect subtree of a file: 2^height chunks under `root` (hex). */
export interface SubmissionNode {
  root: string
  height: number
}

/**
 * Proof of a segment, as it travels (hex). `lemma` is the segment's root, the siblings from the bottom to the top, the file's root;
 * `path[i]` is true where the running node is the left one. Storage §1.6.
 */
export interface SegmentProof {
  lemma: string[]
  path: boolean[]
}

/** keccak256(left ‖ right). */
export function hashPair(left: Uint8Array, right: Uint8Array): Uint8Array {
  const pair = new Uint8Array(2 * HASH_SIZE)
  pair.set(left)
  pair.set(right, HASH_SIZE)
  return threadKernel().reduce(pair)
}

/** Root (hex) of the file that the nodes of a submission make up: each node is the left side of all that follow. Storage §1.4. */
export function rootOfNodes(nodes: readonly SubmissionNode[]): string {
  if (nodes.length === 0) throw new RangeError('A submission has at least one node.')
  return hexlify(nodes.map(({ root }) => getBytes(root)).reduceRight((right, left) => hashPair(left, right)))
}

/** Root of `count` whole segments of zeros, in the shape of a tree over that many leaves. */
function zeroSegmentsRoot(count: number): Uint8Array {
  return heightsOf(count)
    .map((height) => zeroHash(SEGMENT_HEIGHT + height))
    .reduceRight((right, left) => hashPair(left, right))
}

/** The tree of a file, of which only the segment roots are kept: 32 bytes for 256 KiB. */
export class FileTree {
  readonly size: number
  /** Hex. */
  readonly root: string
  /** Roots of all padded segments, 32 bytes each. */
  readonly segmentRoots: Uint8Array
  readonly #shape: FileShape
  readonly #lastChunkHashes: Uint8Array | undefined
  /** Level k holds the roots over 2^k segments each, the last perhaps over fewer. Built when first asked for. */
  #levels: Uint8Array[] | undefined

  private constructor(shape: FileShape, segmentRoots: Uint8Array, lastChunkHashes: Uint8Array | undefined) {
    this.size = shape.size
    this.segmentRoots = segmentRoots
    this.root = hexlify(threadKernel().reduce(segmentRoots))
    this.#shape = shape
    this.#lastChunkHashes = lastChunkHashes
  }

  /**
   * The tree of a file of `size` bytes over the roots of its padded segments. `lastChunkHashes` (32 bytes for each padded chunk of
   * the last segment) is needed only to submit a file whose last segment is not whole.
   * @throws RangeError when the number of roots is wrong or the padding behind the file is not zeros.
   */
  static fromSegmentRoots(size: number, roots: Uint8Array, lastChunkHashes?: Uint8Array): FileTree {
    const shape = fileShape(size)
    if (roots.length !== shape.paddedSegments * HASH_SIZE) {
      throw new RangeError(`A file of ${size} bytes has ${shape.paddedSegments} padded segments, got ${roots.length} bytes of roots.`)
    }
    for (let index = shape.segments; index < shape.paddedSegments; index++) {
      if (!equal(hashAt(roots, index), zeroHash(SEGMENT_HEIGHT))) throw new RangeError(`Segment ${index} lies behind the file's end and must be zeros.`)
    }
    return new FileTree(shape, roots, lastChunkHashes)
  }

  /** The tree of a file in memory. */
  static fromBytes(bytes: Uint8Array): FileTree {
    const kernel = threadKernel()
    const shape = fileShape(bytes.length)
    const roots = new Uint8Array(shape.paddedSegments * HASH_SIZE)
    for (let index = 0; index < shape.paddedSegments; index++) {
      roots.set(kernel.segmentRoot(bytes.subarray(index * SEGMENT_SIZE, (index + 1) * SEGMENT_SIZE), chunksInSegment(shape, index)), index * HASH_SIZE)
    }
    const last = shape.paddedSegments - 1
    return new FileTree(shape, roots, kernel.chunkHashes(bytes.subarray(last * SEGMENT_SIZE), chunksInSegment(shape, last)))
  }

  /** The proof of padded segment `index`. */
  proof(index: number): SegmentProof {
    if (!(index >= 0 && index < this.#shape.paddedSegments))
      throw new RangeError(`The file has ${this.#shape.paddedSegments} padded segments, there is none at ${index}.`)
    const lemma = [hexlify(hashAt(this.segmentRoots, index))]
    const path: boolean[] = []
    for (const level of this.#allLevels()) {
      const sibling = index % 2 === 0 ? index + 1 : index - 1
      if (sibling < level.length / HASH_SIZE) {
        lemma.push(hexlify(hashAt(level, sibling)))
        path.push(index % 2 === 0)
      }
      index = Math.floor(index / 2)
    }
    if (path.length > 0) lemma.push(this.root)
    return { lemma, path }
  }

  /** The perfect subtrees the file is submitted as, highest first. @throws Error without the chunk hashes that this takes. */
  nodes(): SubmissionNode[] {
    let chunk = 0
    return heightsOf(this.#shape.paddedChunks).map((height) => {
      const root = hexlify(height < SEGMENT_HEIGHT ? this.#withinLastSegment(chunk, 2 ** height) : this.#overSegments(chunk, height))
      chunk += 2 ** height
      return { root, height }
    })
  }

  #overSegments(chunk: number, height: number): Uint8Array {
    return hashAt(this.#allLevels()[height - SEGMENT_HEIGHT]!, chunk / 2 ** height)
  }

  #withinLastSegment(chunk: number, count: number): Uint8Array {
    const last = this.#shape.paddedSegments - 1
    if (count === chunksInSegment(this.#shape, last)) return hashAt(this.segmentRoots, last)
    if (!this.#lastChunkHashes) throw new Error('The nodes of this file need the chunk hashes of its last segment.')
    const first = (chunk - last * SEGMENT_CHUNKS) * HASH_SIZE
    return threadKernel().reduce(this.#lastChunkHashes.subarray(first, first + count * HASH_SIZE))
  }

  /** Every level, from the segment roots to the root. */
  #allLevels(): Uint8Array[] {
    if (this.#levels) return this.#levels
    const levels = [this.segmentRoots]
    for (let below = this.segmentRoots; below.length > HASH_SIZE; below = levels.at(-1)!) levels.push(levelAbove(below))
    this.#levels = levels
    return levels
  }
}

function levelAbove(below: Uint8Array): Uint8Array {
  const level = new Uint8Array(Math.ceil(below.length / (2 * HASH_SIZE)) * HASH_SIZE)
  for (let i = 0; i < level.length; i += HASH_SIZE) level.set(threadKernel().reduce(below.subarray(2 * i, 2 * i + 2 * HASH_SIZE)), i)
  return level
}

/** A segment that claims to be part of a file. */
export interface ProvenSegment {
  /** Of the file, hex. */
  root: string
  /** Of the file, in bytes. */
  size: number
  /** Among the segments of the file. */
  index: number
  /** The segment's bytes; in the last one the rest of the last chunk may be left out. */
  data: Uint8Array
  proof: SegmentProof
}

/**
 * Checks a data segment against its file's root, and that all its proof says of the padding behind the file is zeros: otherwise a
 * root could hide something else there. Storage §1.6.
 * @returns the segment's root, or undefined when the proof, the data, the size or the position is wrong.
 */
export function verifySegmentProof({ root, size, index, data, proof: { lemma, path } }: ProvenSegment): Uint8Array | undefined {
  if (!Number.isSafeInteger(size) || size < 1) return undefined
  const shape = fileShape(size)
  if (!Number.isInteger(index) || index < 0 || index >= shape.segments) return undefined
  if (Math.ceil(data.length / CHUNK_SIZE) !== Math.min(SEGMENT_CHUNKS, shape.chunks - index * SEGMENT_CHUNKS)) return undefined
  if (lemma.length !== (path.length === 0 ? 1 : path.length + 2)) return undefined
  const hashes = lemma.map(hashFromHex)
  if (!hashes.every((hash) => hash !== undefined)) return undefined

  const leaf = threadKernel().segmentRoot(data, chunksInSegment(shape, index))
  const siblings = hashes.slice(1, -1)
  if (!equal(leaf, hashes[0]!) || !leadsTo(shape, index, path, siblings)) return undefined
  const top = siblings.reduce((running, sibling, i) => (path[i] ? hashPair(running, sibling) : hashPair(sibling, running)), leaf)
  return equal(top, hashes.at(-1)!) && hexlify(top) === root.toLowerCase() ? leaf : undefined
}

/** Walks down from the root: the path must end at leaf `index`, and siblings wholly behind the data must be zeros. */
function leadsTo(shape: FileShape, index: number, path: boolean[], siblings: Uint8Array[]): boolean {
  let [first, leaves] = [0, shape.paddedSegments]
  for (let i = path.length - 1; i >= 0; i--) {
    if (leaves === 1) return false
    const left = powerOfTwoAtLeast(leaves) / 2
    if (!path[i]) first += left
    else if (first + left >= shape.segments && !equal(siblings[i]!, zeroSegmentsRoot(leaves - left))) return false
    leaves = path[i] ? left : leaves - left
  }
  return leaves === 1 && first === index
}

function hashFromHex(hex: string): Uint8Array | undefined {
  return /^0x[0-9a-f]{64}$/i.test(hex) ? getBytes(hex) : undefined
}

function hashAt(hashes: Uint8Array, index: number): Uint8Array {
  return hashes.subarray(index * HASH_SIZE, (index + 1) * HASH_SIZE)
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
