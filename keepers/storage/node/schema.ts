import { type Generated, type Kysely, sql } from 'kysely'

export interface SubmissionTable {
  seq: number
  root: string
  size: number
  start_entry: number
  sectors: number
  /** JSON of [{ root, height }]. */
  nodes: string
  sender: string
  tags: string
  tx_hash: string
  block_number: number
  /** Wall clock in ms. */
  seen_at: number
  /** Wall clock in ms; null until every segment of our shard is stored, and again when one is lost. */
  finalized_at: Generated<number | null>
  /** Unix seconds until which the submission is paid for; null until asked for. */
  lease_until: Generated<number | null>
  /** Block of the last renewal. */
  renewed_block: Generated<number | null>
}

/** What NewEpoch events say: the roots that miners prove against. */
export interface EpochTable {
  block_number: number
  root: string
  length: number
}

export interface ReceiptTable {
  seq: number
  root: string
  until: number
  signature: string
}

/** Where the last scrub stopped, and which data folder the other tables speak of. */
export interface StateTable {
  key: 'scrubbed' | 'folder'
  value: string
}

export interface Tables {
  submissions: SubmissionTable
  epochs: EpochTable
  receipts: ReceiptTable
  state: StateTable
}

export const migrations = {
  '001_submissions': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('submissions')
        .addColumn('seq', 'bigint', (column) => column.primaryKey())
        .addColumn('root', 'text', (column) => column.notNull())
        .addColumn('size', 'bigint', (column) => column.notNull())
        .addColumn('start_entry', 'bigint', (column) => column.notNull())
        .addColumn('sectors', 'bigint', (column) => column.notNull())
        .addColumn('nodes', 'text', (column) => column.notNull())
        .addColumn('sender', 'text', (column) => column.notNull())
        .addColumn('tags', 'text', (column) => column.notNull())
        .addColumn('tx_hash', 'text', (column) => column.notNull())
        .addColumn('block_number', 'bigint', (column) => column.notNull())
        .addColumn('seen_at', 'bigint', (column) => column.notNull())
        .addColumn('finalized_at', 'bigint')
        .addColumn('lease_until', 'bigint')
        .addColumn('renewed_block', 'bigint')
        .execute()
      await db.schema.createIndex('submissions_root').on('submissions').columns(['root', 'seq']).execute()
      await db.schema.createIndex('submissions_start').on('submissions').column('start_entry').execute()
      await db.schema.createIndex('submissions_block').on('submissions').column('block_number').execute()
      await db.schema.createIndex('submissions_lease').on('submissions').column('lease_until').execute()
      await db.schema.createIndex('submissions_open').on('submissions').column('seq').where(sql<boolean>`finalized_at is null`).execute()
      await db.schema
        .createTable('epochs')
        .addColumn('block_number', 'bigint', (column) => column.notNull())
        .addColumn('root', 'text', (column) => column.primaryKey())
        .addColumn('length', 'bigint', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('receipts')
        .addColumn('seq', 'bigint', (column) => column.primaryKey())
        .addColumn('root', 'text', (column) => column.notNull())
        .addColumn('until', 'bigint', (column) => column.notNull())
        .addColumn('signature', 'text', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('state')
        .addColumn('key', 'text', (column) => column.primaryKey())
        .addColumn('value', 'text', (column) => column.notNull())
        .execute()
    },
  },
}
