import type { Generated, Kysely } from 'kysely'
import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { TaskState } from '../../../protocol/compute/tuning-task.ts'

export interface TaskTable {
  /** UUID */
  id: string
  user: string
  nonce: string
  dataset_hash: string
  model_hash: string
  /** Name of the offered model. */
  model: string
  /** As the user wrote them. */
  params: string
  /** Of the user, recovered from her signature: the key of her model is encrypted to it. */
  public_key: string
  state: TaskState
  /** Why it failed, in words for the user. */
  failure: string | null
  tokens: number | null
  /** Wei. */
  fee: string | null
  step: number
  steps: number | null
  loss: number | null
  created_at: Generated<Date>
  updated_at: Date
  /** Bytes of the encrypted file, and its keccak256. */
  file_size: number | null
  file_hash: string | null
  /** Address whose key signed the file. */
  signer: string | null
  /** What the deliverable commits to: root in the storage network, or keccak256 of the file where there is none. */
  root: string | null
  /** Blocks of what happened on chain. */
  delivered_block: number | null
  /** Unix seconds of the chain. */
  delivered_at: number | null
  acknowledged_block: number | null
  settled_block: number | null
  /** Block in which the key of the model was given to the user. */
  released_block: number | null
  /** The files are gone. */
  removed: Generated<boolean>
}

export interface TaskLogTable {
  position: Generated<number>
  task: string
  at: Generated<Date>
  line: string
}

/** Datasets that users uploaded: each is its user's only. */
export interface UploadTable {
  user: string
  hash: string
  size: number
  created_at: Generated<Date>
}

export interface Tables {
  tasks: TaskTable
  task_log: TaskLogTable
  uploads: UploadTable
}

export const migrations: Record<string, Migration> = {
  '001_tuning': {
    async up(db: Kysely<any>) {
      await db.schema
        .createTable('tasks')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('user', 'text', (column) => column.notNull())
        .addColumn('nonce', 'numeric', (column) => column.notNull())
        .addColumn('dataset_hash', 'text', (column) => column.notNull())
        .addColumn('model_hash', 'text', (column) => column.notNull())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('params', 'text', (column) => column.notNull())
        .addColumn('public_key', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('failure', 'text')
        .addColumn('tokens', 'int8')
        .addColumn('fee', 'numeric')
        .addColumn('step', 'int8', (column) => column.notNull())
        .addColumn('steps', 'int8')
        .addColumn('loss', 'float8')
        .addColumn('created_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
        .addColumn('updated_at', 'timestamptz', (column) => column.notNull())
        .addColumn('file_size', 'int8')
        .addColumn('file_hash', 'text')
        .addColumn('signer', 'text')
        .addColumn('root', 'text')
        .addColumn('delivered_block', 'int8')
        .addColumn('delivered_at', 'int8')
        .addColumn('acknowledged_block', 'int8')
        .addColumn('settled_block', 'int8')
        .addColumn('released_block', 'int8')
        .addColumn('removed', 'boolean', (column) => column.notNull().defaultTo(false))
        .addUniqueConstraint('tasks_nonce', ['user', 'nonce'])
        .execute()
      await db.schema.createIndex('tasks_state').on('tasks').column('state').execute()
      await db.schema
        .createTable('task_log')
        .addColumn('position', 'bigserial', (column) => column.primaryKey())
        .addColumn('task', 'text', (column) => column.notNull())
        .addColumn('at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
        .addColumn('line', 'text', (column) => column.notNull())
        .execute()
      await db.schema.createIndex('task_log_task').on('task_log').columns(['task', 'position']).execute()
      await db.schema
        .createTable('uploads')
        .addColumn('user', 'text', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .addColumn('size', 'int8', (column) => column.notNull())
        .addColumn('created_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
        .addPrimaryKeyConstraint('uploads_pk', ['user', 'hash'])
        .execute()
    },
  },
}
