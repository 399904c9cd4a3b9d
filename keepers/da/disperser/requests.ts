import { type Kysely, type Selectable, sql } from 'kysely'
import type { Blob } from '../../../protocol/da/blob.ts'
import { Groups } from '../../runtime/groups.ts'
import type { BatchTable, RequestTable, StoredPromise, Tables } from './schema.ts'

export type Request = Selectable<RequestTable>
export type Batch = Selectable<BatchTable>

/** What the pipeline needs to know of a request. */
export type Task = Pick<Request, 'id' | 'length' | 'attempts' | 'payment' | 'sponsored'>

/** What encoding told of a request. */
interface Encoded {
  id: string
  blobId: string
  blob: Blob
  payment: StoredPromise | null
}

const TASK = ['id', 'length', 'attempts', 'payment', 'sponsored'] as const

/** Rows touched by one statement at most. */
const AT_ONCE = 500

/** The requests and how far each has come. */
export class Requests {
  readonly #db: Kysely<Tables>
  readonly #encoded: Groups<Encoded>

  constructor(db: Kysely<Tables>) {
    this.#db = db
    this.#encoded = new Groups((encoded) => this.#writeEncoded(encoded))
  }

  async accept(tasks: readonly Task[]): Promise<void> {
    const accepted_at = Date.now()
    const rows = tasks.map(({ id, length, payment, sponsored }) => ({ id, length, payment: payment && JSON.stringify(payment), sponsored, accepted_at }))
    await this.#db.insertInto('requests').values(rows).execute()
  }

  find(id: string): Promise<Request | undefined> {
    return this.#db.selectFrom('requests').selectAll().where('id', '=', id).executeTakeFirst()
  }

  /** The latest request for a blob. */
  findBlob(blobId: string): Promise<Request | undefined> {
    return this.#db.selectFrom('requests').selectAll().where('blob_id', '=', blobId).orderBy('seq', 'desc').executeTakeFirst()
  }

  /** A request whose bytes are a certified blob and still here. */
  async findCertified(blobId: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('requests')
      .innerJoin('batches', 'batches.root', 'requests.batch')
      .select('requests.id')
      .where('blob_id', '=', blobId)
      .where('kept', '=', true)
      .where('batches.block', 'is not', null)
      .executeTakeFirst()
    return row?.id
  }

  /** Those to be certified, in the order they were accepted. */
  open(): Promise<Task[]> {
    return this.#db.selectFrom('requests').select(TASK).where('state', '=', 'open').orderBy('seq').execute()
  }

  /** Ids of all whose bytes are here. */
  async kept(): Promise<Set<string>> {
    const rows = await this.#db.selectFrom('requests').select('id').where('kept', '=', true).execute()
    return new Set(rows.map(({ id }) => id))
  }

  /** Resolves when it is written down, with others that come meanwhile. */
  encoded(id: string, blobId: string, blob: Blob, payment: StoredPromise | null): Promise<void> {
    return this.#encoded.add({ id, blobId, blob, payment })
  }

  async #writeEncoded(encoded: readonly Encoded[]): Promise<void> {
    await sql`update requests set blob_id = new."blobId", blob = new.blob, payment = new.payment
      from jsonb_to_recordset(${JSON.stringify(encoded)}::jsonb) as new(id text, "blobId" text, blob jsonb, payment jsonb)
      where requests.id = new.id`.execute(this.#db)
  }

  /** A try has failed: for good with a state, else it is tried again. */
  async failed(id: string, reason: string, state: 'open' | 'refused' | 'unsigned'): Promise<void> {
    await this.#db
      .updateTable('requests')
      .set((on) => ({ state, reason, attempts: on('attempts', '+', 1) }))
      .where('id', '=', id)
      .execute()
  }

  /** Ids of up to some hundreds whose bytes may go: accepted before a time (Unix milliseconds), and failed, or certified in a block up to `finalBlock` before that time. */
  async expendable(before: number, finalBlock: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('requests')
      .leftJoin('batches', 'batches.root', 'requests.batch')
      .select('requests.id')
      .where('kept', '=', true)
      .where('accepted_at', '<', before)
      .where((on) =>
        on.or([
          on('state', 'in', ['refused', 'unsigned']),
          on.and([on('batches.seen', '=', true), on('batches.block', '<=', finalBlock), on('batches.certified_at', '<', before)]),
        ]),
      )
      .limit(AT_ONCE)
      .execute()
    return rows.map(({ id }) => id)
  }

  async removed(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#db.updateTable('requests').set({ kept: false }).where('id', 'in', ids).execute()
  }

  /** Forgets requests whose bytes are gone and that were accepted before a time (Unix milliseconds), and batches of which nothing is left. */
  async forget(before: number): Promise<void> {
    await this.#db.deleteFrom('requests').where('kept', '=', false).where('accepted_at', '<', before).execute()
    await this.#db
      .deleteFrom('batches')
      .where('certified_at', '<', before)
      .where((on) => on.not(on.exists(on.selectFrom('requests').select('id').whereRef('requests.batch', '=', 'batches.root'))))
      .execute()
  }
}
