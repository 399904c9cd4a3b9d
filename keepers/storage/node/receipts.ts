import type { Wallet } from 'ethers'
import type { Kysely } from 'kysely'
import { type KeptReceipt, signKept } from '../../../protocol/storage/kept.ts'
import type { Tables } from './schema.ts'
import type { Submission, Submissions } from './submissions.ts'

/** Submissions handled per round. */
const BATCH = 100

export interface ReceiptsOptions {
  db: Kysely<Tables>
  submissions: Submissions
  /** Undefined: this node promises nothing. */
  wallet: Wallet | undefined
  chainId: number
  flow: string
}

/** A node's signed promises to keep what is paid for: evidence against it if it does not. */
export class Receipts {
  readonly #options: ReceiptsOptions

  constructor(options: ReceiptsOptions) {
    this.#options = options
  }

  /** Signs for submissions that are stored and paid for, and anew for those whose lease was renewed. */
  async issue(): Promise<void> {
    const { db, wallet, chainId, flow } = this.#options
    if (!wallet) return
    const due = await db
      .selectFrom('submissions')
      .leftJoin('receipts', 'receipts.seq', 'submissions.seq')
      .select(['submissions.seq', 'submissions.root', 'submissions.lease_until'])
      .where('submissions.finalized_at', 'is not', null)
      .where('submissions.lease_until', 'is not', null)
      .where((on) =>
        on.or([
          on('receipts.seq', 'is', null),
          on('receipts.until', '<', on.ref('submissions.lease_until')),
          on('receipts.root', '<>', on.ref('submissions.root')),
        ]),
      )
      .orderBy('submissions.seq')
      .limit(BATCH)
      .execute()
    for (const { seq, root, lease_until } of due) {
      const { until, signature } = await signKept(wallet, { root, submission: seq, until: lease_until!, chainId, contract: flow })
      const row = { root, until, signature }
      await db
        .insertInto('receipts')
        .values({ seq, ...row })
        .onConflict((on) => on.column('seq').doUpdateSet(row))
        .execute()
    }
  }

  /** The newest receipt for a submission; undefined before its finality. */
  async get(submission: Submission): Promise<KeptReceipt | undefined> {
    const { db, wallet, chainId, flow } = this.#options
    const row = await db.selectFrom('receipts').selectAll().where('seq', '=', submission.seq).where('root', '=', submission.root).executeTakeFirst()
    if (!row || !wallet) return undefined
    return { root: row.root, submission: row.seq, until: row.until, chainId, contract: flow, node: wallet.address, signature: row.signature }
  }
}
