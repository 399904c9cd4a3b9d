import { SimpleMerkleTree } from '@openzeppelin/merkle-tree'
import { type BaseWallet, id, type Signer, ZeroHash } from 'ethers'
import { type BatchItem, itemsHash, packItem } from '../../../protocol/compute/batch.ts'
import { type Receipt, receiptHash } from '../../../protocol/compute/receipt.ts'
import type { InferenceServing } from '../../../typechain-types/index.ts'
import { INPUT_PRICE, OUTPUT_PRICE } from './deploy.ts'

export interface Signed {
  provider: string
  nonce: number
  requestsHash: string
  items: string[]
  signature: string
}

/** A batch of these items, signed by `tee`. */
export async function sign(
  serving: InferenceServing,
  tee: BaseWallet,
  { provider, nonce, items, requestsHash = ZeroHash }: { provider: Signer; nonce: number; items: BatchItem[]; requestsHash?: string },
): Promise<Signed> {
  const packed = items.map(packItem)
  const address = await provider.getAddress()
  const digest = await serving.batchDigest(address, nonce, requestsHash, itemsHash(packed))
  return { provider: address, nonce, requestsHash, items: packed, signature: tee.signingKey.sign(digest).serialized }
}

export const settle = (serving: InferenceServing, { provider, nonce, requestsHash, items, signature }: Signed) =>
  serving.settleBatch(provider, nonce, requestsHash, items, signature)

/** An item that charges `user`. */
export async function item(user: Signer, inputUnits: bigint, outputUnits = 0n, priceVersion = 1): Promise<BatchItem> {
  return { user: await user.getAddress(), inputUnits, outputUnits, priceVersion }
}

/** A correct receipt of the first price, changed as wanted. */
export function receiptOf(provider: string, user: string, createdAt: number, changes: Partial<Receipt> = {}): Receipt {
  const { inputUnits = 10n, outputUnits = 20n, sequence = 1 } = changes
  const fee = inputUnits * INPUT_PRICE + outputUnits * OUTPUT_PRICE
  return {
    id: id(`answer ${sequence}`),
    provider,
    user,
    sequence,
    createdAt,
    tokenId: 0,
    priceVersion: 1,
    inputUnits,
    outputUnits,
    fee,
    cumulativeFee: fee,
    keySpend: fee,
    requestHash: id('request'),
    responseHash: id('response'),
    modelHash: id('model'),
    specHash: id('spec'),
    seed: 0n,
    unitsRule: id('tokens/1'),
    ...changes,
  }
}

/** The tree of a batch: its root, and the proof of each receipt. */
export function treeOf(receipts: Receipt[]) {
  const tree = SimpleMerkleTree.of(receipts.map(receiptHash))
  return { root: tree.root, path: (receipt: Receipt) => tree.getProof(receiptHash(receipt)) }
}
