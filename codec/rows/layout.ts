import type { Call } from './kernels.ts'
import { COMBINATION_BYTES, GROUP_BYTES, HASH_BYTES } from './shape.ts'

/** Kernels hash so many messages at once, and may write behind the last. */
export const LANES = 4

/** Where in the memory of a job its areas are, one behind the other. */
export class Layout {
  bytes = GROUP_BYTES // a message is read with the byte before it
  add(bytes: number): number {
    const offset = this.bytes
    this.bytes += Math.ceil(bytes / GROUP_BYTES) * GROUP_BYTES
    return offset
  }
  /** Room for `count` hashes, and for what the other lanes write. */
  hashes(count: number): number {
    return this.add((count + LANES) * HASH_BYTES)
  }
  /** A tree over 2^n leaves. */
  tree(leaves: number): number {
    return this.hashes(2 * leaves)
  }
  /** The coefficients of a combination: one for each symbol of two bytes. */
  coefficients(rowSize: number): number {
    return this.add(coefficientBytes(rowSize))
  }
}

export const coefficientBytes = (rowSize: number): number => (rowSize / 2) * COMBINATION_BYTES

/** Address of the root of a tree over `leaves`. */
export const rootAt = (tree: number, leaves: number): number => tree + (2 * leaves - 2) * HASH_BYTES

/** The tree over k combinations. */
export const combinationTree = (rlc: number, k: number, tree: number): Call[] => [
  ['leaves', rlc, COMBINATION_BYTES, k, tree],
  ['tree', tree, k],
]
