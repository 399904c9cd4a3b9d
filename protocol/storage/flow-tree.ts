import { getBytes } from 'ethers'
import { threadKernel } from '../../codec/keccak/index.ts'
import { HASH_SIZE, MAX_HEIGHT, SEGMENT_CHUNKS, SEGMENT_HEIGHT, zeroHash } from './constants.ts'
import { powerOfTwoAtLeast } from './file-shape.ts'
import { FlowLevel } from './flow-levels.ts'
import { hashPair, type SubmissionNode } from './merkle.ts'
import { type Placement, placeNodes } from './submission.ts'

/** Hashes of what lies in the log, from whoever holds the data. A load is 1024 sectors from a multiple of 1024. */
export interface LoadHashes {
  /** Roots of `count` loads from number `first`, 32 bytes each. Asked only for loads that one submission fills. */
  loadRoots(first: number, count: number): Uint8Array | Promise<Uint8Array>
  /** Hashes of the 1024 sectors of a load, Z[0] where nothing was submitted; 32,768 bytes. */
  sectorHashes(load: number): Uint8Array | Promise<Uint8Array>
}

/**
 * The Merkle tree over the log of all submissions (storage §1.7): leaf 0 is the zero value, gaps are zero sectors, and zero
 * sectors fill it up on the right. Positions and lengths are in sectors.
 *
 * Of the log it keeps the roots that were submitted and the complete subtrees above them, nothing below and nothing for gaps: a few
 * times 40 bytes for a submission. A subtree (height, index) covers sectors [index · 2^height, (index + 1) · 2^height).
 */
export class FlowTree {
  readonly #levels = Array.from({ length: MAX_HEIGHT }, () => new FlowLevel())
  /** Length before the first submission and after each. */
  readonly #lengths = [1]

  constructor() {
    this.#levels[0]!.add(0, new Uint8Array(HASH_SIZE))
  }

  get submissions(): number {
    return this.#lengths.length - 1
  }

  get length(): number {
    return this.#lengths.at(-1)!
  }

  /** Length of the log after its first `submissions` submissions. */
  lengthAfter(submissions: number): number {
    const length = this.#lengths[submissions]
    if (length === undefined) throw new RangeError(`The log has ${this.submissions} submissions, not ${submissions}.`)
    return length
  }

  /** Number of submissions in the log when it was `length` sectors long. */
  submissionsAt(length: number): number {
    let [low, high] = [0, this.submissions]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#lengths[middle]! < length) low = middle + 1
      else high = middle
    }
    if (this.#lengths[low] !== length) throw new RangeError(`No submission ended at sector ${length}; the log has ${this.length}.`)
    return low
  }

  /** Appends the nodes of a submission where the contract places them. */
  append(nodes: readonly SubmissionNode[]): Placement {
    const placement = placeNodes(this.length, nodes)
    let end = this.length
    for (const [i, { root, height }] of nodes.entries()) {
      const start = placement.starts[i]!
      this.#skip(end, start)
      this.#complete(height, start / 2 ** height, getBytes(root))
      end = start + 2 ** height
    }
    this.#lengths.push(placement.length)
    return placement
  }

  /** Takes submissions back, the latest first, until `submissions` are left. */
  truncate(submissions: number): void {
    const length = this.lengthAfter(submissions)
    this.#lengths.length = submissions + 1
    for (const [height, level] of this.#levels.entries()) level.truncate(Math.floor(length / 2 ** height))
  }

  /** Root of the log as it was after its first `submissions` submissions. */
  root(submissions = this.submissions): Uint8Array {
    const length = this.lengthAfter(submissions)
    return this.#subtree(heightOver(length), 0, length).slice()
  }

  /**
   * Siblings of the subtree of height `height` (0: a sector, 4: a seal) that contains `sector`, from there up to the root of the log
   * after its first `submissions` submissions.
   * @throws RangeError when the log did not reach the sector.
   */
  async proof(sector: number, hashes: LoadHashes, { height = 0, submissions = this.submissions } = {}): Promise<Uint8Array[]> {
    const length = this.lengthAfter(submissions)
    if (!Number.isInteger(sector) || sector < 0 || sector >= length) throw new RangeError(`Sector ${sector} is not in a log of ${length} sectors.`)
    const known = this.#lowestKnown(sector)
    const siblings: Uint8Array[] = []
    for (let at = height; at < heightOver(length); at++) {
      const index = Math.floor(sector / 2 ** at)
      const sibling = index % 2 === 0 ? index + 1 : index - 1
      siblings.push(at < known ? await withinSubmission(at, sibling, hashes) : this.#subtree(at, sibling, length).slice())
    }
    return siblings
  }

  /** Height of the submitted node that contains the sector; 0 in a gap, where all is known. */
  #lowestKnown(sector: number): number {
    for (let height = 0; height < MAX_HEIGHT; height++) {
      const index = Math.floor(sector / 2 ** height)
      if (!this.#levels[height]!.get(index)) continue
      const below = height === 0 ? undefined : this.#levels[height - 1]!
      const isSum = below?.get(2 * index) ?? below?.get(2 * index + 1)
      return isSum ? 0 : height
    }
    return 0
  }

  /** Root of a subtree of the log of `length` sectors that does not lie within a submitted node. */
  #subtree(height: number, index: number, length: number): Uint8Array {
    const size = 2 ** height
    if (index * size >= length) return zeroHash(height)
    if ((index + 1) * size <= length) return this.#levels[height]!.get(index) ?? zeroHash(height)
    return hashPair(this.#subtree(height - 1, 2 * index, length), this.#subtree(height - 1, 2 * index + 1, length))
  }

  /** Passes over a gap: the zero subtrees in it complete others. */
  #skip(from: number, to: number): void {
    for (let start = from; start < to; ) {
      const height = largestFrom(start, to)
      this.#complete(height, start / 2 ** height, undefined)
      start += 2 ** height
    }
  }

  /** Records a subtree that is complete now, and those above it that it completes. `undefined` stands for zeros, which are not recorded. */
  #complete(height: number, index: number, root: Uint8Array | undefined): void {
    for (let running = root; ; height++) {
      if (running) this.#levels[height]!.add(index, running)
      if (index % 2 === 0) return
      const left = this.#levels[height]!.get(index - 1)
      running = left || running ? hashPair(left ?? zeroHash(height), running ?? zeroHash(height)) : undefined
      index = (index - 1) / 2
    }
  }
}

/** Height of the largest subtree that starts at `start` > 0 and ends by `end`. */
function largestFrom(start: number, end: number): number {
  let height = 0
  while (start % 2 ** (height + 1) === 0 && start + 2 ** (height + 1) <= end) height++
  return height
}

/** Height of the whole tree over `length` sectors. */
function heightOver(length: number): number {
  return Math.log2(powerOfTwoAtLeast(length))
}

async function withinSubmission(height: number, index: number, hashes: LoadHashes): Promise<Uint8Array> {
  if (height >= SEGMENT_HEIGHT) {
    const count = 2 ** (height - SEGMENT_HEIGHT)
    return threadKernel().reduce(await hashes.loadRoots(index * count, count))
  }
  const [first, count] = [(index * 2 ** height) % SEGMENT_CHUNKS, 2 ** height]
  const sectors = await hashes.sectorHashes(Math.floor((index * 2 ** height) / SEGMENT_CHUNKS))
  return threadKernel().reduce(sectors.subarray(first * HASH_SIZE, (first + count) * HASH_SIZE))
}

/** The root that a proof leads to from the subtree `index` of some height. */
export function rootOfProof(subtree: Uint8Array, index: number, siblings: readonly Uint8Array[]): Uint8Array {
  return siblings.reduce((running, sibling, i) => (Math.floor(index / 2 ** i) % 2 === 0 ? hashPair(running, sibling) : hashPair(sibling, running)), subtree)
}
