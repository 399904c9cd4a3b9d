import { setTimeout as sleep } from 'node:timers/promises'
import { formatEther, hexlify } from 'ethers'
import PQueue from 'p-queue'
import type { Registry } from 'prom-client'
import type { Kernel } from '../../../codec/keccak/index.ts'
import { answerArgument, faultOf, type PoraAnswer } from '../../../protocol/storage/pora-answer.ts'
import { LOAD_SECTORS, SEAL_SECTORS } from '../../../protocol/storage/sealing.ts'
import type { PoraMine, StorageRewards } from '../../../typechain-types/index.ts'
import { shortMessage } from '../../runtime/chain.ts'
import { currentFees, feeCeiling } from '../../runtime/fees.ts'
import type { Log } from '../../runtime/log.ts'
import { counter } from '../../runtime/metrics.ts'
import { isRevert, Reverted } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Won } from './mining-worker.ts'
import type { StorageNode } from './storage-node.ts'
import type { Work } from './work.ts'

export interface AnswersOptions {
  kernel: Kernel
  mine: PoraMine
  rewards: StorageRewards
  /** Sectors of a pricing chunk. */
  chunkSectors: number
  node: StorageNode
  sender: Sender
  margin: number
  withdrawAbove: bigint | undefined
  log: Log
  metrics: Registry
  /** The work of a task that is still worth answering. */
  workOf(taskId: number): Work | undefined
  /** The seals of this load do not open to the data of the log. */
  onWrongSeals(load: number): Promise<void>
}

const STOP_MS = 4000
/** Winning seals that wait for their turn; more than an epoch takes are worth nothing. */
const MAX_WAITING = 32

/** How the contract refuses an answer that others, or the end of its subtask or epoch, were ahead of. Many a good answer ends so. */
export const LOST_RACES: readonly string[] = ['EpochFull', 'TooLate', 'WrongContext']

type Outcome = 'accepted' | 'surplus' | 'late' | 'faulty' | 'unprofitable' | 'refused'

/** Turns what threads win into accepted answers, one at a time, and into money. */
export class Answers {
  readonly #options: AnswersOptions
  readonly #queue = new PQueue({ concurrency: 1 })
  readonly #outcomes
  readonly #earned
  /** The task about which it was said that answers do not pay. */
  #unprofitable: number | undefined
  #stopping = false

  constructor(options: AnswersOptions) {
    const { metrics } = options
    this.#options = options
    this.#outcomes = counter(metrics, { name: 'answers_total', help: 'Winning seals by what became of them', labelNames: ['outcome'] })
    this.#earned = counter(metrics, { name: 'earned_coins_total', help: 'Rewards credited since the start, in whole coins' })
  }

  take(won: Won): void {
    if (this.#stopping) return
    if (this.#queue.size >= MAX_WAITING) {
      this.#outcomes.inc({ outcome: 'surplus' satisfies Outcome })
      return
    }
    void this.#queue.add(async () => {
      const outcome = await this.#answer(won).catch((error: unknown): Outcome => {
        if (!this.#stopping) this.#options.log.warn({ load: won.load, reason: shortMessage(error) }, 'an answer could not be given')
        return 'refused'
      })
      this.#outcomes.inc({ outcome })
    })
  }

  /**
   * Finishes the answer in hand and drops the others: the epoch will hardly be the same after a restart. One whose transaction is not mined
   * in time is followed by the next sender of this key.
   */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#queue.clear()
    await Promise.race([this.#queue.onIdle(), sleep(STOP_MS, undefined, { ref: false })])
  }

  async #answer(won: Won): Promise<Outcome> {
    const { kernel, mine, node, sender, log, workOf, onWrongSeals } = this.#options
    const work = workOf(won.taskId)
    if (!work) return 'late'
    const recallPosition = won.load * LOAD_SECTORS + won.sealOffset * SEAL_SECTORS
    const answer: PoraAnswer = {
      nonce: won.nonce,
      recallPosition,
      sealOffset: won.sealOffset,
      sealedContextDigest: won.contextDigest,
      sealed: won.sealed,
      merkleProof: await node.sealProof(recallPosition, work.flowRoot),
    }
    const fault = faultOf(kernel, work.task, work.target, Buffer.from(work.flowRoot.slice(2), 'hex'), answer)
    if (fault) {
      log.error({ load: won.load, fault }, 'the proof is wrong: sealing the load again')
      await onWrongSeals(won.load)
      return 'faulty'
    }
    const argument = answerArgument(work.task, work.contextDigest, answer)
    const reward = await this.#profitable(argument, won.taskId)
    if (reward === undefined) return 'unprofitable'
    try {
      const to = await mine.getAddress()
      await sender.send({ key: `answer ${hexlify(won.quality)}`, to, data: mine.interface.encodeFunctionData('submit', [argument]) })
    } catch (error) {
      if (!(error instanceof Reverted)) throw error
      if (LOST_RACES.includes(error.error)) return 'late'
      if (error.error === 'InvalidSealedContext') await onWrongSeals(won.load)
      return 'refused' // the sender has said why
    }
    this.#earned.inc(Number(formatEther(reward)))
    log.info({ epoch: work.epoch, sector: recallPosition, reward: formatEther(reward) }, 'an answer was accepted')
    await this.#withdraw(hexlify(won.quality))
    return 'accepted'
  }

  /** The reward, when it is worth its cost. A claim pays what the chunk has released until its block, so a little more than this. */
  async #profitable(argument: ReturnType<typeof answerArgument>, taskId: number): Promise<bigint | undefined> {
    const { mine, rewards, chunkSectors, sender, margin, log } = this.#options
    const [reward, gas, fees] = await Promise.all([
      rewards.claimable(Math.floor(argument.recallPosition / chunkSectors)),
      mine.submit.estimateGas(argument, { from: sender.address }).catch((error: unknown) => {
        // What refuses the answer is decoded and logged where it is sent.
        if (isRevert(error)) return 0n
        throw error
      }),
      currentFees(mine.runner!.provider!),
    ])
    const cost = gas * feeCeiling(fees)
    if (Number(reward) >= Number(cost) * margin) return reward
    if (taskId !== this.#unprofitable) log.info({ reward: formatEther(reward), cost: formatEther(cost), margin }, 'answers cost too much for their reward')
    this.#unprofitable = taskId
    return undefined
  }

  /** @param after names the answer, so that this withdrawal happens once */
  async #withdraw(after: string): Promise<void> {
    const { rewards, sender, withdrawAbove, log } = this.#options
    if (withdrawAbove === undefined) return
    const credit = await rewards.payments(sender.address)
    if (credit < withdrawAbove) return
    const data = rewards.interface.encodeFunctionData('withdrawPayments', [sender.address])
    await sender.send({ key: `withdrawal after ${after}`, to: await rewards.getAddress(), data })
    log.info({ amount: formatEther(credit) }, 'rewards were withdrawn')
  }
}
