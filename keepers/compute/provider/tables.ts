import { type Generated, type Kysely, type Selectable, sql } from 'kysely'

/**
 * An answer: its receipt (the fields of contracts/compute/Receipts.sol), what signed it, and how far it is on the way to being paid. Amounts
 * are numeric, which reads as text; hashes are 0x hex.
 */
export interface AnswerTable {
  /** As the client was told in ZG-Res-Key. */
  id: string
  user: string
  sequence: number
  /** Unix seconds. */
  created_at: number
  token_id: number
  price_version: number
  input_units: number
  output_units: number
  fee: string
  cumulative_fee: string
  key_spend: string
  request_hash: string
  response_hash: string
  model: string
  spec_hash: string
  seed: string
  /** Name of the rule, for example "tokens/1". */
  units_rule: string
  /** Since when `key_spend` counts: another one starts it from 0. */
  key_epoch: string
  signer: string
  /** EIP-191, over receiptText. */
  signature: string
  /**
   * `metered`: to be settled. `batched`: in a signed batch that the chain has not confirmed. `settled`: charged. `written_off`: the chain
   * charged less than the fee.
   */
  state: Generated<'metered' | 'batched' | 'settled' | 'written_off'>
  /** Nonce of the batch, from `batched` on. */
  batch: Generated<number | null>
}

export type Answer = Selectable<AnswerTable>

/** A batch of answers that one signature of the enclave settles. */
export interface BatchTable {
  nonce: number
  signer: string
  /** Merkle root of the receipts, in the order of (user, sequence). */
  root: string
  /** JSON of the packed items, 0x hex of 32 bytes each. */
  items: string
  /** EIP-712. */
  signature: string
  /** `signed`: written before it is broadcast. `settled`: seen in BatchSettled. */
  state: Generated<'signed' | 'settled'>
  /** Unix seconds. */
  created_at: number
  tx_hash: Generated<string | null>
  /** Of BatchSettled; a reorganisation takes it back. */
  block_number: Generated<number | null>
  /** JSON of the wei charged for each item, as text. */
  charged: Generated<string | null>
  /** One byte for each item, 0x hex. */
  outcomes: Generated<string | null>
}

/** What was sent for an Idempotency-Key, to be sent again. */
export interface ReplayTable {
  user: string
  key: string
  answer: string
  request_hash: string
  content_type: string
  body: Uint8Array
  /** Wall clock in ms. */
  expires_at: number
}

/** KeyLimitSet events: the chain keeps only the hash of a key's models. */
export interface KeyModelsTable {
  user: string
  token_id: number
  block_number: number
  log_index: number
  /** JSON of the model hashes. */
  models: string
}

/** Users who doubt what a batch charged them, as ReceiptDisputes has it. */
export interface ChallengeTable {
  id: string
  user: string
  /** Of the batch. */
  nonce: number
  /** Unix seconds until which it has to be answered. */
  deadline: number
  block_number: number
  /** Of its answer. */
  closed_block: number | null
}

export interface Tables {
  answers: AnswerTable
  batches: BatchTable
  replays: ReplayTable
  key_models: KeyModelsTable
  challenges: ChallengeTable
}

export const migrations = {
  '001_answers': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('answers')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('user', 'text', (column) => column.notNull())
        .addColumn('sequence', 'int8', (column) => column.notNull())
        .addColumn('created_at', 'int8', (column) => column.notNull())
        .addColumn('token_id', 'int2', (column) => column.notNull())
        .addColumn('price_version', 'int4', (column) => column.notNull())
        .addColumn('input_units', 'int8', (column) => column.notNull())
        .addColumn('output_units', 'int8', (column) => column.notNull())
        .addColumn('fee', 'numeric', (column) => column.notNull())
        .addColumn('cumulative_fee', 'numeric', (column) => column.notNull())
        .addColumn('key_spend', 'numeric', (column) => column.notNull())
        .addColumn('request_hash', 'text', (column) => column.notNull())
        .addColumn('response_hash', 'text', (column) => column.notNull())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('spec_hash', 'text', (column) => column.notNull())
        .addColumn('seed', 'numeric', (column) => column.notNull())
        .addColumn('units_rule', 'text', (column) => column.notNull())
        .addColumn('key_epoch', 'text', (column) => column.notNull())
        .addColumn('signer', 'text', (column) => column.notNull())
        .addColumn('signature', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull().defaultTo('metered'))
        .addColumn('batch', 'int8')
        .addUniqueConstraint('answers_of_user', ['user', 'sequence'])
        .execute()
      await db.schema.createIndex('answers_metered').on('answers').columns(['user', 'sequence']).where(sql<boolean>`state = 'metered'`).execute()
      await db.schema.createIndex('answers_batch').on('answers').columns(['batch', 'user', 'sequence']).execute()
      await db.schema
        .createTable('batches')
        .addColumn('nonce', 'int8', (column) => column.primaryKey())
        .addColumn('signer', 'text', (column) => column.notNull())
        .addColumn('root', 'text', (column) => column.notNull())
        .addColumn('items', 'text', (column) => column.notNull())
        .addColumn('signature', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull().defaultTo('signed'))
        .addColumn('created_at', 'int8', (column) => column.notNull())
        .addColumn('tx_hash', 'text')
        .addColumn('block_number', 'int8')
        .addColumn('charged', 'text')
        .addColumn('outcomes', 'text')
        .execute()
      await db.schema
        .createTable('replays')
        .addColumn('user', 'text', (column) => column.notNull())
        .addColumn('key', 'text', (column) => column.notNull())
        .addColumn('answer', 'text', (column) => column.notNull())
        .addColumn('request_hash', 'text', (column) => column.notNull())
        .addColumn('content_type', 'text', (column) => column.notNull())
        .addColumn('body', 'bytea', (column) => column.notNull())
        .addColumn('expires_at', 'int8', (column) => column.notNull())
        .addPrimaryKeyConstraint('replays_pk', ['user', 'key'])
        .execute()
      await db.schema.createIndex('replays_expiry').on('replays').column('expires_at').execute()
      await db.schema
        .createTable('key_models')
        .addColumn('user', 'text', (column) => column.notNull())
        .addColumn('token_id', 'int2', (column) => column.notNull())
        .addColumn('block_number', 'int8', (column) => column.notNull())
        .addColumn('log_index', 'int4', (column) => column.notNull())
        .addColumn('models', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('key_models_pk', ['user', 'token_id', 'block_number', 'log_index'])
        .execute()
    },
  },
  '002_challenges': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('challenges')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('user', 'text', (column) => column.notNull())
        .addColumn('nonce', 'int8', (column) => column.notNull())
        .addColumn('deadline', 'int8', (column) => column.notNull())
        .addColumn('block_number', 'int8', (column) => column.notNull())
        .addColumn('closed_block', 'int8')
        .execute()
    },
  },
}
