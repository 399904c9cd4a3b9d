import type { Logger } from 'pino'
import type { IStorageMarket } from '../../../typechain-types/index.ts'
import { shortMessage } from '../../runtime/chain.ts'
import type { FileStore } from './file-store.ts'
import type { Submission, Submissions } from './submissions.ts'

/** Submissions handled per round; the next round goes on. */
const BATCH = 100

export interface LeasesOptions {
  submissions: Submissions
  store: FileStore
  /** Undefined where the market of the chain sells no leases: then nothing ever ends. */
  market: IStorageMarket | undefined
  /** Time of the newest block, in unix seconds: what the contracts go by. */
  now(): number
  log: Logger
}

/**
 * What is paid for until when. A submission whose lease has ended is reported as pruned; its data stay for the grace period, and
 * for as long as another submission of the same bytes is paid for.
 */
export class Leases {
  readonly #options: LeasesOptions
  #grace: number | undefined

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  /** Whether the lease has ended. One that is not known yet has not. */
  ended({ leaseUntil }: Submission): boolean {
    return leaseUntil !== undefined && leaseUntil < this.#options.now()
  }

  /** Asks the market until when new submissions are paid for. Renewals come as events. */
  async learn(): Promise<void> {
    const { submissions, market, log } = this.#options
    if (!market) return
    for (;;) {
      const unknown = await submissions.withoutLease(BATCH)
      if (unknown.length === 0) return
      const answers = await Promise.allSettled(unknown.map(({ seq, startEntry, sectors }) => market.leaseOf(seq, startEntry, sectors)))
      for (const [i, answer] of answers.entries()) {
        if (answer.status === 'fulfilled') await submissions.setLease(unknown[i]!.seq, Number(answer.value))
      }
      const failure = answers.find((answer) => answer.status === 'rejected')
      if (!failure) continue
      log.warn({ reason: shortMessage(failure.reason) }, 'the market does not say until when submissions are paid for: asking again later')
      return
    }
  }

  /** Deletes what no lease has covered for longer than the grace period. */
  async prune(): Promise<void> {
    const { submissions, store, market, now, log } = this.#options
    if (!market) return
    for (const submission of await submissions.storedButUnpaid(now() - (await this.#gracePeriod()), BATCH)) {
      const sharing = await submissions.byKey(submission)
      if (!(await this.disposable(sharing))) continue
      await submissions.setStored(
        sharing.map(({ seq }) => seq),
        false,
      )
      await store.remove(submission)
      log.info({ seq: submission.seq, root: submission.root }, 'pruned: its lease and the grace period have ended')
    }
  }

  /** Whether nobody has paid, or may still pay, for bytes that these submissions share. */
  async disposable(sharing: Submission[]): Promise<boolean> {
    if (!this.#options.market) return sharing.length === 0
    const limit = this.#options.now() - (await this.#gracePeriod())
    return sharing.every(({ leaseUntil }) => leaseUntil !== undefined && leaseUntil < limit)
  }

  /** Seconds after the end of a lease for which the data are kept. */
  async #gracePeriod(): Promise<number> {
    this.#grace ??= Number(await this.#options.market!.gracePeriod())
    return this.#grace
  }
}
