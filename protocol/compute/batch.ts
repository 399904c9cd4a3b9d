import { SimpleMerkleTree } from '@openzeppelin/merkle-tree'
import { concat, getAddress, keccak256 } from 'ethers'
import { MAX_UNITS, type Receipt, receiptHash, typedDigest } from './receipt.ts'
import { type StructField, structHasher } from './struct-hash.ts'

/** What a trusted execution environment signs once for many answers; as in contracts/compute/Receipts.sol. */
export interface SettlementBatch {
  provider: string
  /** Rises from batch to batch of a provider; below 2^48, which is what an account remembers of it. */
  nonce: number
  /** Root of the tree whose leaves are the struct hashes of the receipts. */
  requestsHash: string
  itemsHash: string
}

/** What one user is charged for at one price version. */
export interface BatchItem {
  user: string
  /** Below 2^40 each. */
  inputUnits: bigint
  outputUnits: bigint
  priceVersion: number
}

const BATCH_FIELDS: readonly StructField[] = [
  { name: 'provider', type: 'address' },
  { name: 'nonce', type: 'uint64' },
  { name: 'requestsHash', type: 'bytes32' },
  { name: 'itemsHash', type: 'bytes32' },
]
/** The EIP-712 types of a batch, for wallets and libraries that take them. */
export const BATCH_TYPES: Record<string, StructField[]> = { SettlementBatch: [...BATCH_FIELDS] }

/** user (160 bits) ‖ input units (40) ‖ output units (40) ‖ price version (16). @throws RangeError for what does not fit */
export function packItem({ user, inputUnits, outputUnits, priceVersion }: BatchItem): string {
  for (const units of [inputUnits, outputUnits]) if (units < 0n || units > MAX_UNITS) throw new RangeError(`${units} units do not fit 40 bits`)
  if (!Number.isInteger(priceVersion) || priceVersion < 0 || priceVersion > 0xffff) throw new RangeError(`price version ${priceVersion} does not fit 16 bits`)
  const hex = (value: bigint | number, digits: number) => value.toString(16).padStart(digits, '0')
  return `${getAddress(user).toLowerCase()}${hex(inputUnits, 10)}${hex(outputUnits, 10)}${hex(priceVersion, 4)}`
}

export function unpackItem(item: string): BatchItem {
  const fields = /^0x([0-9a-f]{40})([0-9a-f]{10})([0-9a-f]{10})([0-9a-f]{4})$/i.exec(item)
  if (!fields) throw new RangeError(`${item} is not an item of a batch: expected 32 bytes in hex`)
  const [, user, inputUnits, outputUnits, priceVersion] = fields as unknown as [string, string, string, string, string]
  return {
    user: getAddress(`0x${user}`),
    inputUnits: BigInt(`0x${inputUnits}`),
    outputUnits: BigInt(`0x${outputUnits}`),
    priceVersion: Number(`0x${priceVersion}`),
  }
}

/** keccak256 of packed items, one after the other. */
export const itemsHash = (items: readonly string[]): string => keccak256(concat(items))

const batchHash: (batch: SettlementBatch) => string = structHasher('SettlementBatch', BATCH_FIELDS)

/** What the TEE key signs. `separator` is `domainSeparator(inferenceDomain(…))`. */
export const batchDigest = (separator: string, batch: SettlementBatch): string => typedDigest(separator, batchHash(batch))

/**
 * The items that receipts add up to, packed: one for each user and price version, in order of first appearance; another where the
 * sum of units would not fit an item.
 */
export function itemsOf(receipts: readonly Pick<Receipt, 'user' | 'priceVersion' | 'inputUnits' | 'outputUnits'>[]): string[] {
  const closed: BatchItem[] = []
  const open = new Map<string, BatchItem>()
  for (const { user, priceVersion, inputUnits, outputUnits } of receipts) {
    const key = `${user.toLowerCase()} ${priceVersion}`
    const item = open.get(key)
    const fits = item && item.inputUnits + inputUnits <= MAX_UNITS && item.outputUnits + outputUnits <= MAX_UNITS
    if (fits) {
      item.inputUnits += inputUnits
      item.outputUnits += outputUnits
    } else {
      const fresh = { user, priceVersion, inputUnits, outputUnits }
      open.set(key, fresh)
      closed.push(fresh)
    }
  }
  return closed.map(packItem)
}

/** The tree over a batch's receipts. */
export interface ReceiptTree {
  readonly root: string
  /** Siblings of receipt `index`, from the leaf up. */
  proof(index: number): string[]
}

/** OpenZeppelin's SimpleMerkleTree (sorted pairs) over the receipts' struct hashes. */
export function receiptTree(receipts: readonly Receipt[]): ReceiptTree {
  return treeOf(receipts.map(receiptHash))
}

/** As `receiptTree`, of struct hashes that were kept. */
export function treeOf(leaves: readonly string[]): ReceiptTree {
  const tree = SimpleMerkleTree.of([...leaves])
  return { root: tree.root, proof: (index) => tree.getProof(index) }
}

/** Whether `leaf` is below `root`. */
export const verifyReceiptProof = (root: string, leaf: string, proof: readonly string[]): boolean => SimpleMerkleTree.verify(root, leaf, [...proof])
