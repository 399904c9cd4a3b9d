import { hexlify } from 'ethers'
import fc from 'fast-check'
import { type Blob, blobOf } from '../../../protocol/da/blob.ts'
import { CODES, MAX_BLOB_BYTES, rowSizeOf } from '../../../protocol/da/codes.ts'

export const hash: fc.Arbitrary<string> = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => hexlify(bytes))

/** Blobs of every code and any length that fits it. */
export const blobs: fc.Arbitrary<Blob> = fc
  .constantFrom(...CODES)
  .chain((code) =>
    fc
      .record({ length: fc.integer({ min: 1, max: Math.min(MAX_BLOB_BYTES, code.k * code.maxRowSize) }), rowRoot: hash, rlcRoot: hash })
      .map(({ length, rowRoot, rlcRoot }) => blobOf({ ...code, rowSize: rowSizeOf(length, code) }, length, rowRoot, rlcRoot)),
  )
