import { hexlify, type TransactionReceipt } from 'ethers'
import type { Transaction } from 'kysely'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { reasonOf } from '../../../sdk/errors.ts'
import { type IBlobPayments, IBlobPayments__factory } from '../../../typechain-types/index.ts'
import type { LogRange } from '../../runtime/follow.ts'
import type { Log } from '../../runtime/log.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Batches } from './batches.ts'
import type { DisperserMetrics } from './metrics.ts'
import { paymentOf } from './payments.ts'
import { OUTCOMES, type Outcome, type Promises, type Redeemable, type Redemption } from './promises.ts'
import type { Tables } from './schema.ts'

const payments = IBlobPayments__factory.createInterface()
export const REDEEMED_TOPIC = payments.getEvent('PromiseRedeemed').topicHash

export interface RedemptionsOptions {
  contract: IBlobPayments
  /** Its address. */
  address: string
  sender: Sender
  batches: Batches
  promises: Promises
  metrics: DisperserMetrics
  log: Log
}

/** Promises of one transaction, and batches of one round. */
const AT_ONCE = 50
const BATCHES = 20
/** Anyone may redeem: then our part came to us from somebody else's transaction. */
const PAID: readonly Outcome[] = ['Redeemed', 'AlreadyRedeemed']
/** What the sender says of a transaction that was confirmed and is gone. */
const GONE = /was confirmed as .* does not know/

/**
 * Turns promises for certified blobs into money. The first promise of a transaction names it, so that none is redeemed by two. The receipt says first what
 * became of it; what a reorganisation undoes is redeemed again.
 */
export class Redemptions {
  readonly #options: RedemptionsOptions
  /** How often the transaction that a promise names was undone for good. */
  readonly #again = new Map<string, number>()

  constructor(options: RedemptionsOptions) {
    this.#options = options
  }

  async round(signal: AbortSignal): Promise<void> {
    const { batches, promises } = this.#options
    for (const root of await promises.redeemable(BATCHES)) {
      signal.throwIfAborted()
      const { blob_ids: blobIds } = (await batches.find(root))!
      for (let some = await promises.redeemableOf(root, AT_ONCE); some.length > 0; some = await promises.redeemableOf(root, AT_ONCE)) {
        signal.throwIfAborted()
        await this.#redeem(root, blobIds, some)
      }
    }
  }

  async apply(trx: Transaction<Tables>, { logs, toBlock }: LogRange): Promise<void> {
    const found = logs.flatMap((log): Redemption[] => {
      const event = payments.parseLog(log)
      if (event?.name !== 'PromiseRedeemed') return []
      const { blobId, payer, disperser, nonce, fee } = event.args
      return [{ blobId, payer, disperser, nonce, fee, block: log.blockNumber }]
    })
    const lost = await this.#options.promises.seen(trx, found, toBlock)
    if (lost.length > 0) this.#options.log.warn({ requests: lost }, 'a reorganisation undid redemptions before they were read: they are sent again')
  }

  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    const lost = await this.#options.promises.rollback(trx, toBlock)
    if (lost.length > 0) this.#options.log.warn({ toBlock, requests: lost }, 'a reorganisation undid redemptions: they are sent again')
  }

  async #redeem(root: string, blobIds: readonly string[], requests: readonly Redeemable[]): Promise<void> {
    const { contract, promises, metrics, log } = this.#options
    const tree = batchTree(blobIds)
    const redemptions = requests.map(({ leaf, payment }) => {
      const { promise, signature } = paymentOf(payment!, blobIds[leaf!]!)
      return { terms: promise, signature: hexlify(signature), index: leaf!, proof: tree.proof(leaf!) }
    })
    const receipt = await this.#send(`redeem ${root} from ${requests[0]!.id}`, contract.interface.encodeFunctionData('redeem', [root, redemptions]))
    const refused = new Map<string, Outcome>()
    for (const event of receipt.logs) {
      const parsed = payments.parseLog(event)
      if (parsed?.name === 'PromiseRefused') refused.set(`${parsed.args.payer} ${parsed.args.nonce}`, OUTCOMES[Number(parsed.args.outcome)]!)
    }
    const outcomes = new Map(requests.map(({ id, payment }) => [id, refused.get(`${payment!.payer} ${payment!.nonce}`) ?? OUTCOMES[0]]))
    await promises.redeemed(outcomes, receipt.blockNumber)
    for (const [request, outcome] of outcomes) {
      metrics.redeemed(outcome)
      if (!PAID.includes(outcome)) log.error({ request, outcome }, 'a promise was not redeemed: its blob is certified and not paid for')
    }
  }

  async #send(key: string, data: string): Promise<TransactionReceipt> {
    const { address, sender } = this.#options
    const again = this.#again.get(key) ?? 0
    try {
      return await sender.send({ key: again === 0 ? key : `${key}, again ${again}`, to: address, data })
    } catch (error) {
      // A reorganisation undid it, and its nonce went to another transaction. The contract redeems a promise once in any case.
      if (GONE.test(reasonOf(error))) this.#again.set(key, again + 1)
      throw error
    }
  }
}
