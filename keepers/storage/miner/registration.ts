import type { PoraMine } from '../../../typechain-types/index.ts'
import type { Sender } from '../../runtime/sender.ts'

/**
 * The miner id of this key: requested once, however often the keeper is started or killed, as the sender remembers what it has sent.
 * Seals are bound to the id, so a second one would make all of them worthless.
 */
export async function registerMiner(mine: PoraMine, sender: Sender): Promise<string> {
  const address = await mine.getAddress()
  const data = mine.interface.encodeFunctionData('requestMinerId', [sender.address, 0])
  const receipt = await sender.send({ key: `miner id in ${address}`, to: address, data })
  for (const log of receipt.logs) {
    const event = log.address === address ? mine.interface.parseLog(log) : null
    if (event?.name === 'NewMinerId') return event.args.minerId
  }
  throw new Error(`transaction ${receipt.hash} registered no miner id at ${address}: is this the PoraMine contract?`)
}
