/** Reading streams as of a submission. Keys sort bytewise; deleted keys are absent. */
import { sql } from 'kysely'
import { headOf, type KvDatabase, PART_SIZE } from './schema.ts'

/** Where a value is: `length` bytes at `start` of the file `root`, written by submission `seq`. */
export interface ValueEntry {
  key: Uint8Array
  seq: number
  root: string
  start: number
  length: number
}

/** The entry that was written last up to submission `upTo`; of length 0 when that deleted the key, undefined when nothing ever wrote it. */
export async function latestEntry(db: KvDatabase, stream: string, key: Uint8Array, upTo: number): Promise<ValueEntry | undefined> {
  return entries(db, stream, upTo).where('w.keyHead', '=', headOf(key)).where('w.key', '=', key).orderBy('w.seq', 'desc').limit(1).executeTakeFirst()
}

/** Which entry to find: the first or last of the stream, or the next one from `key` on. */
export interface Seek {
  direction: 'up' | 'down'
  key?: Uint8Array
  inclusive?: boolean
}

/** The nearest key that has a value as of `upTo`. */
export async function seekEntry(db: KvDatabase, stream: string, { direction, key, inclusive }: Seek, upTo: number): Promise<ValueEntry | undefined> {
  const order = direction === 'up' ? 'asc' : 'desc'
  const beyond = sql.raw(`${direction === 'up' ? '>' : '<'}${inclusive ? '=' : ''}`)
  let query = entries(db, stream, upTo)
    .where('w.length', '>', 0)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('kv_write as later')
            .select('later.seq')
            .whereRef('later.stream', '=', 'w.stream')
            .whereRef('later.keyHead', '=', 'w.keyHead')
            .whereRef('later.key', '=', 'w.key')
            .whereRef('later.seq', '>', 'w.seq')
            .where('later.seq', '<=', upTo),
        ),
      ),
    )
  if (key) query = query.where(sql<boolean>`(w."keyHead", w."key") ${beyond} (${headOf(key)}, ${key})`)
  return query.orderBy('w.keyHead', order).orderBy('w.key', order).limit(1).executeTakeFirst()
}

/** Bytes [from, to) of a value. */
export async function readValue(db: KvDatabase, { root, start }: ValueEntry, from: number, to: number): Promise<Uint8Array> {
  return readData(db, root, start + from, start + to)
}

/** Bytes [from, to) of a downloaded file. */
export async function readData(db: KvDatabase, root: string, from: number, to: number): Promise<Uint8Array> {
  if (from === to) return new Uint8Array(0)
  const first = Math.floor(from / PART_SIZE)
  const parts = await db
    .selectFrom('kv_data')
    .select('bytes')
    .where('root', '=', root)
    .where('part', '>=', first)
    .where('part', '<=', Math.floor((to - 1) / PART_SIZE))
    .orderBy('part')
    .execute()
  const joined = Buffer.concat(parts.map(({ bytes }) => bytes))
  return joined.subarray(from - first * PART_SIZE, to - first * PART_SIZE)
}

function entries(db: KvDatabase, stream: string, upTo: number) {
  return db
    .selectFrom('kv_write as w')
    .innerJoin('kv_submission as s', 's.seq', 'w.seq')
    .select(['w.key', 'w.seq', 's.root', 'w.start', 'w.length'])
    .where('w.stream', '=', stream)
    .where('w.seq', '<=', upTo)
}
