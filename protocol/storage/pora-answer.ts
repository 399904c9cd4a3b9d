import type { Kernel } from '../../codec/keccak/index.ts'
import { draws, Evaluator, type PoraTask, shardMask } from './pora.ts'
import { SEAL_SECTORS, unseal } from './sealing.ts'

/** A winning seal with all that the contract needs to check it; bytes as on chain. */
export interface PoraAnswer {
  nonce: Uint8Array
  /** First sector of the seal. */
  recallPosition: number
  /** Place of the seal in its load. */
  sealOffset: number
  sealedContextDigest: Uint8Array
  sealed: Uint8Array
  /** Siblings from the seal's node up to the root of the log. */
  merkleProof: readonly Uint8Array[]
}

/** The Merkle node of a seal's 16 sectors. */
export const sealNode = (kernel: Kernel, data: Uint8Array): Uint8Array => kernel.segmentRoot(data, SEAL_SECTORS)

/** Climbs from a seal's node to the root; `seal` is the number of the seal in the log. */
export function flowRoot(kernel: Kernel, node: Uint8Array, seal: number, siblings: readonly Uint8Array[]): Uint8Array {
  let index = seal
  return siblings.reduce((running, sibling) => {
    const pair = index % 2 === 0 ? [running, sibling] : [sibling, running]
    index = Math.floor(index / 2)
    return kernel.keccak256(Buffer.concat(pair))
  }, node)
}

/**
 * What the contract would find wrong with an answer to `task`, if anything. Costs one nonce of work, so a miner asks before paying for a
 * transaction, and learns whether its data, its path or its proof is at fault.
 */
export function faultOf(kernel: Kernel, task: PoraTask, target: bigint, root: Uint8Array, answer: PoraAnswer): string | undefined {
  const data = answer.sealed.slice()
  unseal(kernel, task.minerId, answer.recallPosition, answer.sealedContextDigest, data)
  if (data.every((byte) => byte === 0)) return `seal at sector ${answer.recallPosition} holds only zeros`
  const computed = flowRoot(kernel, sealNode(kernel, data), answer.recallPosition / SEAL_SECTORS, answer.merkleProof)
  if (Buffer.compare(computed, root) !== 0) return `seal at sector ${answer.recallPosition} and its path lead to another root than the log's`
  const [draw] = draws(kernel, task, [answer.nonce])
  const expected = draw!.load + answer.sealOffset * SEAL_SECTORS
  if (expected !== answer.recallPosition) return `the nonce recalls sector ${expected}, not ${answer.recallPosition}`
  const quality = new Evaluator().quality(draw!, answer.sealOffset, answer.sealed)
  if (BigInt(`0x${Buffer.from(quality).toString('hex')}`) > target) return 'the quality does not reach the target'
  return undefined
}

const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString('hex')}`

/** The answer as the argument of `PoraMine.submit`. */
export function answerArgument(task: PoraTask, contextDigest: string, answer: PoraAnswer) {
  const { startPosition, mineLength, shardId, numShards } = task.range
  return {
    contextDigest,
    nonce: hex(answer.nonce),
    minerId: hex(task.minerId),
    range: { startPosition, mineLength, shardId, shardMask: shardMask(numShards) },
    recallPosition: answer.recallPosition,
    sealOffset: answer.sealOffset,
    sealedContextDigest: hex(answer.sealedContextDigest),
    sealedData: Array.from({ length: answer.sealed.length / 32 }, (_, i) => hex(answer.sealed.subarray(32 * i, 32 * i + 32))),
    merkleProof: answer.merkleProof.map(hex),
  }
}
