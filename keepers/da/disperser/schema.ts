import type { ColumnType, Generated, Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Blob } from '../../../protocol/da/blob.ts'

/** A promise of payment as it is kept: amounts and numbers as decimal text, the signature 0x hex. Its blob is that of the request. */
export interface StoredPromise {
  payer: string
  disperser: string
  fee: string
  nonce: string
  deadline: string
  signature: string
}

type Json<T> = ColumnType<T | null, string | null | undefined, string | null>

/** What somebody asked to have certified. */
export interface RequestTable {
  /** As the client was told: hex of the data's SHA-256, a dash, hex of random bytes. Also the name of the file with the data. */
  id: string
  /** Order of acceptance. */
  seq: Generated<number>
  /** bytes */
  length: number
  /** Unix milliseconds. */
  accepted_at: number
  /** `open`: on the way into a batch. `batched`: in the one that `batch` names. `refused`, `unsigned`: failed, with a reason. */
  state: Generated<'open' | 'batched' | 'refused' | 'unsigned'>
  /** Of the last failure. */
  reason: Generated<string | null>
  /** Tries that failed. */
  attempts: Generated<number>
  blob_id: Generated<string | null>
  blob: Json<Blob>
  /** The client's promise, or ours. */
  payment: Json<StoredPromise>
  /** Whether we pay. */
  sponsored: boolean
  /** Outcome of redeeming the promise. */
  redeemed: Generated<string | null>
  /** The block that says so; a reorganisation takes it back. */
  redeemed_block: Generated<number | null>
  /** Whether the event was read from the chain's log too, not only in the receipt. */
  redeemed_seen: Generated<boolean>
  /** Root of the batch it is in, and the index of its leaf. */
  batch: Generated<string | null>
  leaf: Generated<number | null>
  /** Whether the bytes are still on our disk. */
  kept: Generated<boolean>
}

/** A batch with its certificate, written before it is sent. */
export interface BatchTable {
  root: string
  epoch: number
  /** JSON of the leaves, in order. */
  blob_ids: ColumnType<string[], string, string>
  /** Calldata that certifies it. */
  call: string
  /** Of the event BatchCertified; a reorganisation takes it back. Weights in wei. */
  block: Generated<number | null>
  tx_hash: Generated<string | null>
  signed: Generated<string | null>
  total: Generated<string | null>
  /** Unix milliseconds, by our clock. */
  certified_at: Generated<number | null>
  /** Whether the event was read from the chain's log too, not only in the receipt. */
  seen: Generated<boolean>
}

/** BLS keys of signers. What the contract found to belong together does so on every fork: nothing takes it back. */
export interface SignerKeyTable {
  /** In G1: x and y, 64 bytes of hex. */
  key: string
  /** In G2: JSON of x and y, imaginary part first, as decimal text. */
  key_g2: ColumnType<string[], string, never>
}

export interface Tables {
  requests: RequestTable
  batches: BatchTable
  signer_keys: SignerKeyTable
}

export const migrations: Record<string, Migration> = {
  '001_requests_and_batches': {
    async up(db: Kysely<any>) {
      await db.schema
        .createTable('batches')
        .addColumn('root', 'text', (column) => column.primaryKey())
        .addColumn('epoch', 'int8', (column) => column.notNull())
        .addColumn('blob_ids', 'jsonb', (column) => column.notNull())
        .addColumn('call', 'text', (column) => column.notNull())
        .addColumn('block', 'int8')
        .addColumn('tx_hash', 'text')
        .addColumn('signed', 'numeric')
        .addColumn('total', 'numeric')
        .addColumn('certified_at', 'int8')
        .addColumn('seen', 'boolean', (column) => column.notNull().defaultTo(false))
        .execute()
      await db.schema
        .createTable('requests')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('seq', 'bigserial', (column) => column.notNull())
        .addColumn('length', 'int8', (column) => column.notNull())
        .addColumn('accepted_at', 'int8', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull().defaultTo('open'))
        .addColumn('reason', 'text')
        .addColumn('attempts', 'int4', (column) => column.notNull().defaultTo(0))
        .addColumn('blob_id', 'text')
        .addColumn('blob', 'jsonb')
        .addColumn('payment', 'jsonb')
        .addColumn('sponsored', 'boolean', (column) => column.notNull())
        .addColumn('redeemed', 'text')
        .addColumn('batch', 'text', (column) => column.references('batches.root'))
        .addColumn('leaf', 'int4')
        .addColumn('kept', 'boolean', (column) => column.notNull().defaultTo(true))
        .execute()
      await db.schema.createIndex('requests_state').on('requests').columns(['state', 'seq']).execute()
      await db.schema.createIndex('requests_blob').on('requests').columns(['blob_id', 'seq']).execute()
      await db.schema.createIndex('requests_batch').on('requests').column('batch').execute()
      await db.schema.createIndex('requests_kept').on('requests').columns(['kept', 'accepted_at']).execute()
      await db.schema.createIndex('batches_block').on('batches').column('block').execute()
    },
  },
  '002_signer_keys_and_redemptions': {
    async up(db: Kysely<any>) {
      await db.schema
        .createTable('signer_keys')
        .addColumn('key', 'text', (column) => column.primaryKey())
        .addColumn('key_g2', 'jsonb', (column) => column.notNull())
        .execute()
      await db.schema
        .alterTable('requests')
        .addColumn('redeemed_block', 'int8')
        .addColumn('redeemed_seen', 'boolean', (column) => column.notNull().defaultTo(false))
        .execute()
      await db.schema.createIndex('requests_redeemed').on('requests').column('redeemed_block').execute()
    },
  },
}
