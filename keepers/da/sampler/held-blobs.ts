import type { Kysely, Selectable } from 'kysely'
import type { Blob } from '../../../protocol/da/blob.ts'

/** A blob in a certified batch, and the rows of it that a signer must hold. */
export interface HeldBlob {
  blobId: string
  blob: Blob
  batchRoot: string
  /** Of the blob in the batch. */
  index: number
  proof: string[]
  /** Of the signer in the epoch of the certificate. */
  member: number
  rows: Uint32Array
  /** Unix seconds. */
  certifiedAt: number
}

interface HeldBlobTable {
  account: string
  blob_id: string
  /** JSON of all but the rows. */
  place: string
  rows: Uint8Array
  certified_at: number
}

export interface Tables {
  held_blobs: HeldBlobTable
  listings: { account: string; chain: string; cursor: number }
}

export const migrations = {
  '001_held_blobs': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('held_blobs')
        .addColumn('account', 'text', (column) => column.notNull())
        .addColumn('blob_id', 'text', (column) => column.notNull())
        .addColumn('place', 'text', (column) => column.notNull())
        .addColumn('rows', 'bytea', (column) => column.notNull())
        .addColumn('certified_at', 'int8', (column) => column.notNull())
        .addPrimaryKeyConstraint('held_blobs_pk', ['account', 'blob_id'])
        .execute()
      await db.schema.createIndex('held_blobs_certified_at').on('held_blobs').column('certified_at').execute()
      await db.schema
        .createTable('listings')
        .addColumn('account', 'text', (column) => column.primaryKey())
        .addColumn('chain', 'text', (column) => column.notNull())
        .addColumn('cursor', 'int8', (column) => column.notNull())
        .execute()
    },
  },
}

/** Blobs in memory at once; each has at most 16384 rows of four bytes. */
const PAGE = 32

/** What signers hold and can be rewarded for, with how far each has been asked. */
export class HeldBlobs {
  readonly #db: Kysely<Tables>
  readonly #chain: string

  /** `chain`: where the certificates are. What was listed for another is forgotten. */
  constructor(db: Kysely<Tables>, chain: string) {
    this.#db = db
    this.#chain = chain
  }

  /** Where the listing of a signer goes on; 0 at first. */
  async cursor(account: string): Promise<number> {
    const listing = await this.#db.selectFrom('listings').selectAll().where('account', '=', account).executeTakeFirst()
    if (listing?.chain === this.#chain) return listing.cursor
    await this.#db.deleteFrom('held_blobs').where('account', '=', account).execute()
    return 0
  }

  /** Adds blobs, and moves the cursor behind them. A blob that was there is certified once more: the newer certificate counts. */
  async add(account: string, blobs: readonly HeldBlob[], cursor: number): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      for (const { blobId, rows, certifiedAt, ...place } of blobs) {
        const row = { place: JSON.stringify(place), rows: Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength), certified_at: certifiedAt }
        await trx
          .insertInto('held_blobs')
          .values({ account, blob_id: blobId, ...row })
          .onConflict((on) => on.columns(['account', 'blob_id']).doUpdateSet(row))
          .execute()
      }
      const listing = { chain: this.#chain, cursor }
      await trx
        .insertInto('listings')
        .values({ account, ...listing })
        .onConflict((on) => on.column('account').doUpdateSet(listing))
        .execute()
    })
  }

  /** Forgets what was certified before `time` (unix seconds). */
  async forgetBefore(time: number): Promise<void> {
    await this.#db.deleteFrom('held_blobs').where('certified_at', '<', time).execute()
  }

  /** All blobs of a signer by their ids, from `start` (32 bytes in hex) on and around. */
  async *walk(account: string, start: string): AsyncGenerator<HeldBlob> {
    yield* this.#between(account, start, undefined)
    yield* this.#between(account, '', start)
  }

  async count(account: string): Promise<number> {
    const { count } = await this.#db
      .selectFrom('held_blobs')
      .select((on) => on.fn.countAll<string>().as('count'))
      .where('account', '=', account)
      .executeTakeFirstOrThrow()
    return Number(count)
  }

  async *#between(account: string, from: string, to: string | undefined): AsyncGenerator<HeldBlob> {
    let query = this.#db.selectFrom('held_blobs').selectAll().where('account', '=', account).orderBy('blob_id').limit(PAGE)
    if (to !== undefined) query = query.where('blob_id', '<', to)
    let page = await query.where('blob_id', '>=', from).execute()
    while (page.length > 0) {
      for (const row of page) yield heldBlob(row)
      page = page.length < PAGE ? [] : await query.where('blob_id', '>', page.at(-1)!.blob_id).execute()
    }
  }
}

/** Four bytes a row, as this machine has them: nobody else reads them. */
function heldBlob({ blob_id, place, rows, certified_at }: Selectable<HeldBlobTable>): HeldBlob {
  return { blobId: blob_id, ...JSON.parse(place), rows: new Uint32Array(Uint8Array.from(rows).buffer), certifiedAt: certified_at }
}
