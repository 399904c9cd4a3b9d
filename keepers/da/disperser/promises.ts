import { type ExpressionBuilder, type Kysely, sql, type Transaction } from 'kysely'
import type { Request } from './requests.ts'
import type { Tables } from './schema.ts'

/** A promise of a certified batch that has not been redeemed. */
export type Redeemable = Pick<Request, 'id' | 'leaf' | 'payment'>

/** IBlobPayments.Outcome. */
export const OUTCOMES = ['Redeemed', 'Expired', 'CertificateTooOld', 'AlreadyRedeemed', 'NotInBatch', 'InvalidSignature', 'InsufficientBalance'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** A redemption in the log; the fee in wei. */
export interface Redemption {
  blobId: string
  payer: string
  disperser: string
  nonce: bigint
  fee: bigint
  block: number
}

/** The promises of payment that came with requests, or that we made for them, and what became of each. */
export class Promises {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  /** Roots of certified batches with promises to redeem, oldest first. */
  async redeemable(limit: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('requests')
      .innerJoin('batches', 'batches.root', 'requests.batch')
      .select('batches.root')
      .where('batches.block', 'is not', null)
      .where('payment', 'is not', null)
      .where('redeemed', 'is', null)
      .groupBy('batches.root')
      .orderBy((on) => on.fn.min('requests.seq'))
      .limit(limit)
      .execute()
    return rows.map(({ root }) => root)
  }

  redeemableOf(root: string, limit: number): Promise<Redeemable[]> {
    return this.#db
      .selectFrom('requests')
      .select(['id', 'leaf', 'payment'])
      .where('batch', '=', root)
      .where('payment', 'is not', null)
      .where('redeemed', 'is', null)
      .orderBy('seq')
      .limit(limit)
      .execute()
  }

  /** A receipt tells of outcomes, by request. That a promise was redeemed, the log will say too. */
  async redeemed(outcomes: ReadonlyMap<string, Outcome>, block: number): Promise<void> {
    const rows = [...outcomes].map(([id, redeemed]) => ({ id, redeemed }))
    await sql`update requests set redeemed = new.redeemed, redeemed_block = ${block}
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as new(id text, redeemed text)
      where requests.id = new.id`.execute(this.#db)
  }

  /**
   * Applies the redemptions in the log up to a block, whoever sent them. What was refused in somebody else's transaction says nothing: it may have been asked
   * for wrongly. Returns the requests whose receipt told of a block that the log does not have any more: their promises have to be redeemed again.
   */
  async seen(trx: Transaction<Tables>, redemptions: readonly Redemption[], toBlock: number): Promise<string[]> {
    const byKey = new Map(redemptions.map((redemption) => [keyOf(redemption), redemption]))
    const candidates =
      redemptions.length === 0
        ? []
        : await trx
            .selectFrom('requests')
            .select(['id', 'blob_id', 'payment'])
            .where('blob_id', 'in', [...new Set(redemptions.map(({ blobId }) => blobId))])
            .where('payment', 'is not', null)
            .execute()
    const blocks = new Map<number, string[]>()
    for (const { id, blob_id, payment } of candidates) {
      const found = byKey.get(keyOf({ blobId: blob_id!, ...payment! }))
      if (found) blocks.set(found.block, [...(blocks.get(found.block) ?? []), id])
    }
    for (const [block, ids] of blocks)
      await trx.updateTable('requests').set({ redeemed: 'Redeemed', redeemed_block: block, redeemed_seen: true }).where('id', 'in', ids).execute()
    return this.#lost(trx, (on) => on.and([on('redeemed_block', '<=', toBlock), on('redeemed_seen', '=', false), on('redeemed', '=', 'Redeemed')]))
  }

  /** Undoes outcomes after a block. Returns their requests. */
  rollback(trx: Transaction<Tables>, toBlock: number): Promise<string[]> {
    return this.#lost(trx, (on) => on('redeemed_block', '>', toBlock))
  }

  async #lost(trx: Transaction<Tables>, which: (on: ExpressionBuilder<Tables, 'requests'>) => any): Promise<string[]> {
    const rows = await trx.updateTable('requests').set({ redeemed: null, redeemed_block: null, redeemed_seen: false }).where(which).returning('id').execute()
    return rows.map(({ id }) => id)
  }

  /** Wei that a payer has promised and that is not redeemed, of requests that can still come to be. */
  async promised(payer: string): Promise<bigint> {
    const { sum } = await this.#db
      .selectFrom('requests')
      .select(sql<string>`coalesce(sum((payment->>'fee')::numeric), 0)`.as('sum'))
      .where('state', 'in', ['open', 'batched'])
      .where('redeemed', 'is', null)
      .where(sql`payment->>'payer'`, '=', payer)
      .executeTakeFirstOrThrow()
    return BigInt(sum)
  }
}

const keyOf = ({ blobId, payer, disperser, nonce, fee }: Record<'blobId' | 'payer' | 'disperser', string> & Record<'nonce' | 'fee', bigint | string>): string =>
  [blobId, payer, disperser, nonce, fee].join()
