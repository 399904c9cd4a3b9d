import type { DaContracts } from '../../../sdk/da/contracts.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { Reverted } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Membership } from './membership.ts'

export interface EpochsOptions {
  chain: Chain
  epochs: DaContracts['epochs']
  signers: DaContracts['signers']
  membership: Membership
  /** Address of DataAvailability. */
  contract: string
  sender: Sender
  log: Log
}

/** Steps of one transaction: with the whole chunk of members that the last may write, far below what a block holds. */
const STEPS = 128
/** Seconds that each member leaves to the one before it, so that not all of them pay for the same step. */
const TURN_S = 5

/** Begins the next epoch when it is due and nobody was faster. */
export class EpochAdvance {
  readonly #options: EpochsOptions

  constructor(options: EpochsOptions) {
    this.#options = options
  }

  /** Takes a step if one is due and it is our turn. */
  async advance(): Promise<void> {
    const { chain, epochs, signers, contract, sender, log } = this.#options
    const [dueAt, head] = [Number(await epochs.nextEpochAt()), await chain.head()]
    if (head.timestamp < dueAt) return
    const current = Number(await epochs.currentEpoch())
    if (current > 0 && head.timestamp < dueAt + TURN_S * (await this.#turn(current))) return
    if ((await signers.activeSigners()) < (await epochs.minSigners())) return
    try {
      const data = epochs.interface.encodeFunctionData('advance', [STEPS])
      await sender.send({ key: `advance epoch ${current} at block ${head.number}`, to: contract, data })
      log.info({ after: current }, 'a step towards the next epoch was taken')
    } catch (error) {
      // Somebody was faster.
      if (error instanceof Reverted) return
      log.warn({ reason: shortMessage(error) }, 'the epoch could not be advanced: trying again')
    }
  }

  /** Our place in the line: members in an order that changes with the epoch, then everybody else. */
  async #turn(current: number): Promise<number> {
    const { members } = await this.#options.membership.epoch(current)
    const index = members.findIndex(({ account }) => account === this.#options.sender.address)
    return index < 0 ? members.length : (index + current) % members.length
  }
}
