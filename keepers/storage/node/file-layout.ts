// SPDX-License-Identifier: Apache-2.0
import { CHUNK_SIZE, SEGMENT_CHUNKS, SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import { paddedChunks } from '../../../protocol/storage/merkle.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'

/** How a file of `size` bytes is cut into chunks of 256 bytes and segments of 1024 chunks. */
export interface FileLayout {
  size: number
  chunks: number
  /** Chunks of the tree: the data rounded up, so that at most 1/16 of it is padding. */
  paddedChunks: number
  /** Segments that carry data; only these are uploaded and stored. */
  segments: number
  /** Leaves of the segment tree: data segments, then segments of pure padding. */
  paddedSegments: number
}

export function layoutOf(size: number): FileLayout {
  const chunks = Math.ceil(size / CHUNK_SIZE)
  const padded = paddedChunks(chunks)
  return {
    size,
    chunks,
    paddedChunks: padded,
    segments: Math.ceil(chunks / SEGMENT_CHUNKS),
    paddedSegments: Math.ceil(padded / SEGMENT_CHUNKS),
  }
}

/** Bytes of a data segment as stored and sent: whole chunks, the last segment without the padding behind them. */
export function segmentLength({ chunks }: FileLayout, index: number): number {
  return Math.min(SEGMENT_SIZE, (chunks - index * SEGMENT_CHUNKS) * CHUNK_SIZE)
}

/** Chunks under a leaf of the segment tree, padding included. */
export function segmentChunks({ paddedChunks: padded }: FileLayout, index: number): number {
  return Math.min(SEGMENT_CHUNKS, padded - index * SEGMENT_CHUNKS)
}

/** Whether segment `index` of a file that starts at sector `startEntry` of the log belongs to the shard. */
export function inShard({ shardId, numShard }: Shard, startEntry: number, index: number): boolean {
  return (Math.floor(startEntry / SEGMENT_CHUNKS) + index) % numShard === shardId
}
