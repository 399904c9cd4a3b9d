import { CHUNK_SIZE, SEGMENT_CHUNKS, SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import type { FileShape } from '../../../protocol/storage/file-shape.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'

/** Bytes of a data segment as stored and sent: whole chunks, the last segment without the padding behind them. */
export function segmentLength({ chunks }: FileShape, index: number): number {
  return Math.min(SEGMENT_SIZE, (chunks - index * SEGMENT_CHUNKS) * CHUNK_SIZE)
}

/** Whether segment `index` of a file that starts at sector `startEntry` of the log belongs to the shard. */
export function inShard({ shardId, numShard }: Shard, startEntry: number, index: number): boolean {
  return (Math.floor(startEntry / SEGMENT_CHUNKS) + index) % numShard === shardId
}
