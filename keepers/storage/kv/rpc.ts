import { z } from 'zod'
import { RpcError, type RpcMethod, rpcMethod } from '../../runtime/jsonrpc.ts'
import { accessAt } from './access.ts'
import { progress } from './log.ts'
import type { KvDatabase } from './schema.ts'
import { latestEntry, readValue, type Seek, seekEntry, type ValueEntry } from './values.ts'

/** Bytes of a value in one answer. */
const MAX_QUERY = 262_144

/** The public clients send some numbers as text. A version may be any u64; those beyond 2^53 are all "the newest". */
const count = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)])
  .refine((number) => Number.isInteger(number) && number >= 0, 'expected a whole number')
  .transform((number) => Math.min(number, Number.MAX_SAFE_INTEGER))
const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-fA-F]{${2 * bytes}}$`), `expected ${bytes} bytes in hex`)
    .toLowerCase()

const stream = hex(32).describe('stream_id')
const account = hex(20).describe('account')
const key = z
  .base64('expected base64')
  .min(1, 'key is empty')
  .transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
  .describe('key')
const start = count.describe('start_index')
const length = count.refine((bytes) => bytes <= MAX_QUERY, 'query length too large').describe('len')
const version = count
  .nullish()
  .transform((number) => number ?? Number.MAX_SAFE_INTEGER)
  .describe('version')

interface ValueAnswer {
  version: number
  data: string
  size: number
}

/** `watched`: the streams the keeper was told to watch; undefined when it watches all. */
export function kvMethods(db: KvDatabase, watched: readonly string[] | undefined): Record<string, RpcMethod> {
  const isAdmin = rpcMethod(z.tuple([account, stream, version]), (who, stream, upTo) => accessAt(db, upTo).isAdmin(who, stream))
  const seekFrom = (direction: Seek['direction']) =>
    rpcMethod(z.tuple([stream, key, start, length, z.boolean().describe('inclusive'), version]), async (stream, key, start, length, inclusive, upTo) =>
      keyAnswer(db, await seekEntry(db, stream, { direction, key, inclusive }, upTo), start, length),
    )
  const seekEnd = (direction: Seek['direction']) =>
    rpcMethod(z.tuple([stream, start, length, version]), async (stream, start, length, upTo) =>
      keyAnswer(db, await seekEntry(db, stream, { direction }, upTo), start, length),
    )

  return {
    kv_getStatus: rpcMethod(z.tuple([]), () => true),

    kv_getValue: rpcMethod(z.tuple([stream, key, start, length, version]), async (stream, key, start, length, upTo) => {
      const entry = await latestEntry(db, stream, key, upTo)
      // Never null: the public client reads fields of the answer without looking.
      if (!entry) return { version: 0, data: '', size: 0 }
      // From its start a value comes whole whatever was asked for: the public client mistakes its own next offset.
      return valueAnswer(db, entry, start, start === 0 && length > 0 ? entry.length : length)
    }),
    kv_getNext: seekFrom('up'),
    kv_getPrev: seekFrom('down'),
    kv_getFirst: seekEnd('up'),
    kv_getLast: seekEnd('down'),

    kv_getTransactionResult: rpcMethod(z.tuple([count.describe('tx_seq')]), async (seq) => {
      return (await db.selectFrom('kv_submission').select('result').where('seq', '=', seq).executeTakeFirst())?.result
    }),
    kv_getHoldingStreamIds: rpcMethod(z.tuple([]), async () => {
      if (watched) return watched
      // A stream that was ever written to has at least the grant to its founder.
      return (await db.selectFrom('kv_control').select('stream').distinct().orderBy('stream').execute()).map(({ stream }) => stream)
    }),
    kv_getReplayProgress: rpcMethod(z.tuple([]), async () => {
      const { appliedSeq, firstTxSeq } = await progress(db)
      return { appliedSeq, firstTxSeq }
    }),

    kv_hasWritePermission: rpcMethod(z.tuple([account, stream, key, version]), async (who, stream, key, upTo) => {
      return (await accessAt(db, upTo).deniedKey(who, stream, [key])) === undefined
    }),
    // The second spelling is what the public client sends.
    kv_isAdmin: isAdmin,
    kv_IsAdmin: isAdmin,
    kv_isSpecialKey: rpcMethod(z.tuple([stream, key, version]), (stream, key, upTo) => accessAt(db, upTo).isSpecialKey(stream, key)),
    kv_isWriterOfKey: rpcMethod(z.tuple([account, stream, key, version]), (who, stream, key, upTo) => accessAt(db, upTo).isWriterOfKey(who, stream, key)),
    kv_isWriterOfStream: rpcMethod(z.tuple([account, stream, version]), (who, stream, upTo) => accessAt(db, upTo).isWriterOfStream(who, stream)),
  }
}

async function keyAnswer(db: KvDatabase, entry: ValueEntry | undefined, start: number, length: number): Promise<(ValueAnswer & { key: string }) | null> {
  return entry ? { ...(await valueAnswer(db, entry, start, length)), key: base64(entry.key) } : null
}

/** `length` bytes of a value from `start`, or what there is of them; only its version and size for length 0. */
async function valueAnswer(db: KvDatabase, entry: ValueEntry, start: number, length: number): Promise<ValueAnswer> {
  const { seq, length: size } = entry
  if (length > 0 && start > size) throw RpcError.invalidParams('start_index', 'start index is greater than value length')
  const data = length === 0 ? '' : base64(await readValue(db, entry, start, Math.min(size, start + length)))
  return { version: seq, data, size }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
