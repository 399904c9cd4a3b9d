import { type Generated, type Kysely, sql, type Transaction } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Bytes of one row of `kv_data`: a segment of the file. */
export const PART_SIZE = 262_144
/** Bytes of a key that are indexed: a key may be 16 MiB, a row of an index not. Heads sort as their keys do. */
export const KEY_HEAD = 1024
/** Keys asked about in one query. */
export const KEYS_AT_ONCE = 200

export const headOf = (key: Uint8Array): Uint8Array => key.subarray(0, KEY_HEAD)

/** A submission tagged with streams, in the order of the log. Hex columns are lower-case. */
interface SubmissionTable {
  seq: number
  block: number
  transaction: string
  root: string
  size: number
  /** JSON array of the streams in its tags. */
  streams: string
  /** Account that signed the transaction; null until it was looked up. */
  sender: string | null
  decided: Generated<boolean>
  /** What kv_getTransactionResult says; null while undecided, and for submissions to streams that are not watched. */
  result: string | null
  /** JSON array of the streams in its tags and its reads: what its result depends on, and nothing else. */
  depends: string | null
  /** Since when (ms) the storage network has answered that it does not have the data. */
  absentSince: number | null
  /** When (ms) the data of a submission decided without them were last looked for. */
  checkedAt: number | null
}

/** A value, as a range of bytes of its submission's file. Length 0 deletes the key. */
interface WriteTable {
  seq: number
  item: number
  stream: string
  key: Uint8Array
  keyHead: Generated<Uint8Array>
  start: number
  length: number
}

/** A change of who may write. `account` is '' and `key` empty where the operation has none. */
interface ControlTable {
  seq: number
  item: number
  stream: string
  class: number
  op: number
  account: string
  key: Uint8Array
  keyHead: Generated<Uint8Array>
}

/** A file that has been downloaded and verified. */
interface FileTable {
  root: string
  size: number
}

interface DataTable {
  root: string
  part: number
  bytes: Uint8Array
}

/** Submissions of the log (of any kind) up to and with the block: one row per block that has some. */
interface HeadTable {
  block: number
  nextSeq: number
}

interface StateTable {
  id: number
  watched: string
  firstSeq: number | null
}

export interface KvSchema {
  kv_submission: SubmissionTable
  kv_write: WriteTable
  kv_control: ControlTable
  kv_file: FileTable
  kv_data: DataTable
  kv_head: HeadTable
  kv_state: StateTable
}

export type KvDatabase = Kysely<KvSchema>
export type KvTransaction = Transaction<KvSchema>

/**
 * Writes and controls are versioned by the submission that made them, so the state after any submission can be read, and
 * deleting a submission undoes it. Values stay in the files: replaying again, after a reorg or because missing data
 * appeared, needs no second download.
 */
export const migrations: Record<string, Migration> = {
  '1': {
    async up(db: Kysely<any>) {
      await sql`create table kv_submission (
        "seq" bigint primary key, "block" bigint not null, "transaction" text not null, "root" text not null, "size" bigint not null, "streams" text not null,
        "sender" text, "decided" boolean not null default false, "result" text, "depends" text, "absentSince" bigint, "checkedAt" bigint)`.execute(db)
      await sql`create index kv_submission_block on kv_submission ("block")`.execute(db)
      await sql`create index kv_submission_root on kv_submission ("root")`.execute(db)
      await sql`create index kv_submission_undecided on kv_submission ("seq") where not "decided"`.execute(db)
      await sql`create index kv_submission_failed on kv_submission ("checkedAt") where "result" = 'DownloadFailed'`.execute(db)
      await sql`create table kv_write (
        "seq" bigint not null references kv_submission on delete cascade, "item" integer not null, "stream" text not null,
        "key" bytea not null, "keyHead" bytea generated always as (substring("key" from 1 for ${sql.lit(KEY_HEAD)})) stored,
        "start" bigint not null, "length" bigint not null, primary key ("seq", "item"))`.execute(db)
      await sql`create index kv_write_key on kv_write ("stream", "keyHead", "seq")`.execute(db)
      await sql`create table kv_control (
        "seq" bigint not null references kv_submission on delete cascade, "item" integer not null, "stream" text not null,
        "class" smallint not null, "op" smallint not null, "account" text not null,
        "key" bytea not null, "keyHead" bytea generated always as (substring("key" from 1 for ${sql.lit(KEY_HEAD)})) stored, primary key ("seq", "item"))`.execute(
        db,
      )
      await sql`create index kv_control_account on kv_control ("stream", "class", "account", "keyHead", "seq")`.execute(db)
      await sql`create table kv_file ("root" text primary key, "size" bigint not null)`.execute(db)
      await sql`create table kv_data ("root" text not null, "part" integer not null, "bytes" bytea not null, primary key ("root", "part"))`.execute(db)
      await sql`alter table kv_data alter column "bytes" set storage external`.execute(db)
      await sql`create table kv_head ("block" bigint primary key, "nextSeq" bigint not null)`.execute(db)
      await sql`create table kv_state ("id" smallint primary key, "watched" text not null, "firstSeq" bigint)`.execute(db)
    },
  },
}
