import { concat, keccak256 } from 'ethers'
import { checkHash, checkInteger, DaFormatError } from './format-error.ts'

/** The tree whose root a certificate is of: leaves are blobs in their order. All hashes hex of 32 bytes. */
export interface BatchTree {
  root: string
  /** The siblings from leaf `index` up. */
  proof(index: number): string[]
}

/**
 * The id that stands for no blob. Its leaf is zero, as those are that fill the tree up behind the last blob. In front of the first blob such leaves make
 * another batch of the same blobs: a batch is certified once.
 */
export const NO_BLOB = `0x${'00'.repeat(32)}`
const leafOf = (blobId: string): string => (blobId === NO_BLOB ? NO_BLOB : keccak256(concat(['0x00', checkHash(blobId, 'the id of a blob')])))
const parentOf = (left: string, right: string): string => keccak256(concat(['0x01', left, right]))

/** The tree of a batch; ids may be NO_BLOB. @throws DaFormatError for an empty batch, or an id that is not 32 bytes */
export function batchTree(blobIds: readonly string[]): BatchTree {
  if (blobIds.length === 0) throw new DaFormatError('a batch has no blobs: expected at least one')
  const leaves = blobIds.map(leafOf)
  const depth = Math.ceil(Math.log2(leaves.length))
  const levels = [[...leaves, ...Array<string>(2 ** depth - leaves.length).fill(NO_BLOB)]]
  for (let level = levels[0]!; level.length > 1; level = levels.at(-1)!)
    levels.push(Array.from({ length: level.length / 2 }, (_, i) => parentOf(level[2 * i]!, level[2 * i + 1]!)))
  return {
    root: levels[depth]![0]!,
    proof(index) {
      checkInteger(index, 0, blobIds.length - 1, 'the index in the batch')
      return levels.slice(0, depth).map((level, height) => level[(index >> height) ^ 1]!)
    },
  }
}

/** Whether a blob is leaf `index` of the batch; the side of each sibling is a bit of the index. */
export function verifyInclusion(root: string, blobId: string, index: number, proof: readonly string[]): boolean {
  if (!Number.isSafeInteger(index) || index < 0 || index >= 2 ** proof.length) return false
  if (blobId === NO_BLOB || ![root, blobId, ...proof].every((hash) => /^0x[0-9a-f]{64}$/i.test(hash))) return false
  const top = proof.reduce((node, sibling, height) => (Math.floor(index / 2 ** height) % 2 ? parentOf(sibling, node) : parentOf(node, sibling)), leafOf(blobId))
  return top === root.toLowerCase()
}
