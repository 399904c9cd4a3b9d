import { Contract, getBytes, hexlify, type Wallet } from 'ethers'
import { domainSeparator } from '../../../protocol/compute/receipt.ts'
import type { Blob } from '../../../protocol/da/blob.ts'
import { isSignedByPayer, type PaymentPromise, PROMISE_TYPES, paymentDomain, promiseDigest } from '../../../protocol/da/payment.ts'
import type { Payment } from '../../../sdk/da/messages.ts'
import type { IBlobPayments } from '../../../typechain-types/index.ts'
import type { Chain } from '../../runtime/chain.ts'
import { Unacceptable } from './dispersal.ts'
import type { Promises } from './promises.ts'
import type { Purse } from './purse.ts'
import type { Task } from './requests.ts'
import type { StoredPromise } from './schema.ts'

export interface PaymentsOptions {
  chain: Chain
  /** The chain's time, unix seconds. */
  now: () => Promise<number>
  contract: IBlobPayments
  /** Its address. */
  address: string
  /** Seconds that the contract locks balances for: promises are good for so long at most. */
  lockTime: number
  wallet: Wallet
  promises: Promises
  purse: Purse
}

/** Seconds that a promise of ours is good for, and that are left of it when it is used again: signers want some time to redeem it in. */
const PROMISED_SECONDS = 1800
const LEFT_SECONDS = 600
const ERC1271 = 'isValidSignature'
/** Milliseconds for which a price is believed. */
const PRICE_FRESH = 5000

/** Promises of payment: those of clients are checked, ours are made. */
export class Payments {
  readonly #options: PaymentsOptions
  readonly #separator: string
  readonly #prices = new Map<string, { at: number; price: Promise<bigint> }>()
  #lastNonce = 0n

  constructor(options: PaymentsOptions) {
    this.#options = options
    this.#separator = domainSeparator(paymentDomain(options.chain.chainId, options.address))
  }

  /**
   * The payment for a blob: the one that came with it, or ours.
   * @throws Unacceptable for a client's that is worth nothing; an Error when our balance is used up
   */
  async forBlob(task: Task, blobId: string, blob: Blob): Promise<Payment> {
    const price = await this.#price(blob)
    const timestamp = await this.#options.now()
    const known = task.payment && paymentOf(task.payment, blobId)
    if (!task.sponsored) {
      await this.#check(known!, price, timestamp)
      return known!
    }
    const good = known && known.promise.fee >= price && known.promise.deadline >= timestamp + LEFT_SECONDS && this.#isSigned(known)
    return good ? known : this.#promise(blobId, price, timestamp)
  }

  async #promise(blobId: string, fee: bigint, now: number): Promise<Payment> {
    const { wallet, lockTime, chain, address, purse } = this.#options
    purse.reserve(fee)
    const deadline = now + Math.min(PROMISED_SECONDS, Math.floor(lockTime / 2))
    const promise: PaymentPromise = { payer: wallet.address, disperser: wallet.address, blobId, fee, nonce: this.#nextNonce(), deadline }
    const signature = await wallet.signTypedData(paymentDomain(chain.chainId, address), PROMISE_TYPES, promise)
    return { promise, signature: getBytes(signature) }
  }

  /** Microseconds of the clock, and never the same twice. */
  #nextNonce(): bigint {
    const now = BigInt(Date.now()) * 1000n
    this.#lastNonce = now > this.#lastNonce ? now : this.#lastNonce + 1n
    return this.#lastNonce
  }

  async #check(payment: Payment, price: bigint, now: number): Promise<void> {
    const { contract, lockTime, promises } = this.#options
    const { payer, fee, deadline, blobId } = payment.promise
    if (fee < price) throw new Unacceptable(`the promise is of ${fee} wei, and the blob costs ${price}`)
    if (deadline <= now) throw new Unacceptable(`the promise ended at ${deadline}, and it is ${now}`)
    if (deadline > now + lockTime) throw new Unacceptable(`the promise ends at ${deadline}, later than balances are locked for: at most ${now + lockTime}`)
    if (!(await this.#isSignedFor(payment)))
      throw new Unacceptable(`the promise is not signed by ${payer} for the blob ${blobId} (is K that of the current epoch?)`)
    const digest = promiseDigest(this.#separator, payment.promise)
    const [redeemed, { available }, promised] = await Promise.all([contract.isRedeemed(digest), contract.balanceOf(payer), promises.promised(payer)])
    if (redeemed) throw new Unacceptable(`the promise with the nonce ${payment.promise.nonce} is redeemed already: it counts once`)
    if (available < fee + promised)
      throw new Unacceptable(`${payer} has ${available} wei in BlobPayments, of which ${promised} are promised: the fee of ${fee} is not covered`)
  }

  #isSigned({ promise, signature }: Payment): boolean {
    return isSignedByPayer(this.#separator, promise, signature)
  }

  /** Contracts that pay say for themselves what they have signed. */
  async #isSignedFor(payment: Payment): Promise<boolean> {
    if (this.#isSigned(payment)) return true
    const { provider } = this.#options.chain
    if ((await provider.getCode(payment.promise.payer)) === '0x') return false
    const asked = new Contract(payment.promise.payer, [`function ${ERC1271}(bytes32, bytes) view returns (bytes4)`], provider)
    const answer = asked.getFunction(ERC1271)(promiseDigest(this.#separator, payment.promise), payment.signature)
    return (await answer.catch(() => undefined)) === asked.interface.getFunction(ERC1271)!.selector
  }

  #price({ log2K, rowSize }: Blob): Promise<bigint> {
    const key = `${log2K} ${rowSize}`
    const known = this.#prices.get(key)
    if (known && Date.now() - known.at < PRICE_FRESH) return known.price
    const price = this.#options.contract.priceOf(log2K, rowSize)
    this.#prices.set(key, { at: Date.now(), price })
    price.catch(() => this.#prices.delete(key))
    return price
  }
}

export const paymentOf = ({ payer, disperser, fee, nonce, deadline, signature }: StoredPromise, blobId: string): Payment => ({
  promise: { payer, disperser, blobId, fee: BigInt(fee), nonce: BigInt(nonce), deadline: Number(deadline) },
  signature: getBytes(signature),
})

export const storedPromise = ({ promise: { payer, disperser, fee, nonce, deadline }, signature }: Payment): StoredPromise => ({
  payer,
  disperser,
  fee: String(fee),
  nonce: String(nonce),
  deadline: String(deadline),
  signature: hexlify(signature),
})
