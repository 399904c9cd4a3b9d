// The row code of data availability: any k of t = 4k rows give the data back; every row can be checked alone against two 32-byte roots.
import { createCodec, type RowCodec } from './codec.ts'

export type { RowCodec } from './codec.ts'
export type { EncodedRows, RowCommitment } from './encoded.ts'
export type { RowShape } from './shape.ts'
export type { Commitment } from './verify.ts'

/** A codec with its own memory (at most 320 MiB, as much as jobs came to need) and threads, which start when there is work. */
export function createRowCodec({ threads }: { threads: number }): RowCodec {
  return createCodec({ threads })
}
