import type { Logger } from 'pino'
import type { IStorageMarket } from '../../../typechain-types/index.ts'
import type { Chain } from '../../runtime/chain.ts'
import type { Queue } from '../../runtime/queue.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Lease, Leases } from './leases.ts'

/** A renewal to be paid: of `lease`, which ends at `until` (unix seconds). */
export interface Renewal extends Lease {
  until: number
}

/** Leases that are asked about at once. */
const BATCH = 100

export interface RenewalsOptions {
  chain: Chain
  market: IStorageMarket
  marketAddress: string
  leases: Leases
  queue: Queue<Renewal>
  sender: Sender
  /** Seconds before its end at which a lease is renewed. */
  renewBefore: number
  /** Seconds after its end for which nodes keep the data: later there may be nothing left to pay for. */
  gracePeriod: number
  /** wei */
  maxPricePerSector: bigint | undefined
  log: Logger
}

/** Finds leases that end soon and pays for one more period of each. */
export class Renewals {
  readonly #options: RenewalsOptions
  #problem: string | undefined

  constructor(options: RenewalsOptions) {
    this.#options = options
  }

  /** Why renewals are held back, or undefined when they are not. */
  problem(): string | undefined {
    return this.#problem
  }

  /** Looks at every lease that may end soon and queues its renewal; the id of a job names the end it moves, so it is paid once. */
  async check(signal: AbortSignal): Promise<void> {
    const { chain, leases, market, queue, renewBefore, gracePeriod, log } = this.#options
    const { timestamp } = await chain.head()
    for (let after = -1; ; ) {
      const batch = await leases.endingBefore(timestamp + renewBefore, after, BATCH)
      for (const lease of batch) {
        signal.throwIfAborted()
        const until = Number(await market.leaseOf(lease.seq, lease.startEntry, lease.sectors))
        await leases.setUntil(lease.seq, until)
        if (until >= timestamp + renewBefore) continue
        if (until + gracePeriod < timestamp) log.warn({ seq: lease.seq, until }, 'not renewed: the lease and the grace period are over, upload the file again')
        else await queue.add(`${lease.seq} from ${until}`, { ...lease, until })
      }
      if (batch.length < BATCH) return
      after = batch.at(-1)!.seq
    }
  }

  /** Pays for one renewal. Throws while the price is above the limit: the job is tried again later. */
  async renew({ seq, startEntry, sectors, until }: Renewal): Promise<void> {
    const { market, marketAddress, leases, sender, maxPricePerSector, log } = this.#options
    const price = await market.pricePerSector()
    this.#problem =
      maxPricePerSector !== undefined && price > maxPricePerSector ? `the price is ${price} wei a sector, above the limit of ${maxPricePerSector}` : undefined
    if (this.#problem !== undefined) throw new Error(this.#problem)
    const value = price * BigInt(sectors)
    const data = market.interface.encodeFunctionData('renew', [seq, startEntry, sectors])
    await sender.send({ key: `renew ${seq} from ${until}`, to: marketAddress, data, value })
    const renewed = Number(await market.leaseOf(seq, startEntry, sectors))
    await leases.setUntil(seq, renewed)
    log.info({ seq, until: renewed, wei: value.toString() }, 'renewed')
  }
}
