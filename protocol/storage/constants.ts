import { threadKernel } from '../../codec/keccak/index.ts'

/** Bytes of a chunk: the leaf of every tree, and the sector the log counts in. */
export const CHUNK_SIZE = 256
/** Chunks of a segment: what is uploaded, stored and downloaded at once. */
export const SEGMENT_CHUNKS = 1024
/** Bytes of a segment. */
export const SEGMENT_SIZE = CHUNK_SIZE * SEGMENT_CHUNKS
/** Height of the subtree of a whole segment. */
export const SEGMENT_HEIGHT = 10
/** Bytes of a Keccak-256 hash. */
export const HASH_SIZE = 32
/** Nodes of a submission are lower than this. */
export const MAX_HEIGHT = 64

let zeroHashes: readonly Uint8Array[] | undefined

/** Root of 2^height chunks of zeros, height < 64: Z[height] of storage §1.1. Do not write to it. */
export function zeroHash(height: number): Uint8Array {
  zeroHashes ??= computeZeroHashes()
  const hash = zeroHashes[height]
  if (!hash) throw new RangeError(`Expected a height from 0 to ${MAX_HEIGHT - 1}, got ${height}.`)
  return hash
}

function computeZeroHashes(): Uint8Array[] {
  const kernel = threadKernel()
  const hashes = [kernel.keccak256(new Uint8Array(CHUNK_SIZE))]
  while (hashes.length < MAX_HEIGHT) {
    const below = hashes.at(-1)!
    const pair = new Uint8Array(2 * HASH_SIZE)
    pair.set(below)
    pair.set(below, HASH_SIZE)
    hashes.push(kernel.keccak256(pair))
  }
  return hashes
}
