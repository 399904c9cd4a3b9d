import { getBytes } from 'ethers'
import type { RowCodec } from '../../../codec/rows/index.ts'
import { type Blob, checkPadding, shapeOf } from '../../../protocol/da/blob.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'

export interface RowsToVerify {
  blob: Blob
  rlc: Uint8Array
  indices: Uint32Array
  rows: Uint8Array
  paths: Uint8Array
}

/**
 * That these are the rows of the blob. Who has as many as the blob is recovered from recovers and encodes it anew, which leaves nothing to chance;
 * who has fewer checks each against the row root and the linear combinations, which another signer's rows must fit too.
 * @throws DaFormatError
 */
export async function verifyRows(codec: RowCodec, given: RowsToVerify): Promise<void> {
  if (given.indices.length >= 2 ** given.blob.log2K) return verifyWhole(codec, given)
  const { blob, rlc, indices, rows, paths } = given
  const of = { rowRoot: getBytes(blob.rowRoot), rlcRoot: getBytes(blob.rlcRoot), shape: shapeOf(blob), rlc }
  const valid = await codec.verify(of, indices, rows, paths).catch((error: Error) => {
    throw new DaFormatError(`the rows can't be verified: ${error.message}`, { cause: error })
  })
  const wrong = valid.indexOf(0)
  if (wrong >= 0) throw new DaFormatError(`row ${indices[wrong]} does not match the roots of the blob, or not its linear combinations`)
}

async function verifyWhole(codec: RowCodec, { blob, rlc, indices, rows, paths }: RowsToVerify): Promise<void> {
  const shape = shapeOf(blob)
  const data = checkPadding(blob, await codec.recover(shape, indices, rows))
  const encoded = await codec.encode(data, shape)
  try {
    if (!equal(encoded.rowRoot, getBytes(blob.rowRoot))) throw new DaFormatError('the rows are not those of a codeword with the row root of the blob')
    if (!equal(encoded.rlcRoot, getBytes(blob.rlcRoot)) || !equal(encoded.rlc, rlc))
      throw new DaFormatError('the linear combinations are not those of the rows, or do not match their root')
    if (!equal(encoded.paths(indices), paths)) throw new DaFormatError('the paths of the rows do not lead to the row root')
  } finally {
    encoded.release()
  }
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
