import { type Generated, type Kysely, sql } from 'kysely'
import type { Migrations } from '../../runtime/database.ts'
import { type UpkeepTables, upkeepMigrations } from './upkeep-schema.ts'

/** Rows of one blob in one epoch, in a file of their own; hashes are hex. What the files say is only indexed here: see `BlobStore.open`. */
export interface HoldingTable {
  id: Generated<number>
  blob_id: string
  /** Of the epoch: after a reorganisation an epoch of the same number gives other rows. */
  seed: string
  epoch: number
  /** Our index in the epoch. */
  member: number
  log2_k: number
  row_size: number
  length: number
  row_root: string
  rlc_root: string
  /** How many. */
  rows: number
  /** Of the file. */
  bytes: number
  /** Something of it did not match when it was read: it is stored anew when it comes again. */
  damaged: boolean
  /** Its place among the certified ones; null until it is. */
  listed: number | null
}

/** A batch we know the blobs of; or one of which we know its certificate alone: then there is no seed, and no signatures. */
export interface BatchTable {
  root: string
  epoch: number
  seed: string | null
  bls: Uint8Array | null
  ecdsa: Uint8Array | null
  /** Unix seconds and block of its certificate, as far as there is one. */
  certified_at: number | null
  certified_block: number | null
}

export interface BatchBlobTable {
  root: string
  epoch: number
  index: number
  blob_id: string
  /** Siblings from the leaf up, 32 bytes each. */
  proof: Uint8Array
}

/** Challenges against us. The same question may be asked again, under the same id, once it is answered. */
export interface ChallengeTable {
  id: string
  blob_id: string
  row: number
  chunk: number
  /** Unix seconds. */
  deadline: number
  opened_block: number
  /** Where it was answered, or lost. */
  closed_block: number | null
}

/** Promises of payment for what is stored here. */
export interface PromiseTable {
  /** What the payer signed. */
  hash: string
  payer: string
  disperser: string
  nonce: string
  blob_id: string
  fee: string
  deadline: number
  redeemed_block: number | null
}

export interface Tables extends UpkeepTables {
  holdings: HoldingTable
  batches: BatchTable
  batch_blobs: BatchBlobTable
  challenges: ChallengeTable
  promises: PromiseTable
}

export const migrations: Migrations = {
  '001_blobs': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('holdings')
        .addColumn('id', 'bigserial', (column) => column.primaryKey())
        .addColumn('blob_id', 'text', (column) => column.notNull())
        .addColumn('seed', 'text', (column) => column.notNull())
        .addColumn('epoch', 'int8', (column) => column.notNull())
        .addColumn('member', 'int4', (column) => column.notNull())
        .addColumn('log2_k', 'int4', (column) => column.notNull())
        .addColumn('row_size', 'int4', (column) => column.notNull())
        .addColumn('length', 'int8', (column) => column.notNull())
        .addColumn('row_root', 'text', (column) => column.notNull())
        .addColumn('rlc_root', 'text', (column) => column.notNull())
        .addColumn('rows', 'int4', (column) => column.notNull())
        .addColumn('bytes', 'int8', (column) => column.notNull())
        .addColumn('damaged', 'boolean', (column) => column.notNull().defaultTo(false))
        .addColumn('listed', 'int8', (column) => column.unique())
        .addUniqueConstraint('holdings_blob', ['blob_id', 'seed'])
        .execute()
      await sql`create sequence holdings_listed`.execute(db)
      await db.schema.createIndex('holdings_epoch').on('holdings').column('epoch').execute()
      await db.schema
        .createTable('batches')
        .addColumn('root', 'text', (column) => column.notNull())
        .addColumn('epoch', 'int8', (column) => column.notNull())
        .addColumn('seed', 'text', (column) => column.notNull())
        .addColumn('bls', 'bytea', (column) => column.notNull())
        .addColumn('ecdsa', 'bytea', (column) => column.notNull())
        .addColumn('certified_at', 'int8')
        .addColumn('certified_block', 'int8')
        .addPrimaryKeyConstraint('batches_pk', ['root', 'epoch'])
        .execute()
      await db.schema
        .createTable('batch_blobs')
        .addColumn('root', 'text', (column) => column.notNull())
        .addColumn('epoch', 'int8', (column) => column.notNull())
        .addColumn('index', 'int4', (column) => column.notNull())
        .addColumn('blob_id', 'text', (column) => column.notNull())
        .addColumn('proof', 'bytea', (column) => column.notNull())
        .addPrimaryKeyConstraint('batch_blobs_pk', ['root', 'epoch', 'index'])
        .execute()
      await db.schema.createIndex('batch_blobs_blob').on('batch_blobs').column('blob_id').execute()
      await db.schema
        .createTable('challenges')
        .addColumn('id', 'text', (column) => column.notNull())
        .addColumn('blob_id', 'text', (column) => column.notNull())
        .addColumn('row', 'int4', (column) => column.notNull())
        .addColumn('chunk', 'int4', (column) => column.notNull())
        .addColumn('deadline', 'int8', (column) => column.notNull())
        .addColumn('opened_block', 'int8', (column) => column.notNull())
        .addColumn('closed_block', 'int8')
        .addPrimaryKeyConstraint('challenges_pk', ['id', 'opened_block'])
        .execute()
      await db.schema
        .createTable('promises')
        .addColumn('hash', 'text', (column) => column.primaryKey())
        .addColumn('payer', 'text', (column) => column.notNull())
        .addColumn('disperser', 'text', (column) => column.notNull())
        .addColumn('nonce', 'numeric', (column) => column.notNull())
        .addColumn('blob_id', 'text', (column) => column.notNull())
        .addColumn('fee', 'numeric', (column) => column.notNull())
        .addColumn('deadline', 'int8', (column) => column.notNull())
        .addColumn('redeemed_block', 'int8')
        .execute()
      await sql`create index promises_open on promises (payer) where redeemed_block is null`.execute(db)
    },
  },
  '002_promises_by_blob': {
    async up(db: Kysely<any>): Promise<void> {
      // The log tells which promise of a blob was redeemed; without this each such event reads the whole table.
      await db.schema.createIndex('promises_blob').on('promises').column('blob_id').execute()
    },
  },
  ...upkeepMigrations,
}
