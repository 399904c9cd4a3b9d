import { loadKernel } from '../../codec/keccak/index.ts'
import { draws, Evaluator, type PoraTask, rangeDigest, recallRange, shardTarget } from '../../protocol/storage/pora.ts'
import { answerArgument, type PoraAnswer } from '../../protocol/storage/pora-answer.ts'
import { seal, word } from '../../protocol/storage/sealing.ts'
import type { IPoraMine } from '../../typechain-types/index.ts'
import { bytes, hex } from './pora-vectors.ts'
import type { UniformLog } from './uniform-log.ts'

const kernel = loadKernel()

type Work = Awaited<ReturnType<IPoraMine['computeWorkerContext']['staticCall']>>
export interface Choice {
  minerId: string
  sealedContext: string
  shardId?: number
  numShards?: number
  /** Which seals to try; by default those that hold data. */
  wanted?: (position: number) => boolean
  firstNonce?: number
  /** Further wishes. */
  accept?: (argument: ReturnType<typeof answerArgument>) => boolean
}

/** Tries nonces until a seal of the log wins. */
export function findAnswer(log: UniformLog, work: Work, choice: Choice) {
  const { minerId, sealedContext, shardId = 0, numShards = 1, wanted = (position) => position >= 1024, firstNonce = 1, accept = () => true } = choice
  const flowLength = Number(work.context.flowLength)
  const range = recallRange(flowLength, shardId, numShards)!
  const task: PoraTask = { minerId: bytes(minerId), subtaskDigest: bytes(work.subtaskDigest), range, rangeDigest: rangeDigest(kernel, range) }
  const target = shardTarget(work.poraTarget, flowLength, numShards)
  const evaluator = new Evaluator()
  for (let i = firstNonce; ; i++) {
    const [draw] = draws(kernel, task, [word(i)])
    for (let sealOffset = 0; sealOffset < 64; sealOffset++) {
      const recallPosition = draw!.load + 16 * sealOffset
      if (!wanted(recallPosition)) continue
      const sealed = log.seal(recallPosition)
      seal(kernel, task.minerId, recallPosition, bytes(sealedContext), sealed)
      const quality = evaluator.quality(draw!, sealOffset, sealed)
      if (BigInt(hex(quality)) > target) continue
      const answer: PoraAnswer = {
        nonce: draw!.nonce,
        recallPosition,
        sealOffset,
        sealedContextDigest: bytes(sealedContext),
        sealed,
        merkleProof: log.proof(recallPosition),
      }
      const argument = answerArgument(task, work.context.digest, answer)
      if (accept(argument)) return { task, target, answer, quality: hex(quality), argument, nonce: i }
    }
  }
}
