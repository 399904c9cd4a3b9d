import { getBytes, toBeHex } from 'ethers'
import type { Kernel } from '../../../codec/keccak/index.ts'
import { type PoraTask, rangeDigest, recallRange, shardTarget } from '../../../protocol/storage/pora.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'
import type { PoraMine } from '../../../typechain-types/index.ts'
import type { MiningTask } from './mining-worker.ts'

/** What can be mined now, and against which state of the log. */
export interface Work {
  epoch: number
  contextDigest: string
  flowRoot: string
  /** Sectors. */
  flowLength: number
  target: bigint
  task: PoraTask
}

export type WorkerContext = Awaited<ReturnType<PoraMine['computeWorkerContext']['staticCall']>>

/** The work in what the contract answered; undefined when there is none now. */
export function workOf(kernel: Kernel, minerId: string, shard: Shard, { context, poraTarget, subtaskDigest }: WorkerContext): Work | undefined {
  const flowLength = Number(context.flowLength)
  const range = recallRange(flowLength, shard.shardId, shard.numShard)
  if (poraTarget === 0n || !range) return undefined
  return {
    epoch: Number(context.epoch),
    contextDigest: context.digest,
    flowRoot: context.flowRoot,
    flowLength,
    target: shardTarget(poraTarget, flowLength, shard.numShard),
    task: { minerId: getBytes(minerId), subtaskDigest: getBytes(subtaskDigest), range, rangeDigest: rangeDigest(kernel, range) },
  }
}

/** Whether both are tried against the same; the flow root and length are part of the context. */
export const sameWork = (a: Work | undefined, b: Work | undefined): boolean =>
  a?.contextDigest === b?.contextDigest &&
  a?.target === b?.target &&
  Buffer.compare(a?.task.subtaskDigest ?? Buffer.of(), b?.task.subtaskDigest ?? Buffer.of()) === 0

export const miningTask = (id: number, { task, target }: Work): MiningTask => ({ ...task, id, target: getBytes(toBeHex(target, 32)) })
