import { concat, dataSlice, getAddress, getBytes, hexlify, toBeHex, toBigInt } from 'ethers'
import { type Blob, checkBlob } from '../../protocol/da/blob.ts'
import { checkInteger, checkLength, DaFormatError } from '../../protocol/da/format-error.ts'
import type { PaymentPromise } from '../../protocol/da/payment.ts'
import type { WireBlob, WireInclusion, WirePayment } from './wire/types.ts'

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

/** A promise and what its payer signed it with. */
export interface Payment {
  promise: PaymentPromise
  signature: Uint8Array
}

const FEE_BYTES = 16
const NONCE_BYTES = 8
/** An ECDSA signature has 65; contracts may want more. */
const MAX_SIGNATURE = 4096

export function paymentToWire({ promise: { payer, disperser, fee, nonce, deadline }, signature }: Payment): WirePayment {
  return {
    payer: getBytes(payer),
    disperser: getBytes(disperser),
    fee: getBytes(toBeHex(fee, FEE_BYTES)),
    nonce: getBytes(toBeHex(nonce, NONCE_BYTES)),
    deadline,
    signature,
  }
}

/** The payment for a blob. The form alone is checked, not that it is signed or covered. @throws DaFormatError */
export function paymentFromWire(wire: WirePayment, blobId: string): Payment {
  const signature = Uint8Array.from(wire.signature)
  if (signature.length > MAX_SIGNATURE) throw new DaFormatError(`the signature of the payment has ${signature.length} bytes: expected at most ${MAX_SIGNATURE}`)
  const promise = {
    payer: addressOf(wire.payer, 'the payer'),
    disperser: addressOf(wire.disperser, 'the disperser'),
    blobId,
    fee: toBigInt(checkLength(wire.fee, FEE_BYTES, 'the fee')),
    nonce: toBigInt(checkLength(wire.nonce, NONCE_BYTES, 'the nonce')),
    deadline: checkInteger(wire.deadline, 0, Number.MAX_SAFE_INTEGER, 'the deadline'),
  }
  return { promise, signature }
}

const addressOf = (bytes: Uint8Array, what: string): string => getAddress(hexlify(checkLength(bytes, 20, what)))

/** Weights, in 16 bytes. */
export const weightToWire = (weight: bigint): Uint8Array => getBytes(toBeHex(weight, FEE_BYTES))
export const weightFromWire = (bytes: Uint8Array): bigint => toBigInt(bytes)
