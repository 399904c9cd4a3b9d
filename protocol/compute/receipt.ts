import { concat, id, keccak256, type TypedDataDomain, TypedDataEncoder } from 'ethers'
import { type StructField, structHasher } from './struct-hash.ts'

/** What a provider's trusted execution environment says of one answer; as in contracts/compute/Receipts.sol. Hashes are hex of 32 bytes. */
export interface Receipt {
  /** keccak256 of the answer's id (ZG-Res-Key) in UTF-8: `idHash`. */
  id: string
  provider: string
  user: string
  /** Counts the answers of this provider to this user, from 1, without gaps. */
  sequence: number
  /** Unix seconds of the newest block when the request was let in: by its price and limits the answer is judged. */
  createdAt: number
  /** The API key that asked; 255 for a session. */
  tokenId: number
  priceVersion: number
  /** What is charged for, below 2^40 each; `unitsRule` says how they follow from what the backend reported. */
  inputUnits: bigint
  outputUnits: bigint
  /** wei */
  fee: bigint
  /** wei; fees of this provider to this user since the first answer, this one included. */
  cumulativeFee: bigint
  /** wei; of these, what `tokenId` spent since its limit was last set or its keys were revoked. */
  keySpend: bigint
  /** SHA-256 of the request's body and of the response's body. */
  requestHash: string
  responseHash: string
  /** keccak256 of the model's name in UTF-8: `modelHash`. */
  modelHash: string
  /** What served it: weights, tokenizer, template, engine, dtype. */
  specHash: string
  /** Of the sampler, below 2^64; 0 if it was not set. */
  seed: bigint
  /** keccak256 of the name of the rule: `unitsRuleHash`. */
  unitsRule: string
}

/** The session of a user, in place of the id of an API key. */
export const SESSION_TOKEN_ID = 255
/** Units of an item are 40 bits wide. */
export const MAX_UNITS = 2n ** 40n - 1n

const RECEIPT_FIELDS: readonly StructField[] = [
  { name: 'id', type: 'bytes32' },
  { name: 'provider', type: 'address' },
  { name: 'user', type: 'address' },
  { name: 'sequence', type: 'uint64' },
  { name: 'createdAt', type: 'uint64' },
  { name: 'tokenId', type: 'uint8' },
  { name: 'priceVersion', type: 'uint16' },
  { name: 'inputUnits', type: 'uint64' },
  { name: 'outputUnits', type: 'uint64' },
  { name: 'fee', type: 'uint128' },
  { name: 'cumulativeFee', type: 'uint128' },
  { name: 'keySpend', type: 'uint128' },
  { name: 'requestHash', type: 'bytes32' },
  { name: 'responseHash', type: 'bytes32' },
  { name: 'modelHash', type: 'bytes32' },
  { name: 'specHash', type: 'bytes32' },
  { name: 'seed', type: 'uint64' },
  { name: 'unitsRule', type: 'bytes32' },
]
/** The EIP-712 types of a receipt, for wallets and libraries that take them. */
export const RECEIPT_TYPES: Record<string, StructField[]> = { Receipt: [...RECEIPT_FIELDS] }

export const idHash = (answerId: string): string => id(answerId)
export const modelHash = (model: string): string => id(model)

/** The EIP-712 domain of InferenceServing at `contract` (the proxy). */
export function inferenceDomain(chainId: bigint | number, contract: string): TypedDataDomain {
  return { name: 'Perigee Inference', version: '1', chainId, verifyingContract: contract }
}

/** The EIP-712 struct hash: a leaf of a batch's tree. @throws RangeError for a member that does not fit its type */
export const receiptHash: (receipt: Receipt) => string = structHasher('Receipt', RECEIPT_FIELDS)

/** The EIP-712 digest: bound to chain and contract. `separator` is `domainSeparator(domain)`, worth keeping where many are made. */
export function receiptDigest(separator: string, receipt: Receipt): string {
  return typedDigest(separator, receiptHash(receipt))
}

export const domainSeparator = (domain: TypedDataDomain): string => TypedDataEncoder.hashDomain(domain)

export const typedDigest = (separator: string, structHash: string): string => keccak256(concat(['0x1901', separator, structHash]))

/** The fee of units at a price in wei a unit. */
export function feeOf(units: Pick<Receipt, 'inputUnits' | 'outputUnits'>, price: { inputPrice: bigint; outputPrice: bigint }): bigint {
  return units.inputUnits * price.inputPrice + units.outputUnits * price.outputPrice
}
