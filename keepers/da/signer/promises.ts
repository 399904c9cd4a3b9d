import { Contract, type Provider } from 'ethers'
import { type Kysely, sql } from 'kysely'
import type { Blob } from '../../../protocol/da/blob.ts'
import { isSignedByPayer, type PaymentPromise, promiseDigest } from '../../../protocol/da/payment.ts'
import type { DaContracts } from '../../../sdk/da/contracts.ts'
import type { Payment } from '../../../sdk/da/messages.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Tables } from './schema.ts'
import type { PromiseRecord } from './store.ts'

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

/** What is left of a promise's time when it comes: to certify the blob and redeem it in. */
const MIN_VALIDITY_S = 300
/** For so long a price, and an account that has enough, are believed, in ms. */
const PRICE_MS = 60_000
const ACCOUNT_MS = 2000
/** ERC-1271. */
const VALID_SIGNATURE = '0x1626ba7e'

/** A payer's money, as it was read, and what was promised until now, in wei. */
interface Account {
  readAt: number
  available: bigint
  promised: bigint
}

/** Which promises of payment are worth storing for: signed, high enough, in time, and covered together with all others that are known here. */
export class PromiseBook {
  readonly #options: PromiseBookOptions
  readonly #prices = new Map<string, { readAt: number; price: bigint }>()
  readonly #accounts = new Map<string, Account>()
  readonly #reading = new Map<string, Promise<Account>>()
  /** Accepted and not yet recorded, by their hashes. */
  readonly #underway = new Map<string, { payer: string; fee: bigint }>()

  constructor(options: PromiseBookOptions) {
    this.#options = options
  }

  /**
   * What is to be recorded with the rows that are paid for, or undefined if they are free.
   * @throws GrpcError FAILED_PRECONDITION with what is wrong
   */
  async accept(payment: Payment | undefined, blob: Blob): Promise<PromiseRecord | undefined> {
    const price = await this.#priceOf(blob)
    if (!payment) {
      if (price > 0n) throw refused(`the blob is not paid for: its price is ${price} wei`)
      return undefined
    }
    const { promise, signature } = payment
    const { now, lockTime, separator, payments } = this.#options
    if (promise.fee < price) throw refused(`the fee is ${promise.fee} wei: the price of the blob is ${price}`)
    const [earliest, latest] = [now() + MIN_VALIDITY_S, now() + lockTime]
    if (promise.deadline < earliest || promise.deadline > latest)
      throw refused(`the promise ends at ${promise.deadline}: expected ${earliest} to ${latest}, so that it can be redeemed before the payer's money may leave`)
    const hash = promiseDigest(separator, promise)
    if (!(await this.#isSigned(hash, promise, signature))) throw refused(`the signature of the promise is not the payer's, ${promise.payer}`)
    if (await payments.isRedeemed(hash)) throw refused('the promise was redeemed before: it counts once')
    await this.#cover(hash, promise)
    const { payer, disperser, nonce, blobId, fee, deadline } = promise
    return { hash, payer, disperser, nonce: String(nonce), blob_id: blobId, fee: String(fee), deadline, redeemed_block: null }
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

  /** It is recorded now, or nothing came of it. */
  done(promise: PromiseRecord | undefined): void {
    if (promise) this.#underway.delete(promise.hash)
  }

  /** Adds the promise to what its payer promised; what is read of an account is shared by all that come meanwhile, or each alone would be covered. */
  async #cover(hash: string, { payer, fee }: PaymentPromise): Promise<void> {
    let account = this.#accounts.get(payer)
    const suffices = account !== undefined && Date.now() - account.readAt < ACCOUNT_MS && account.promised + fee <= account.available
    if (!suffices) {
      const reading = this.#reading.get(payer) ?? this.#readAccount(payer).finally(() => this.#reading.delete(payer))
      this.#reading.set(payer, reading)
      account = await reading
    }
    const { available, promised } = account!
    if (promised + fee > available) throw refused(`${payer} has ${available} wei available and promised ${promised + fee} to this signer: deposit more`)
    account!.promised += fee
    this.#underway.set(hash, { payer, fee })
  }

  async #readAccount(payer: string): Promise<Account> {
    const { db, now, payments } = this.#options
    const before = this.#accounts.get(payer)
    const promisedBefore = before?.promised ?? 0n
    const underway = [...this.#underway].filter(([, { payer: each }]) => each === payer)
    const recorded = db
      .selectFrom('promises')
      .select(sql<string>`coalesce(sum(fee), 0)`.as('sum'))
      .where('payer', '=', payer)
      .where('redeemed_block', 'is', null)
      .where('deadline', '>=', now())
    const hashes = underway.map(([hash]) => hash)
    const others = hashes.length === 0 ? recorded : recorded.where('hash', 'not in', hashes)
    const [{ available }, { sum }] = await Promise.all([payments.balanceOf(payer), others.executeTakeFirstOrThrow()])
    const meanwhile = (before?.promised ?? 0n) - promisedBefore
    const promised = underway.reduce((total, [, { fee }]) => total + fee, BigInt(sum) + meanwhile)
    const account = { readAt: Date.now(), available, promised }
    this.#accounts.set(payer, account)
    return account
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
