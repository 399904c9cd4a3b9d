import { hexlify } from 'ethers'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import type { IBlobPayments } from '../../../typechain-types/index.ts'
import type { Log } from '../../runtime/log.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Batches, Redeemable } from './batches.ts'
import type { DisperserMetrics } from './metrics.ts'
import { paymentOf } from './payments.ts'

export interface RedemptionsOptions {
  contract: IBlobPayments
  /** Its address. */
  address: string
  sender: Sender
  batches: Batches
  metrics: DisperserMetrics
  log: Log
}

/** Promises of one transaction, and batches of one round. */
const AT_ONCE = 50
const BATCHES = 20
/** IBlobPayments.Outcome. */
const OUTCOMES = ['Redeemed', 'Expired', 'CertificateTooOld', 'AlreadyRedeemed', 'NotInBatch', 'InvalidSignature', 'InsufficientBalance']
/** Anyone may redeem: then our part came to us from somebody else's transaction. */
const PAID = ['Redeemed', 'AlreadyRedeemed']

/** Turns promises for certified blobs into money. The first promise of a transaction names it, so that none is redeemed by two. */
export class Redemptions {
  readonly #options: RedemptionsOptions

  constructor(options: RedemptionsOptions) {
    this.#options = options
  }

  async round(signal: AbortSignal): Promise<void> {
    const { batches } = this.#options
    for (const root of await batches.redeemable(BATCHES)) {
      signal.throwIfAborted()
      const { blob_ids: blobIds } = (await batches.find(root))!
      for (let some = await batches.redeemableOf(root, AT_ONCE); some.length > 0; some = await batches.redeemableOf(root, AT_ONCE)) {
        signal.throwIfAborted()
        await this.#redeem(root, blobIds, some)
      }
    }
  }

  async #redeem(root: string, blobIds: readonly string[], requests: readonly Redeemable[]): Promise<void> {
    const { contract, address, sender, batches, metrics, log } = this.#options
    const tree = batchTree(blobIds)
    const redemptions = requests.map(({ leaf, payment }) => {
      const { promise, signature } = paymentOf(payment!, blobIds[leaf!]!)
      return { terms: promise, signature: hexlify(signature), index: leaf!, proof: tree.proof(leaf!) }
    })
    const data = contract.interface.encodeFunctionData('redeem', [root, redemptions])
    const receipt = await sender.send({ key: `redeem ${root} from ${requests[0]!.id}`, to: address, data })
    const refused = new Map<string, string>()
    for (const event of receipt.logs) {
      const parsed = contract.interface.parseLog(event)
      if (parsed?.name === 'PromiseRefused') refused.set(`${parsed.args.payer} ${parsed.args.nonce}`, OUTCOMES[Number(parsed.args.outcome)]!)
    }
    const outcomes = new Map(requests.map(({ id, payment }) => [id, refused.get(`${payment!.payer} ${payment!.nonce}`) ?? OUTCOMES[0]!]))
    await batches.redeemed(outcomes)
    for (const [request, outcome] of outcomes) {
      metrics.redeemed(outcome)
      if (!PAID.includes(outcome)) log.error({ request, outcome }, 'a promise was not redeemed: its blob is certified and not paid for')
    }
  }
}
