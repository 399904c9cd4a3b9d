import { formatEther } from 'ethers'
import type { IBlobPayments } from '../../../typechain-types/index.ts'
import type { Chain } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Promises } from './promises.ts'

export interface PurseOptions {
  contract: IBlobPayments
  /** Its address. */
  address: string
  chain: Chain
  sender: Sender
  promises: Promises
  /** Wei that the balance is filled up to once half of it is used. */
  target: bigint
  log: Log
}

/** Seconds between two deposits: the time names the intent, so that one which was interrupted is not made twice. */
const DEPOSIT_SECONDS = 60

/** What we have in BlobPayments to pay for blobs that come without payment. */
export class Purse {
  readonly #options: PurseOptions
  #available = 0n
  #promised = 0n

  constructor(options: PurseOptions) {
    this.#options = options
  }

  /** Why nothing can be paid, or undefined. */
  problem(): string | undefined {
    return this.#available > this.#promised ? undefined : this.#usedUp()
  }

  /** Sets a fee aside. @throws when there is not that much */
  reserve(fee: bigint): void {
    if (this.#available < this.#promised + fee) throw new Error(this.#usedUp())
    this.#promised += fee
  }

  /** Reads the balance, and fills it up. */
  async refresh(): Promise<void> {
    const { target, log } = this.#options
    await this.#read()
    if (this.#available - this.#promised >= target / 2n) return
    await this.#deposit(target + this.#promised - this.#available)
    await this.#read()
    log.info({ ether: formatEther(this.#available) }, 'the balance that pays for blobs was filled up')
  }

  async #read(): Promise<void> {
    const { contract, sender, promises } = this.#options
    const [{ available }, promised] = await Promise.all([contract.balanceOf(sender.address), promises.promised(sender.address)])
    this.#available = available
    this.#promised = promised
  }

  async #deposit(value: bigint): Promise<void> {
    const { contract, address, chain, sender } = this.#options
    const data = contract.interface.encodeFunctionData('deposit', [sender.address])
    const period = Math.floor((await chain.head()).timestamp / DEPOSIT_SECONDS)
    await sender.send({ key: `deposit of ${period}`, to: address, data, value })
  }

  #usedUp(): string {
    return `the balance that pays for blobs is used up: ${this.#available} wei, of which ${this.#promised} are promised`
  }
}
