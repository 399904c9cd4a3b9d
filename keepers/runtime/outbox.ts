import type { Kysely } from 'kysely'
import type { Database } from './database.ts'
import type { RuntimeTables } from './tables.ts'

/** A signed transaction and its replacements, all of one nonce. */
export interface Outgoing {
  key: string
  nonce: number
  to: string
  data: string
  value: bigint
  raw: string[]
  hashes: string[]
  state: 'pending' | 'confirmed' | 'reverted'
}

/** What one key has signed on one chain: written before it is broadcast, so that after a crash nothing is signed twice. */
export class Outbox {
  private readonly database: Kysely<RuntimeTables>
  private readonly chain: string
  private readonly sender: string

  constructor(database: Database, chain: string, sender: string) {
    this.database = database
    this.chain = chain
    this.sender = sender
  }

  async find(key: string): Promise<Outgoing | undefined> {
    const row = await this.rows().where('key', '=', key).executeTakeFirst()
    return row && outgoing(row)
  }

  async pending(): Promise<Outgoing[]> {
    const rows = await this.rows().where('state', '=', 'pending').orderBy('nonce').execute()
    return rows.map(outgoing)
  }

  async save({ key, nonce, to, data, value, raw, hashes, state }: Outgoing): Promise<void> {
    const content = { nonce, to, data, value: value.toString(), raw: JSON.stringify(raw), hashes: JSON.stringify(hashes), state }
    await this.database
      .insertInto('sent_transaction')
      .values({ chain: this.chain, sender: this.sender, key, ...content })
      .onConflict((conflict) => conflict.columns(['chain', 'sender', 'key']).doUpdateSet(content))
      .execute()
  }

  async remove(key: string): Promise<void> {
    await this.database.deleteFrom('sent_transaction').where('chain', '=', this.chain).where('sender', '=', this.sender).where('key', '=', key).execute()
  }

  private rows() {
    return this.database.selectFrom('sent_transaction').selectAll().where('chain', '=', this.chain).where('sender', '=', this.sender)
  }
}

function outgoing({ key, nonce, to, data, value, raw, hashes, state }: Record<keyof Outgoing, any>): Outgoing {
  return { key, nonce, to, data, value: BigInt(value), raw, hashes, state }
}
