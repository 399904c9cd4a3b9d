import { concat, dataSlice, getBytes, hexlify } from 'ethers'
import { type Blob, checkBlob } from '../../protocol/da/blob.ts'
import { checkInteger, DaFormatError } from '../../protocol/da/format-error.ts'
import type { WireBlob, WireInclusion } from './wire/types.ts'

/** Where a blob is in a batch. */
export interface Inclusion {
  epoch: number
  batchRoot: string
  index: number
  /** Siblings from the leaf up. */
  proof: string[]
}

/** More than any batch has levels. */
const MAX_DEPTH = 32

export const blobToWire = ({ rowRoot, rlcRoot, ...numbers }: Blob): WireBlob => ({ ...numbers, rowRoot: getBytes(rowRoot), rlcRoot: getBytes(rlcRoot) })

/** @throws DaFormatError for a blob that is absent, or whose fields no blob has */
export function blobFromWire(wire: WireBlob | null): Blob {
  if (!wire) throw new DaFormatError('the message names no blob')
  const { scheme, log2K, log2T, rowSize, length, rowRoot, rlcRoot } = wire
  return checkBlob({ scheme, log2K, log2T, rowSize, length, rowRoot: hexlify(rowRoot), rlcRoot: hexlify(rlcRoot) })
}

export const inclusionToWire = ({ epoch, batchRoot, index, proof }: Inclusion): WireInclusion => ({
  epoch,
  batchRoot: getBytes(batchRoot),
  index,
  proof: getBytes(concat(proof)),
})

/** The form alone is checked: that the batch is certified, and has the blob, is for the chain to say. @throws DaFormatError */
export function inclusionFromWire({ epoch, batchRoot, index, proof }: WireInclusion): Inclusion {
  if (batchRoot.length !== 32) throw new DaFormatError(`the root of a batch has ${batchRoot.length} bytes: expected 32`)
  if (proof.length % 32 !== 0 || proof.length / 32 > MAX_DEPTH) throw new DaFormatError(`a proof of inclusion has ${proof.length} bytes`)
  return {
    epoch: checkInteger(epoch, 1, Number.MAX_SAFE_INTEGER, 'the epoch'),
    batchRoot: hexlify(batchRoot),
    index: checkInteger(index, 0, 2 ** MAX_DEPTH - 1, 'the index in the batch'),
    proof: Array.from({ length: proof.length / 32 }, (_, i) => dataSlice(proof, 32 * i, 32 * i + 32)),
  }
}
