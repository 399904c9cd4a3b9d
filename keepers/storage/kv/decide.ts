import { hexlify } from 'ethers'
import {
  CONTROL_OPS,
  lastControls,
  lastWrites,
  type StreamControl,
  type StreamData,
  type StreamRead,
  type StreamWrite,
} from '../../../protocol/storage/streams.ts'
import { type Access, accessAt } from './access.ts'
import { headOf, KEYS_AT_ONCE, type KvDatabase } from './schema.ts'

export const COMMIT = 'Commit'

/** What is known of a submission before its data. */
export interface Sent {
  seq: number
  sender: string
  /** Streams of its tags. */
  streams: readonly string[]
}

/** What a submission comes to; only `Commit` changes anything. The texts are those of the reference. */
export interface Decision {
  result: string
  writes: StreamWrite[]
  controls: StreamControl[]
}

/** Characters of a key in a result. */
const SHOWN_KEY = 32

/**
 * Decides a submission by its data, its sender and the state before it, and by nothing else, so that every node decides alike.
 * `watched` tells whether the node has the state of a stream, which it needs of every stream that is read.
 */
export async function decide(db: KvDatabase, sent: Sent, data: StreamData, watched: (stream: string) => boolean): Promise<Decision> {
  const access = accessAt(db, sent.seq - 1)
  const writes = lastWrites(data.writes)
  const founded: StreamControl[] = []
  for (const stream of sent.streams) {
    if (await access.isNew(stream)) founded.push({ op: 'GRANT_ADMIN_ROLE', stream, account: sent.sender })
  }
  // The founder's own grant comes first, so that renouncing it in the same submission leaves a stream without an admin.
  const controls = lastControls([...founded, ...data.controls], sent.sender)

  const tags = new Set(sent.streams)
  const mismatch = !data.reads.every(({ stream }) => watched(stream)) || ![...writes, ...controls].every(({ stream }) => tags.has(stream))
  const rejection =
    (mismatch ? 'TagsMismatch' : undefined) ??
    ((await overtaken(db, [...data.reads, ...writes], data.version, sent.seq)) ? 'VersionConfliction' : undefined) ??
    (await deniedWrite(access, sent.sender, writes)) ??
    (await deniedControl(access, sent.sender, controls))
  return rejection ? { result: rejection, writes: [], controls: [] } : { result: COMMIT, writes, controls }
}

/** Whether a later submission than `version`, but an earlier one than `seq`, wrote one of the keys. */
async function overtaken(db: KvDatabase, keys: StreamRead[], version: bigint, seq: number): Promise<boolean> {
  if (version >= BigInt(seq - 1)) return false
  for (const [stream, ofStream] of Map.groupBy(keys, (item) => item.stream)) {
    for (let at = 0; at < ofStream.length; at += KEYS_AT_ONCE) {
      const batch = ofStream.slice(at, at + KEYS_AT_ONCE).map(({ key }) => key)
      const later = await db
        .selectFrom('kv_write')
        .select('seq')
        .where('stream', '=', stream)
        .where('keyHead', 'in', batch.map(headOf))
        .where('key', 'in', batch)
        .where('seq', '>', Number(version))
        .where('seq', '<', seq)
        .limit(1)
        .executeTakeFirst()
      if (later) return true
    }
  }
  return false
}

async function deniedWrite(access: Access, sender: string, writes: StreamWrite[]): Promise<string | undefined> {
  for (const [stream, ofStream] of Map.groupBy(writes, (write) => write.stream)) {
    const key = await access.deniedKey(
      sender,
      stream,
      ofStream.map(({ key }) => key),
    )
    if (key) return `WritePermissionDenied: stream: ${stream}, key: ${shown(key)}`
  }
  return undefined
}

async function deniedControl(access: Access, sender: string, controls: StreamControl[]): Promise<string | undefined> {
  for (const [stream, ofStream] of Map.groupBy(controls, (control) => control.stream)) {
    if ((await access.isNew(stream)) || (await access.isAdmin(sender, stream))) continue
    const writer = await access.isWriterOfStream(sender, stream)
    for (const { op, key, account } of ofStream) {
      const allowed =
        op.startsWith('RENOUNCE_') ||
        (op === 'GRANT_WRITER_ROLE' && writer) ||
        (op === 'GRANT_SPECIAL_WRITER_ROLE' && (await access.isWriterOfKey(sender, stream, key!)))
      if (allowed) continue
      return `AccessControlPermissionDenied: operation: ${op}, stream: ${stream}, key: ${key ? shown(key) : 'NONE'}, account: ${account ?? sender}`
    }
  }
  return undefined
}

/** A key as text where it is text, else as hex; cut. */
function shown(key: Uint8Array): string {
  const cut = key.subarray(0, SHOWN_KEY)
  const text = Buffer.from(cut).toString()
  return Buffer.from(text).equals(cut) ? text : hexlify(cut)
}

/** The byte and the account under which a control is kept: of a renouncement the sender's. */
export function stored(control: StreamControl, sender: string): { op: number; account: string } {
  return { op: CONTROL_OPS[control.op].code, account: control.account ?? (control.op.startsWith('RENOUNCE_') ? sender.toLowerCase() : '') }
}
