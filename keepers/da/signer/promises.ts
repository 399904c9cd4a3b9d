import { Contract, type Provider } from 'ethers'
import { type Kysely, sql, type Transaction } from 'kysely'
import type { Blob } from '../../../protocol/da/blob.ts'
import { isSignedByPayer, type PaymentPromise, promiseDigest } from '../../../protocol/da/payment.ts'
import type { DaContracts } from '../../../sdk/da/contracts.ts'
import type { Payment } from '../../../sdk/da/messages.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Tables } from './schema.ts'

export interface PromiseBookOptions {
  db: Kysely<Tables>
  payments: DaContracts['payments']
  provider: Provider
  /** Of BlobPayments' EIP-712 domain. */
  separator: string
  /** Seconds, as BlobPayments has it. */
  lockTime: number
  /** The chain's time, unix seconds. */
  now: () => number
}

/** A promise that counts. */
export interface Acceptance {
  /** Writes it down, in the transaction that records the rows. */
  record(trx: Transaction<Tables>): Promise<void>
  /** It is written down, or nothing came of it. */
  done(): void
}

/** What is left of a promise's time when it comes: to certify the blob and redeem it in. */
const MIN_VALIDITY_S = 300
/** For so long a price and a balance that suffices are believed, in ms. */
const PRICE_MS = 60_000
const BALANCE_MS = 2000
/** ERC-1271. */
const VALID_SIGNATURE = '0x1626ba7e'
const FREE: Acceptance = { record: async () => {}, done: () => {} }

/** Which promises of payment are worth storing for: signed, high enough, in time, and covered together with all others that are known here. */
export class PromiseBook {
  readonly #options: PromiseBookOptions
  /** Accepted and not yet recorded, by their hashes. */
  readonly #underway = new Map<string, { promise: PaymentPromise; stores: number }>()
  readonly #prices = new Map<string, { readAt: number; price: bigint }>()
  readonly #balances = new Map<string, { readAt: number; available: bigint }>()

  constructor(options: PromiseBookOptions) {
    this.#options = options
  }

  /** @throws GrpcError FAILED_PRECONDITION with what is wrong */
  async accept(payment: Payment | undefined, blob: Blob): Promise<Acceptance> {
    const price = await this.#priceOf(blob)
    if (!payment) {
      if (price > 0n) throw refused(`the blob is not paid for: its price is ${price} wei`)
      return FREE
    }
    const { promise, signature } = payment
    const { now, lockTime, separator } = this.#options
    if (promise.fee < price) throw refused(`the fee is ${promise.fee} wei: the price of the blob is ${price}`)
    const [earliest, latest] = [now() + MIN_VALIDITY_S, now() + lockTime]
    if (promise.deadline < earliest || promise.deadline > latest)
      throw refused(`the promise ends at ${promise.deadline}: expected ${earliest} to ${latest}, so that it can be redeemed before the payer's money may leave`)
    const hash = promiseDigest(separator, promise)
    if (!(await this.#isSigned(hash, promise, signature))) throw refused(`the signature of the promise is not the payer's, ${promise.payer}`)
    this.#underway.set(hash, { promise, stores: (this.#underway.get(hash)?.stores ?? 0) + 1 })
    const done = () => {
      const entry = this.#underway.get(hash)!
      if (--entry.stores === 0) this.#underway.delete(hash)
    }
    try {
      if (await this.#options.payments.isRedeemed(hash)) throw refused('the promise was redeemed before: it counts once')
      await this.#checkCover(promise)
    } catch (error) {
      done()
      throw error
    }
    return { record: (trx) => record(trx, hash, promise), done }
  }

  async #isSigned(hash: string, promise: PaymentPromise, signature: Uint8Array): Promise<boolean> {
    const { separator, provider } = this.#options
    if (isSignedByPayer(separator, promise, signature)) return true
    if ((await provider.getCode(promise.payer)) === '0x') return false
    const payer = new Contract(promise.payer, ['function isValidSignature(bytes32, bytes) view returns (bytes4)'], provider)
    const answer: unknown = await payer
      .getFunction('isValidSignature')(hash, signature)
      .catch(() => undefined)
    return answer === VALID_SIGNATURE
  }

  /** Several that come together and are only covered one by one may all be refused. */
  async #checkCover({ payer }: PaymentPromise): Promise<void> {
    const promised = await this.#promisedBy(payer)
    if (promised <= (this.#balances.get(payer)?.available ?? 0n) && Date.now() - this.#balances.get(payer)!.readAt < BALANCE_MS) return
    const { available } = await this.#options.payments.balanceOf(payer)
    this.#balances.set(payer, { readAt: Date.now(), available })
    if (promised > available) throw refused(`${payer} has ${available} wei available and promised ${promised} to this signer: deposit more`)
  }

  /** Wei of all open promises, this one among them. */
  async #promisedBy(payer: string): Promise<bigint> {
    const { db, now } = this.#options
    const underway = [...this.#underway].filter(([, { promise }]) => promise.payer === payer)
    const { sum } = await db
      .selectFrom('promises')
      .select(sql<string>`coalesce(sum(fee), 0)`.as('sum'))
      .where('payer', '=', payer)
      .where('redeemed_block', 'is', null)
      .where('deadline', '>=', now())
      .where(
        'hash',
        'not in',
        underway.map(([hash]) => hash),
      )
      .executeTakeFirstOrThrow()
    return underway.reduce((total, [, { promise }]) => total + promise.fee, BigInt(sum))
  }

  async #priceOf({ log2K, rowSize }: Blob): Promise<bigint> {
    const key = `${log2K} ${rowSize}`
    const kept = this.#prices.get(key)
    if (kept && Date.now() - kept.readAt < PRICE_MS) return kept.price
    const price = await this.#options.payments.priceOf(log2K, rowSize)
    this.#prices.set(key, { readAt: Date.now(), price })
    return price
  }
}

const refused = (message: string): GrpcError => GrpcError.failedPrecondition(message)

async function record(trx: Transaction<Tables>, hash: string, { payer, disperser, nonce, blobId, fee, deadline }: PaymentPromise): Promise<void> {
  await trx
    .insertInto('promises')
    .values({ hash, payer, disperser, nonce: String(nonce), blob_id: blobId, fee: String(fee), deadline, redeemed_block: null })
    .onConflict((on) => on.doNothing())
    .execute()
}
