import { type ColumnType, type Generated, type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** The tables the runtime keeps beside a keeper's own, in the keeper's schema. */
export interface RuntimeTables {
  /** How far a follower has applied the chain's logs. */
  chain_cursor: { follower: string; genesis: string; number: number; hash: string }
  /** Blocks a follower has stopped at: where a reorganised chain is compared with what was applied. */
  chain_checkpoint: { follower: string; number: number; hash: string }
  /** What a sender has signed, written before it is broadcast. */
  sent_transaction: {
    /** `<chain id>:<genesis hash>` */
    chain: string
    sender: string
    /** Names the intent, not the attempt: the same key never pays twice. */
    key: string
    nonce: number
    to: string
    data: string
    value: string
    /** Signed forms that share the nonce, newest last. */
    raw: ColumnType<string[], string, string>
    hashes: ColumnType<string[], string, string>
    state: 'pending' | 'confirmed' | 'reverted'
    created_at: Generated<Date>
  }
}

export const runtimeMigrations: Record<string, Migration> = {
  '001_cursor_and_transactions': {
    async up(database: Kysely<any>) {
      await database.schema
        .createTable('chain_cursor')
        .addColumn('follower', 'text', (column) => column.primaryKey())
        .addColumn('genesis', 'text', (column) => column.notNull())
        .addColumn('number', 'int8', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .execute()
      await database.schema
        .createTable('chain_checkpoint')
        .addColumn('follower', 'text', (column) => column.notNull())
        .addColumn('number', 'int8', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('chain_checkpoint_pk', ['follower', 'number'])
        .execute()
      await database.schema
        .createTable('sent_transaction')
        .addColumn('chain', 'text', (column) => column.notNull())
        .addColumn('sender', 'text', (column) => column.notNull())
        .addColumn('key', 'text', (column) => column.notNull())
        .addColumn('nonce', 'int8', (column) => column.notNull())
        .addColumn('to', 'text', (column) => column.notNull())
        .addColumn('data', 'text', (column) => column.notNull())
        .addColumn('value', 'numeric', (column) => column.notNull())
        .addColumn('raw', 'jsonb', (column) => column.notNull())
        .addColumn('hashes', 'jsonb', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('created_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
        .addPrimaryKeyConstraint('sent_transaction_pk', ['chain', 'sender', 'key'])
        .execute()
    },
  },
}
