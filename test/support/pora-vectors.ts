import type { Kernel } from '../../codec/keccak/index.ts'
import { type PoraTask, type RecallRange, rangeDigest } from '../../protocol/storage/pora.ts'
import type { PoraAnswer } from '../../protocol/storage/pora-answer.ts'
import { seal } from '../../protocol/storage/sealing.ts'
import json from '../vectors/storage-vectors.json' with { type: 'json' }

/** Proofs that the reference contract accepts, with their intermediate values. */
export const vectors = json.pora.vectors
export type Vector = (typeof vectors)[number]

export const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.slice(2), 'hex'))
export const hex = (data: Uint8Array): string => `0x${Buffer.from(data).toString('hex')}`

/** In the log of the vectors sector i has one byte that is not zero: its first, i & 255. */
export function dataOfSeal(sector: number): Uint8Array {
  return Uint8Array.from({ length: 4096 }, (_, i) => (i % 256 === 0 ? (sector + i / 256) & 255 : 0))
}

export function rangeOf(vector: Vector): RecallRange {
  const { startPosition, mineLength, shardId, shardMask } = vector.range
  return { startPosition, mineLength, shardId: Number(shardId), numShards: Number(2n ** 64n - BigInt(shardMask)) }
}

export function taskOf(kernel: Kernel, vector: Vector): PoraTask {
  const range = rangeOf(vector)
  return { minerId: bytes(vector.minerId), subtaskDigest: bytes(vector.subtaskDigest), range, rangeDigest: rangeDigest(kernel, range) }
}

export function answerOf(kernel: Kernel, vector: Vector): PoraAnswer {
  const sealed = dataOfSeal(vector.recallPosition)
  seal(kernel, bytes(vector.minerId), vector.recallPosition, bytes(vector.sealedContextDigest), sealed)
  return {
    nonce: bytes(vector.nonce),
    recallPosition: vector.recallPosition,
    sealOffset: vector.sealOffset,
    sealedContextDigest: bytes(vector.sealedContextDigest),
    sealed,
    merkleProof: vector.merkleProof.map(bytes),
  }
}
