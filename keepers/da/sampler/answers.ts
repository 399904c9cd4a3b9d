import { dataSlice, formatEther, type TransactionReceipt, toBeHex } from 'ethers'
import type { Registry } from 'prom-client'
import { SIBLING_SIZE, verifyChunk } from '../../../protocol/da/row-path.ts'
import type { ISamplingRewards } from '../../../typechain-types/index.ts'
import type { Chain } from '../../runtime/chain.ts'
import { shortMessage } from '../../runtime/chain.ts'
import { currentFees, feeCeiling } from '../../runtime/fees.ts'
import type { Log } from '../../runtime/log.ts'
import { counter } from '../../runtime/metrics.ts'
import { isRevert, Reverted } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { HeldBlob } from './held-blobs.ts'
import type { Round } from './round.ts'

/** A chunk whose quality is at or below the target. */
export interface Winner {
  account: string
  held: HeldBlob
  row: number
  chunk: number
  data: Uint8Array
  path: Uint8Array
  quality: bigint
}

export interface AnswersOptions {
  chain: Chain
  rewards: ISamplingRewards
  rewardsAddress: string
  sender: Sender
  margin: number
  log: Log
  metrics: Registry
}

/** `enough`: no other answer of this account counts in this round. `over`: nobody's does. */
export type Outcome = 'accepted' | 'late' | 'unprofitable' | 'faulty' | 'refused' | 'enough' | 'over'

/** How the contract refuses an answer that others, or the end of the round, were ahead of. */
export const LOST_RACES: readonly string[] = ['RoundFull', 'TooManyAnswers', 'AlreadyAnswered', 'QualityTooLow', 'InvalidChunk', 'CertificateTooOld']

/** Turns winners into rewards of their signers. */
export class Answers {
  readonly #options: AnswersOptions
  readonly #outcomes
  readonly #rewards
  /** The round of which it was said that answers do not pay. */
  #unprofitable: string | undefined

  constructor(options: AnswersOptions) {
    const { metrics } = options
    this.#options = options
    this.#outcomes = counter(metrics, { name: 'answers_total', help: 'Winning chunks by what became of them', labelNames: ['outcome'] })
    this.#rewards = counter(metrics, {
      name: 'rewarded_coins_total',
      help: 'Rewards of signers for answers sent since the start, in whole coins',
      labelNames: ['account'],
    })
  }

  /** Sends an answer, unless it comes too late or costs too much. Its quality names it: the same answer is never paid for twice. */
  async give(round: Round, winner: Winner): Promise<Outcome> {
    const outcome = await this.#give(round, winner).catch((error: unknown): Outcome => {
      this.#options.log.warn({ blobId: winner.held.blobId, row: winner.row, reason: shortMessage(error) }, 'an answer could not be given')
      return 'refused'
    })
    this.#outcomes.inc({ outcome })
    return outcome
  }

  async #give(round: Round, winner: Winner): Promise<Outcome> {
    const { chain, rewards, rewardsAddress, sender, log } = this.#options
    const { account, held, row, chunk, data, path, quality } = winner
    if (!verifyChunk(held.blob, row, chunk, data, path)) {
      log.error({ account, blobId: held.blobId, row, chunk }, 'a signer gives a chunk that is not in the blob: its rows are damaged')
      return 'faulty'
    }
    if ((await chain.head()).number >= round.lastBlock) return 'late'
    const sample = sampleOf(winner)
    if (!(await this.#pays(round, sample))) return 'unprofitable'
    try {
      const data = rewards.interface.encodeFunctionData('submit', [sample])
      const receipt = await sender.send({ key: `sample ${toBeHex(quality, 32)}`, to: rewardsAddress, data })
      this.#count(receipt)
      return 'accepted'
    } catch (error) {
      if (!(error instanceof Reverted)) throw error
      if (error.error === 'RoundFull') return 'over'
      if (error.error === 'TooManyAnswers') return 'enough'
      return LOST_RACES.includes(error.error) ? 'late' : 'refused' // the sender has said why
    }
  }

  async #pays(round: Round, sample: ISamplingRewards.SampleStruct): Promise<boolean> {
    const { rewards, sender, margin, log } = this.#options
    const [{ nextReward }, gas, fees] = await Promise.all([
      rewards.pool(),
      rewards.submit.estimateGas(sample, { from: sender.address }).catch((error: unknown) => {
        // What refuses the answer is decoded and logged where it is sent.
        if (isRevert(error)) return 0n
        throw error
      }),
      currentFees(rewards.runner!.provider!),
    ])
    const cost = gas * feeCeiling(fees)
    if (Number(nextReward) >= Number(cost) * margin) return true
    if (round.seed !== this.#unprofitable)
      log.info({ reward: formatEther(nextReward), cost: formatEther(cost), margin }, 'answers cost too much for their reward')
    this.#unprofitable = round.seed
    return false
  }

  #count(receipt: TransactionReceipt): void {
    const { rewards, log } = this.#options
    for (const entry of receipt.logs) {
      const event = rewards.interface.parseLog(entry)
      if (event?.name !== 'SampleRewarded') continue
      const { round, account, blobId, row, reward } = event.args
      this.#rewards.inc({ account }, Number(formatEther(reward)))
      log.info({ round: Number(round), account, blobId, row: Number(row), reward: formatEther(reward) }, 'an answer was rewarded')
    }
  }
}

const sampleOf = ({ held, row, data, path }: Winner): ISamplingRewards.SampleStruct => ({
  batchRoot: held.batchRoot,
  blobIndex: held.index,
  blobProof: held.proof,
  blob: held.blob,
  member: held.member,
  row,
  chunk: data,
  path: Array.from({ length: path.length / SIBLING_SIZE }, (_, i) => dataSlice(path, i * SIBLING_SIZE, (i + 1) * SIBLING_SIZE)),
})
