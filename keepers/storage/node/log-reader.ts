import type { Log, LogDescription } from 'ethers'
import type { Transaction } from 'kysely'
import { IFlow__factory, IStorageMarket__factory } from '../../../typechain-types/index.ts'
import type { LogRange } from '../../runtime/follow.ts'
import type { Tables } from './schema.ts'
import type { NewSubmission, Submissions } from './submissions.ts'

const flowInterface = IFlow__factory.createInterface()
const marketInterface = IStorageMarket__factory.createInterface()

/** Events that a storage node lives by. */
export const TOPICS = [
  [flowInterface.getEvent('Submit').topicHash, flowInterface.getEvent('NewEpoch').topicHash, marketInterface.getEvent('LeaseRenewed').topicHash],
]

/** Writes down what the events of Flow and the market say, and takes it back when they are undone. */
export class LogReader {
  readonly #submissions: Submissions
  readonly #flow: string

  constructor(submissions: Submissions, flow: string) {
    this.#submissions = submissions
    this.#flow = flow.toLowerCase()
  }

  async apply(trx: Transaction<Tables>, { logs }: LogRange): Promise<void> {
    for (const log of logs) {
      const fromFlow = log.address.toLowerCase() === this.#flow
      const event = (fromFlow ? flowInterface : marketInterface).parseLog(log)
      if (event?.name === 'Submit') await this.#submissions.insert(trx, submissionOf(event, log))
      if (event?.name === 'NewEpoch') await this.#openEpoch(trx, event, log)
      if (event?.name === 'LeaseRenewed') {
        const [seq, startEntry, sectors, until] = event.args.slice(0, 4).map(Number) as [number, number, number, number]
        await this.#submissions.renewLease(trx, { seq, startEntry, sectors, until, block: log.blockNumber })
      }
    }
  }

  /** Resolves to the number of submissions left. */
  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<number> {
    await trx.deleteFrom('epochs').where('block_number', '>', toBlock).execute()
    return this.#submissions.rollback(trx, toBlock)
  }

  async #openEpoch(trx: Transaction<Tables>, { args }: LogDescription, log: Log): Promise<void> {
    const row = { block_number: log.blockNumber, root: args.getValue('startMerkleRoot'), length: Number(args.getValue('flowLength')) }
    await trx
      .insertInto('epochs')
      .values(row)
      .onConflict((on) => on.doNothing())
      .execute()
  }
}

/** `length` inside an event is read by position: on a decoded tuple, the property of that name counts its fields. */
function submissionOf({ args }: LogDescription, log: Log): NewSubmission {
  const [sender, , index, startEntry, sectors, [size, tags, nodes]] = args
  return {
    seq: Number(index),
    size: Number(size),
    startEntry: Number(startEntry),
    sectors: Number(sectors),
    nodes: [...nodes].map(([root, height]) => ({ root, height: Number(height) })),
    sender,
    tags,
    txHash: log.transactionHash,
    block: log.blockNumber,
  }
}
