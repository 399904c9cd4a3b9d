import type { IDAEpochs } from '../../../typechain-types/index.ts'
import type { Chain } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { isRevert } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'

/** Signers that one transaction reads or writes. */
const STEPS = 100

export interface EpochStartOptions {
  epochs: IDAEpochs
  /** Their contract's address. */
  address: string
  chain: Chain
  sender: Sender
  log: Log
}

/** Begins the next epoch when it is due, unless somebody else is faster. */
export async function startDueEpoch({ epochs, address, chain, sender, log }: EpochStartOptions, signal: AbortSignal): Promise<void> {
  const { number, timestamp } = await chain.head()
  if (Number(await epochs.nextEpochAt()) > timestamp) return
  for (let step = 0; ; step++) {
    signal.throwIfAborted()
    try {
      const started = await epochs.advance.staticCall(STEPS, { from: sender.address })
      await sender.send({ key: `advance at ${number}, ${step}`, to: address, data: epochs.interface.encodeFunctionData('advance', [STEPS]) })
      if (started) return
    } catch (error) {
      if (!isRevert(error) && (error as Error).name !== 'Reverted') throw error
      log.debug({ err: error }, 'no epoch was begun: somebody else did, or there are too few signers')
      return
    }
  }
}
