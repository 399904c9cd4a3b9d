import type { TypedDataDomain } from 'ethers'
import { typedDigest } from '../compute/receipt.ts'
import { type StructField, structHasher } from '../compute/struct-hash.ts'
import { isSignedBy } from './certificate.ts'
import type { Shape } from './codes.ts'

/** A fee for one blob, due once the blob is in a certified batch; as in contracts/da/IBlobPayments.sol. */
export interface PaymentPromise {
  payer: string
  /** Whose part of the fee is, whoever redeems the promise. */
  disperser: string
  blobId: string
  /** wei */
  fee: bigint
  /** Any number below 2^64: tells promises apart that are equal otherwise. */
  nonce: bigint
  /** Unix seconds: the last in which it can be redeemed. */
  deadline: number
}

const PROMISE_FIELDS: readonly StructField[] = [
  { name: 'payer', type: 'address' },
  { name: 'disperser', type: 'address' },
  { name: 'blobId', type: 'bytes32' },
  { name: 'fee', type: 'uint128' },
  { name: 'nonce', type: 'uint64' },
  { name: 'deadline', type: 'uint64' },
]
/** The EIP-712 types of a promise, for wallets and libraries that take them. */
export const PROMISE_TYPES: Record<string, StructField[]> = { PaymentPromise: [...PROMISE_FIELDS] }

/** The EIP-712 domain of BlobPayments at `contract`. */
export function paymentDomain(chainId: bigint | number, contract: string): TypedDataDomain {
  return { name: 'Perigee Data Availability', version: '1', chainId, verifyingContract: contract }
}

const promiseHash: (promise: PaymentPromise) => string = structHasher('PaymentPromise', PROMISE_FIELDS)

/** What a payer signs. `separator` is `domainSeparator(paymentDomain(…))`. @throws RangeError for a member that does not fit its type */
export const promiseDigest = (separator: string, promise: PaymentPromise): string => typedDigest(separator, promiseHash(promise))

/** Whether the payer signed it with her own key (r, s, v: 65 bytes). Contracts that pay answer for themselves, on chain (ERC-1271). */
export const isSignedByPayer = (separator: string, promise: PaymentPromise, signature: Uint8Array): boolean =>
  isSignedBy(promise.payer, promiseDigest(separator, promise), signature)

/** Prices in wei; as BlobPayments has them. */
export interface BlobPrice {
  blobPrice: bigint
  pricePerKiB: bigint
}

/** The least fee for a blob: a price for each, and one for each begun KiB of its original rows. */
export const priceOf = ({ blobPrice, pricePerKiB }: BlobPrice, { k, rowSize }: Pick<Shape, 'k' | 'rowSize'>): bigint =>
  blobPrice + pricePerKiB * BigInt(Math.ceil((k * rowSize) / 1024))
