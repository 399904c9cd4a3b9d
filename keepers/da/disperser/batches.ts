import { type Kysely, sql, type Transaction } from 'kysely'
import type { Batch, Task } from './requests.ts'
import type { Tables } from './schema.ts'

/** What the chain says of a batch's certificate. Weights in wei. */
export interface Certificate {
  root: string
  block: number
  txHash: string
  signed: bigint
  total: bigint
}

export interface NewBatch {
  root: string
  epoch: number
  blobIds: readonly string[]
  call: string
}

/** The batches, from their signatures to their certificates. */
export class Batches {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  find(root: string): Promise<Batch | undefined> {
    return this.#db.selectFrom('batches').selectAll().where('root', '=', root).executeTakeFirst()
  }

  /** Writes a batch down, and that its requests, by the index of their leaf, are in it: all or nothing, in one statement. */
  async create({ root, epoch, blobIds, call }: NewBatch, requests: readonly (readonly string[])[]): Promise<void> {
    const leaves = requests.flatMap((ids, leaf) => ids.map((id) => ({ id, leaf })))
    await sql`with batch as (
        insert into batches (root, epoch, blob_ids, call) values (${root}, ${epoch}, ${JSON.stringify(blobIds)}, ${call})
      )
      update requests set state = 'batched', batch = ${root}, leaf = new.leaf
      from jsonb_to_recordset(${JSON.stringify(leaves)}::jsonb) as new(id text, leaf int4)
      where requests.id = new.id`.execute(this.#db)
  }

  /** Those without a certificate. */
  uncertified(): Promise<Batch[]> {
    return this.#db.selectFrom('batches').selectAll().where('block', 'is', null).execute()
  }

  /** Requests for a blob that is in a batch already; one that was certified before costs nothing. */
  async join(root: string, leaf: number, ids: readonly string[], free: boolean): Promise<void> {
    await this.#db
      .updateTable('requests')
      .set({ state: 'batched', batch: root, leaf, ...(free && { redeemed: 'NotCharged' }) })
      .where('id', 'in', ids)
      .execute()
  }

  /**
   * A receipt holds the certificate, and the log will say so too; or the log itself said so (`seen`). Returns the batch and how many seconds each of its
   * requests took.
   */
  async certified(
    { root, block, txHash, signed, total }: Certificate,
    seen: boolean,
  ): Promise<{ call: string; blobIds: string[]; seconds: number[] } | undefined> {
    const now = Date.now()
    const batch = await this.#db
      .updateTable('batches')
      .set((on) => ({
        block,
        tx_hash: txHash,
        signed: String(signed),
        total: String(total),
        certified_at: on.fn.coalesce('certified_at', on.val(now)),
        ...(seen && { seen }),
      }))
      .where('root', '=', root)
      .returning(['call', 'blob_ids'])
      .executeTakeFirst()
    if (!batch) return undefined
    const requests = await this.#db.selectFrom('requests').select('accepted_at').where('batch', '=', root).execute()
    return { call: batch.call, blobIds: batch.blob_ids, seconds: requests.map(({ accepted_at }) => (now - accepted_at) / 1000) }
  }

  /**
   * Applies the certificates in the log up to a block. Returns roots of batches whose receipt told of a block that the log does not have any more: their
   * certificates have to be sent again.
   */
  async seen(trx: Transaction<Tables>, certificates: readonly Certificate[], toBlock: number): Promise<string[]> {
    for (const { root, block, txHash, signed, total } of certificates)
      await trx
        .updateTable('batches')
        .set((on) => ({
          block,
          tx_hash: txHash,
          signed: String(signed),
          total: String(total),
          seen: true,
          certified_at: on.fn.coalesce('certified_at', on.val(Date.now())),
        }))
        .where('root', '=', root)
        .execute()
    return this.#lost(trx, (on) => on.and([on('block', '<=', toBlock), on('seen', '=', false)]))
  }

  /** Undoes certificates after a block. Returns the roots of their batches. */
  rollback(trx: Transaction<Tables>, toBlock: number): Promise<string[]> {
    return this.#lost(trx, (on) => on('block', '>', toBlock))
  }

  async #lost(trx: Transaction<Tables>, which: (on: any) => any): Promise<string[]> {
    const rows = await trx
      .updateTable('batches')
      .set({ block: null, tx_hash: null, signed: null, total: null, certified_at: null, seen: false })
      .where(which)
      .returning('root')
      .execute()
    return rows.map(({ root }) => root)
  }

  /** It will never be certified: its requests are open again. Returns them. */
  dissolve(root: string, reason: string): Promise<Task[]> {
    return this.#db.transaction().execute(async (trx) => {
      const tasks = await trx
        .updateTable('requests')
        .set((on) => ({ state: 'open', batch: null, leaf: null, reason, attempts: on('attempts', '+', 1) }))
        .where('batch', '=', root)
        .returning(['id', 'length', 'attempts', 'payment', 'sponsored'])
        .execute()
      await trx.deleteFrom('batches').where('root', '=', root).execute()
      return tasks
    })
  }
}
