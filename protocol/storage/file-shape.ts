import { CHUNK_SIZE, SEGMENT_CHUNKS } from './constants.ts'

/** How a file of `size` bytes is cut up. Data counts are of bytes the file has, padded counts of the tree over them. */
export interface FileShape {
  size: number
  chunks: number
  paddedChunks: number
  segments: number
  paddedSegments: number
}

/** @throws RangeError for a size that no file in storage has. */
export function fileShape(size: number): FileShape {
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`A stored file has at least one byte, got a size of ${size}.`)
  const chunks = Math.ceil(size / CHUNK_SIZE)
  const padded = paddedChunks(chunks)
  return { size, chunks, paddedChunks: padded, segments: Math.ceil(chunks / SEGMENT_CHUNKS), paddedSegments: Math.ceil(padded / SEGMENT_CHUNKS) }
}

/**
 * Chunks of the tree over `chunks` ≥ 1 chunks: rounded up to sixteenths of the next power of two, so that four subtrees at most
 * make up a file and little is wasted. Storage §1.2.
 */
export function paddedChunks(chunks: number): number {
  const power = powerOfTwoAtLeast(chunks)
  const unit = power < 16 ? 1 : power / 16
  return Math.ceil(chunks / unit) * unit
}

/** Chunks under leaf `index` of the segment tree: 1024, or fewer in the last. */
export function chunksInSegment(shape: FileShape, index: number): number {
  return Math.min(SEGMENT_CHUNKS, shape.paddedChunks - index * SEGMENT_CHUNKS)
}

export function powerOfTwoAtLeast(count: number): number {
  let power = 1
  while (power < count) power *= 2
  return power
}

/** The heights of the perfect subtrees, in order, that make up `count` leaves: its binary digits from the top. */
export function heightsOf(count: number): number[] {
  const heights: number[] = []
  let power = powerOfTwoAtLeast(count)
  for (let height = Math.log2(power), rest = count; rest > 0; height--, power /= 2) {
    if (rest < power) continue
    heights.push(height)
    rest -= power
  }
  return heights
}
