import type { Kernel } from '../../codec/keccak/index.ts'

/** The nodes of a tree, level by level from `leaves` up to its root. */
function levels(kernel: Kernel, leaves: Uint8Array[]): Uint8Array[][] {
  const all = [leaves]
  for (let level = leaves; level.length > 1; all.push(level))
    level = Array.from({ length: level.length / 2 }, (_, i) => kernel.keccak256(Buffer.concat([level[2 * i]!, level[2 * i + 1]!])))
  return all
}

/**
 * A log that is as long as a test likes and fits in memory: behind the zeros of its first load, every load holds the same data. It comes
 * about by submitting one node of each height from 10 on.
 */
export class UniformLog {
  readonly #kernel: Kernel
  readonly #data: Uint8Array
  /** Nodes of the two kinds of loads from height 4 up. */
  readonly #gap: Uint8Array[][]
  readonly #load: Uint8Array[][]
  /** Log2 of the length in sectors. */
  readonly height: number

  constructor(kernel: Kernel, data: Uint8Array, height: number) {
    this.#kernel = kernel
    this.#data = data
    this.height = height
    const seals = (hashes: Uint8Array) => Array.from({ length: 64 }, (_, i) => kernel.reduce(hashes.slice(512 * i, 512 * (i + 1))))
    const empty = kernel.chunkHashes(new Uint8Array(0), 1024)
    empty.fill(0, 0, 32) // the log starts with a leaf that is the hash of nothing
    this.#gap = levels(kernel, seals(empty))
    this.#load = levels(kernel, seals(kernel.chunkHashes(data, 1024)))
  }

  get length(): number {
    return 2 ** this.height
  }

  /** Root of 2^height sectors of data. */
  node(height: number): Uint8Array {
    let node = this.#load[6]![0]!
    for (let at = 10; at < height; at++) node = this.#kernel.keccak256(Buffer.concat([node, node]))
    return node
  }

  /** Root of the first 2^height sectors of the log. */
  root(height = this.height): Uint8Array {
    let root = this.#gap[6]![0]!
    for (let at = 10; at < height; at++) root = this.#kernel.keccak256(Buffer.concat([root, this.node(at)]))
    return root
  }

  /** The 4096 bytes from sector `position` on. */
  seal(position: number): Uint8Array {
    if (position < 1024) return new Uint8Array(4096)
    const at = (position % 1024) * 256
    return this.#data.slice(at, at + 4096)
  }

  proof(position: number): Uint8Array[] {
    const load = position < 1024 ? this.#gap : this.#load
    const siblings = load.slice(0, 6).map((level, height) => level[(Math.floor((position % 1024) / 16) >> height) ^ 1]!)
    const top = position < 1024 ? 9 : Math.floor(Math.log2(position))
    for (let at = 10; at < this.height; at++) siblings.push(at === top ? this.root(at) : this.node(at))
    return siblings
  }
}
