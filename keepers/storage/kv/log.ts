/** The part of the storage log that concerns streams: what was submitted, in which order, and what depends on what. */
import type { Log } from 'ethers'
import { rootOfNodes } from '../../../protocol/storage/merkle.ts'
import { streamsOfTags } from '../../../protocol/storage/streams.ts'
import { IFlow__factory } from '../../../typechain-types/index.ts'
import type { KvDatabase, KvTransaction } from './schema.ts'

const flow = IFlow__factory.createInterface()
export const SUBMIT_TOPIC = flow.getEvent('Submit').topicHash

/** Blocks whose place in the log is remembered: more than any reorganisation undoes. */
const REMEMBERED_BLOCKS = 10_000
/** The one row of kv_state. */
const STATE = 1

/** Writes down Submit events, in the transaction that moves the cursor. */
export async function record(trx: KvTransaction, logs: readonly Log[]): Promise<void> {
  for (const log of logs) {
    const [, , index, , , submission] = flow.decodeEventLog('Submit', log.data, log.topics)
    const seq = Number(index)
    // By position: `length` of a decoded tuple is that of the array.
    const [size, tags, nodes] = submission
    await trx
      .insertInto('kv_head')
      .values({ block: log.blockNumber, nextSeq: seq + 1 })
      .onConflict((on) => on.column('block').doUpdateSet({ nextSeq: seq + 1 }))
      .execute()
    await trx.updateTable('kv_state').set({ firstSeq: seq }).where('firstSeq', 'is', null).execute()
    const streams = streamsOfTags(tags)
    if (streams.length === 0) continue
    const root = rootOfNodes(nodes.map(([root, height]: [string, bigint]) => ({ root, height: Number(height) })))
    const row = { seq, block: log.blockNumber, transaction: log.transactionHash, root, size: Number(size), streams: JSON.stringify(streams) }
    await trx.insertInto('kv_submission').values(row).execute()
  }
  const last = logs.at(-1)
  if (last)
    await trx
      .deleteFrom('kv_head')
      .where('block', '<', last.blockNumber - REMEMBERED_BLOCKS)
      .execute()
}

/** Takes back what came after `block`, with all that the submissions there changed. */
export async function rollback(trx: KvTransaction, block: number): Promise<void> {
  await trx.deleteFrom('kv_submission').where('block', '>', block).execute()
  await trx.deleteFrom('kv_head').where('block', '>', block).execute()
  await trx
    .updateTable('kv_state')
    .set({ firstSeq: null })
    .where('firstSeq', '>=', await head(trx))
    .execute()
}

/** How far the log is known, and how far replay has come: every submission below `appliedSeq` is decided. */
export async function progress(db: KvDatabase): Promise<{ firstTxSeq: number; appliedSeq: number; nextSeq: number }> {
  const undecided = await db.selectFrom('kv_submission').select('seq').where('decided', '=', false).orderBy('seq').limit(1).executeTakeFirst()
  const nextSeq = await head(db)
  const state = await db.selectFrom('kv_state').select('firstSeq').executeTakeFirst()
  return { firstTxSeq: state?.firstSeq ?? 0, appliedSeq: undecided?.seq ?? nextSeq, nextSeq }
}

/** Remembers which streams are watched. When they changed, every submission is decided anew; downloaded files are kept. */
export async function watch(trx: KvTransaction, watched: readonly string[] | 'all'): Promise<boolean> {
  const now = JSON.stringify(watched === 'all' ? watched : [...watched].sort())
  const before = await trx.selectFrom('kv_state').select('watched').executeTakeFirst()
  if (before?.watched === now) return false
  await trx
    .insertInto('kv_state')
    .values({ id: STATE, watched: now })
    .onConflict((on) => on.column('id').doUpdateSet({ watched: now }))
    .execute()
  await forget(
    trx,
    (await trx.selectFrom('kv_submission').select('seq').where('decided', '=', true).execute()).map(({ seq }) => seq),
  )
  return before !== undefined
}

/**
 * Takes back the decision on a submission, and with it those of all later ones that depend on it, directly or through others,
 * so that replay comes to what it would have come to if this had been decided in its turn.
 */
export async function rewind(trx: KvTransaction, from: number): Promise<number> {
  const rows = await trx
    .selectFrom('kv_submission')
    .select(['seq', 'streams', 'depends'])
    .where('seq', '>=', from)
    .where('decided', '=', true)
    .orderBy('seq')
    .execute()
  const changed = new Set<string>()
  const forgotten: number[] = []
  for (const { seq, streams, depends } of rows) {
    const inputs: string[] = JSON.parse(depends ?? streams)
    if (seq !== from && !inputs.some((stream) => changed.has(stream))) continue
    for (const stream of JSON.parse(streams)) changed.add(stream)
    forgotten.push(seq)
  }
  await forget(trx, forgotten)
  return forgotten.length
}

async function forget(trx: KvTransaction, seqs: number[]): Promise<void> {
  for (let at = 0; at < seqs.length; at += 1000) {
    const batch = seqs.slice(at, at + 1000)
    await trx.deleteFrom('kv_write').where('seq', 'in', batch).execute()
    await trx.deleteFrom('kv_control').where('seq', 'in', batch).execute()
    await trx.updateTable('kv_submission').set({ decided: false, result: null, depends: null }).where('seq', 'in', batch).execute()
  }
}

async function head(db: KvDatabase): Promise<number> {
  const { next } = await db
    .selectFrom('kv_head')
    .select((eb) => eb.fn.max('nextSeq').as('next'))
    .executeTakeFirstOrThrow()
  return next ?? 0
}
