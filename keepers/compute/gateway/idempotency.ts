import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { GatewayError } from './errors.ts'

/** A client's Idempotency-Key, and the provider that its request went to first. */
interface IdempotencyTable {
  id: string
  request_hash: string
  provider: string
  /** Wall clock in ms. */
  expires_at: number
}

export interface Tables {
  idempotency: IdempotencyTable
}

export const migrations = {
  '001_idempotency': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('idempotency')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('request_hash', 'text', (column) => column.notNull())
        .addColumn('provider', 'text', (column) => column.notNull())
        .addColumn('expires_at', 'int8', (column) => column.notNull())
        .execute()
      await db.schema.createIndex('idempotency_expiry').on('idempotency').column('expires_at').execute()
    },
  },
}

/** As long as providers keep answers for their own keys, by default. */
const KEPT_MS = 600_000
const MAX_KEY = 255

/**
 * Where requests went that their clients may repeat, so that a repetition goes there first: providers answer the same key and body with the same
 * answer and charge once. Stored before anything is sent, so that a restart forgets none.
 */
export class Idempotency {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  /** What providers are told for a client's key: keys of different users never meet. @throws GatewayError 400 */
  idOf(user: string, path: string, key: string): string {
    if (key.length > MAX_KEY) throw new GatewayError(400, 'idempotency_key_too_long', `Idempotency-Key has ${key.length} characters, more than ${MAX_KEY}`)
    return createHash('sha256')
      .update(JSON.stringify([user, path, key]))
      .digest('hex')
  }

  /** The provider a request went to first. @throws GatewayError 422 when it was another request */
  async find(id: string, requestHash: string): Promise<string | undefined> {
    const row = await this.#db.selectFrom('idempotency').selectAll().where('id', '=', id).where('expires_at', '>', Date.now()).executeTakeFirst()
    if (row && row.request_hash !== requestHash) throw new GatewayError(422, 'idempotency_key_reused', 'this Idempotency-Key was used with another request')
    return row?.provider
  }

  async note(id: string, requestHash: string, provider: string): Promise<void> {
    const row = { request_hash: requestHash, provider, expires_at: Date.now() + KEPT_MS }
    await this.#db
      .insertInto('idempotency')
      .values({ id, ...row })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
      .execute()
  }

  async sweep(): Promise<void> {
    await this.#db.deleteFrom('idempotency').where('expires_at', '<=', Date.now()).execute()
  }
}
