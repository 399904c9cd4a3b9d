import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fastify from 'fastify'
import { sql } from 'kysely'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { openDatabase, openPostgres, type Postgres } from '../../../keepers/runtime/database.ts'
import { jsonRpc } from '../../../keepers/runtime/jsonrpc.ts'
import { watch } from '../../../keepers/storage/kv/log.ts'
import { createKvMetrics } from '../../../keepers/storage/kv/metrics.ts'
import { Replay } from '../../../keepers/storage/kv/replay.ts'
import { kvMethods } from '../../../keepers/storage/kv/rpc.ts'
import { type KvDatabase, type KvSchema, migrations, PART_SIZE } from '../../../keepers/storage/kv/schema.ts'
import { FileTree } from '../../../protocol/storage/merkle.ts'
import { type StreamDataBuilder, streamsOfTags } from '../../../protocol/storage/streams.ts'

export const alice = `0x${'aa'.repeat(20)}`
export const bob = `0x${'bb'.repeat(20)}`
export const carol = `0x${'cc'.repeat(20)}`
export const A = `0x${'0a'.repeat(32)}`
export const B = `0x${'0b'.repeat(32)}`
export const text = (s: string): Uint8Array => new TextEncoder().encode(s)
export const base64 = (s: string | Uint8Array): string => Buffer.from(s).toString('base64')

/** Starting a server and making tables takes far longer than a test: those of earlier tests are emptied and used again. */
const spare = new WeakMap<Postgres, KvDatabase[]>()
let schemas = 0

/** The PostgreSQL of DATABASE_URL, or an embedded one. */
export const openTestPostgres = (): Promise<Postgres> => openPostgres({ databaseUrl: process.env.DATABASE_URL, log: pino({ level: 'silent' }) })

export async function closeTestPostgres(postgres: Postgres): Promise<void> {
  for (const database of spare.get(postgres) ?? []) await database.destroy()
  await postgres.close()
}

async function emptyDatabase(postgres: Postgres): Promise<KvDatabase> {
  const database = spare.get(postgres)?.pop() ?? (await openDatabase<KvSchema>(postgres, `test_kv_${process.pid}_${++schemas}`, migrations))
  await sql`truncate kv_submission, kv_write, kv_control, kv_file, kv_data, kv_head, kv_state`.execute(database)
  return database
}

export interface Submitted {
  data: Uint8Array
  tags: string
}

/**
 * Replay and RPC over a real database and real HTTP, with the chain and the storage network behind them: submissions are written where
 * the follower would write them, their data where a download would.
 */
export async function openStreams(postgres: Postgres, watched?: string[]) {
  const log = pino({ level: 'silent' })
  const db = await emptyDatabase(postgres)
  await db.transaction().execute((trx) => watch(trx, watched ?? 'all'))
  const replay = new Replay({
    db,
    provider: undefined as never, // every submission here comes with its sender
    source: { nodes: [] },
    watched: (stream) => !watched || watched.includes(stream),
    dataWait: 60_000,
    lateData: 60_000,
    metrics: createKvMetrics(new Registry(), db),
    log,
  })
  const app = fastify()
  await app.register(jsonRpc(kvMethods(db, watched), { log }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  replay.start()
  let next = 0

  async function call(method: string, ...params: unknown[]): Promise<any> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    return (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).json()
  }

  /** The result of a call that must not fail. */
  async function rpc(method: string, ...params: unknown[]): Promise<any> {
    const answer = await call(method, ...params)
    if (!('result' in answer)) throw new Error(`${method}: ${JSON.stringify(answer)}`)
    return answer.result
  }

  /** Puts the data of a submission where a download would. */
  async function arrive({ data }: Submitted): Promise<void> {
    const { root } = FileTree.fromBytes(data)
    for (let part = 0; part * PART_SIZE < data.length; part++) {
      const bytes = data.slice(part * PART_SIZE, (part + 1) * PART_SIZE)
      await db
        .insertInto('kv_data')
        .values({ root, part, bytes })
        .onConflict((on) => on.doNothing())
        .execute()
    }
    await db
      .insertInto('kv_file')
      .values({ root, size: data.length })
      .onConflict((on) => on.doNothing())
      .execute()
    replay.wake()
  }

  /** Writes a submission into the log, with its data unless they are to be missing. Returns its number. */
  async function append(sender: string, { data, tags }: Submitted, { missing = false } = {}): Promise<number> {
    const seq = next++
    if (!missing) await arrive({ data, tags })
    const streams = streamsOfTags(tags)
    await db
      .insertInto('kv_head')
      .values({ block: seq, nextSeq: seq + 1 })
      .execute()
    if (streams.length > 0) {
      const { root } = FileTree.fromBytes(data)
      const transaction = `0x${seq.toString(16).padStart(64, '0')}`
      await db
        .insertInto('kv_submission')
        .values({ seq, block: seq, transaction, root, size: data.length, streams: JSON.stringify(streams), sender })
        .execute()
    }
    replay.wake()
    return seq
  }

  /** The result of a submission, once it is decided. */
  async function resultOf(seq: number): Promise<string | null> {
    while ((await rpc('kv_getReplayProgress')).appliedSeq <= seq) await sleep(2)
    return rpc('kv_getTransactionResult', seq)
  }

  return {
    db,
    url,
    replay,
    call,
    rpc,
    append,
    arrive,
    resultOf,
    /** Submits and waits for the result. */
    async submit(sender: string, submission: StreamDataBuilder | Submitted): Promise<string | null> {
      return resultOf(await append(sender, 'build' in submission ? submission.build() : submission))
    },
    async value(stream: string, key: string, version?: number): Promise<string> {
      const { data } = await rpc('kv_getValue', stream, base64(key), 0, 262_144, version)
      return Buffer.from(data, 'base64').toString()
    },
    async close(): Promise<void> {
      await replay.stop()
      await app.close()
      spare.set(postgres, [...(spare.get(postgres) ?? []), db])
    },
  }
}

export type StreamsUnderTest = Awaited<ReturnType<typeof openStreams>>
