/**
 * Key-value streams as submissions of the storage log: what is in the file and in its tags, byte for byte as the public clients write it.
 *
 *   file:     version u64 ‖ reads ‖ writes ‖ controls, big endian, each list behind its u32 count
 *     read:     stream32 ‖ keyLength u24 ‖ key
 *     write:    stream32 ‖ keyLength u24 ‖ key ‖ valueLength u64; after the list follow all values in its order
 *     control:  op u8 ‖ stream32 ‖ [keyLength u24 ‖ key] ‖ [account20], as the op wants them
 *   tags:     SHA-256("STREAM") ‖ stream32 ‖ stream32 …
 *
 * `version` is an optimistic lock: the submission counts only if no key it reads or writes was last written by a later submission.
 */
import { dataSlice, getAddress, getBytes, hexlify, isHexString } from 'ethers'

export const STREAM_TAG = '0xdf2ff3bb0af36c6384e6206552a4ed807f6f6a26e7d0aa6bff772ddc9d4307aa'
/** Items in one list. */
export const MAX_STREAM_ITEMS = 65_536
/** Bytes in a key: its length is a u24. */
export const MAX_STREAM_KEY = 2 ** 24 - 1
/** As `version`: write whatever others wrote. It is what the public clients use; a u64, though they can only say 2^53 − 1. */
export const ANY_VERSION = BigInt(Number.MAX_SAFE_INTEGER)

/** 32 bytes as lower-case hex. */
export type StreamId = string

export interface StreamRead {
  stream: StreamId
  key: Uint8Array
}

/** An empty value deletes the key. */
export interface StreamWrite extends StreamRead {
  value: Uint8Array
}

/** Changes who may write. `key` is of the special key concerned, `account` (lower-case hex) of whom it concerns, where the op has them. */
export interface StreamControl {
  op: ControlOp
  stream: StreamId
  key?: Uint8Array
  account?: string
}

export interface StreamData {
  version: bigint
  reads: StreamRead[]
  writes: StreamWrite[]
  controls: StreamControl[]
}

/** The operations: their byte, and which arguments follow the stream. */
export const CONTROL_OPS = {
  GRANT_ADMIN_ROLE: { code: 0x00, key: false, account: true },
  RENOUNCE_ADMIN_ROLE: { code: 0x01, key: false, account: false },
  SET_KEY_TO_SPECIAL: { code: 0x10, key: true, account: false },
  SET_KEY_TO_NORMAL: { code: 0x11, key: true, account: false },
  GRANT_WRITER_ROLE: { code: 0x20, key: false, account: true },
  REVOKE_WRITER_ROLE: { code: 0x21, key: false, account: true },
  RENOUNCE_WRITER_ROLE: { code: 0x22, key: false, account: false },
  GRANT_SPECIAL_WRITER_ROLE: { code: 0x30, key: true, account: true },
  REVOKE_SPECIAL_WRITER_ROLE: { code: 0x31, key: true, account: true },
  RENOUNCE_SPECIAL_WRITER_ROLE: { code: 0x32, key: true, account: false },
} as const

export type ControlOp = keyof typeof CONTROL_OPS

const OP_OF_CODE = new Map(Object.entries(CONTROL_OPS).map(([op, { code }]) => [code as number, op as ControlOp]))

/** The file is not stream data. The message says what was expected where. */
export class StreamDataError extends Error {
  override name = 'StreamDataError'
}

/** The streams a submission is tagged with, without repetition; empty when its tags are not those of a stream submission. */
export function streamsOfTags(tags: string): StreamId[] {
  const hex = tags.toLowerCase()
  if (!isHexString(hex) || (hex.length - 2) % 64 !== 0 || !hex.startsWith(STREAM_TAG)) return []
  const count = (hex.length - 2) / 64
  return [...new Set(Array.from({ length: count - 1 }, (_, i) => dataSlice(hex, 32 * (i + 1), 32 * (i + 2))))]
}

export function tagsOfStreams(streams: Iterable<StreamId>): string {
  return STREAM_TAG + [...new Set([...streams].map(streamId))].map((stream) => stream.slice(2)).join('')
}

export function encodeStreamData(data: StreamData): Uint8Array {
  const parts: Uint8Array[] = [uint(data.version, 8)]
  parts.push(count(data.reads, 'reads'))
  for (const { stream, key } of data.reads) parts.push(getBytes(streamId(stream)), encodeKey(key))
  parts.push(count(data.writes, 'writes'))
  for (const { stream, key, value } of data.writes) parts.push(getBytes(streamId(stream)), encodeKey(key), uint(value.length, 8))
  for (const { value } of data.writes) parts.push(value)
  parts.push(count(data.controls, 'controls'))
  for (const { op, stream, key, account } of data.controls) {
    const shape = CONTROL_OPS[op]
    if (shape.key !== (key !== undefined) || shape.account !== (account !== undefined)) {
      throw new StreamDataError(`${op} takes ${shape.key ? 'a key' : 'no key'} and ${shape.account ? 'an account' : 'no account'}`)
    }
    parts.push(Uint8Array.of(shape.code), getBytes(streamId(stream)))
    if (key) parts.push(encodeKey(key))
    if (account) parts.push(getBytes(getAddress(account)))
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** Reads a file. Keys and values are views into `bytes`, nothing is copied or allocated before its length was checked. Throws StreamDataError. */
export function decodeStreamData(bytes: Uint8Array): StreamData {
  const reader = new Reader(bytes)
  const version = reader.uint(8, 'version')
  const reads = reader.list('reads', 36, (): StreamRead => ({ stream: reader.stream(), key: reader.key() }))
  const lengths: bigint[] = []
  const heads = reader.list('writes', 44, (): StreamRead => {
    const head = { stream: reader.stream(), key: reader.key() }
    lengths.push(reader.uint(8, 'value length'))
    return head
  })
  const writes = heads.map((head, i): StreamWrite => ({ ...head, value: reader.take(lengths[i]!, 'value') }))
  const controls = reader.list('controls', 33, () => reader.control())
  reader.end()
  return { version, reads, writes, controls }
}

/** The writes that count: of several to one key, the last. */
export function lastWrites<W extends StreamRead>(writes: W[]): W[] {
  return lastOf(writes, ({ stream, key }) => `${stream} ${hexlify(key)}`)
}

/** The controls that count. Of several in one class (grant, renounce and revoke of one role; special and normal) on one stream, key and account, the last. A renouncement concerns the sender. */
export function lastControls(controls: StreamControl[], sender: string): StreamControl[] {
  return lastOf(controls, (control) => {
    const { stream, key, account } = control
    return `${controlClass(control.op)} ${stream} ${key ? hexlify(key) : ''} ${account ?? (control.op.startsWith('RENOUNCE_') ? sender.toLowerCase() : '')}`
  })
}

/** What an op is about: 0x00 admins, 0x10 special keys, 0x20 writers, 0x30 writers of a special key. */
export function controlClass(op: ControlOp): number {
  return CONTROL_OPS[op].code & 0xf0
}

/** Collects one submission. Later writes of a key replace earlier ones. */
export class StreamDataBuilder {
  readonly #version: bigint
  readonly #reads: StreamRead[] = []
  readonly #writes: StreamWrite[] = []
  readonly #controls: StreamControl[] = []
  readonly #tagged = new Set<StreamId>()

  /** `version`: the newest submission whose writes this one takes into account. */
  constructor(version: bigint = ANY_VERSION) {
    this.#version = version
  }

  /** Makes the submission fail if the key was written after `version`. */
  read(stream: StreamId, key: Uint8Array): this {
    this.#reads.push({ stream: streamId(stream), key })
    return this
  }

  set(stream: StreamId, key: Uint8Array, value: Uint8Array): this {
    this.#writes.push({ stream: this.#tag(stream), key, value })
    return this
  }

  delete(stream: StreamId, key: Uint8Array): this {
    return this.set(stream, key, new Uint8Array(0))
  }

  /** Changes who may write, e.g. `control('GRANT_WRITER_ROLE', stream, { account })`. */
  control(op: ControlOp, stream: StreamId, argument: { key?: Uint8Array; account?: string } = {}): this {
    this.#controls.push({ op, stream: this.#tag(stream), ...argument })
    return this
  }

  /** The file to upload and the tags to submit it with. */
  build(): { data: Uint8Array; tags: string } {
    const data = encodeStreamData({ version: this.#version, reads: this.#reads, writes: lastWrites(this.#writes), controls: this.#controls })
    return { data, tags: tagsOfStreams(this.#tagged) }
  }

  #tag(stream: StreamId): StreamId {
    const id = streamId(stream)
    this.#tagged.add(id)
    return id
  }
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  take(length: number | bigint, what: string): Uint8Array {
    const left = this.#bytes.length - this.#at
    if (length > left) throw new StreamDataError(`${what} at byte ${this.#at} needs ${length} bytes, ${left} are left`)
    this.#at += Number(length)
    return this.#bytes.subarray(this.#at - Number(length), this.#at)
  }

  uint(size: 1 | 3 | 4 | 8, what: string): bigint {
    const at = this.#at
    this.take(size, what)
    if (size === 8) return this.#view.getBigUint64(at)
    if (size === 4) return BigInt(this.#view.getUint32(at))
    return size === 3 ? BigInt((this.#view.getUint16(at) << 8) | this.#view.getUint8(at + 2)) : BigInt(this.#view.getUint8(at))
  }

  /** `atLeast`: bytes of the shortest item, so that a count cannot announce more items than the file can hold. */
  list<T>(what: string, atLeast: number, item: () => T): T[] {
    const length = Number(this.uint(4, `count of ${what}`))
    if (length > MAX_STREAM_ITEMS) throw new StreamDataError(`${length} ${what}, at most ${MAX_STREAM_ITEMS} are allowed`)
    const left = this.#bytes.length - this.#at
    if (length * atLeast > left) throw new StreamDataError(`${length} ${what} do not fit the ${left} bytes left`)
    return Array.from({ length }, item)
  }

  stream(): StreamId {
    return hexlify(this.take(32, 'stream id'))
  }

  key(): Uint8Array {
    const length = this.uint(3, 'key length')
    if (length === 0n) throw new StreamDataError(`empty key at byte ${this.#at}`)
    return this.take(length, 'key')
  }

  control(): StreamControl {
    const code = Number(this.uint(1, 'control op'))
    const op = OP_OF_CODE.get(code)
    if (!op) throw new StreamDataError(`unknown control op ${code} at byte ${this.#at - 1}`)
    const { key, account } = CONTROL_OPS[op]
    const control: StreamControl = { op, stream: this.stream() }
    if (key) control.key = this.key()
    if (account) control.account = hexlify(this.take(20, 'account'))
    return control
  }

  end(): void {
    const left = this.#bytes.length - this.#at
    if (left > 0) throw new StreamDataError(`${left} bytes follow the controls, none are expected`)
  }
}

/** Lower-cases and checks a stream id. */
export function streamId(stream: string): StreamId {
  if (!isHexString(stream, 32)) throw new StreamDataError(`${stream} is not a stream id: 0x and 64 hex digits expected`)
  return stream.toLowerCase()
}

function encodeKey(key: Uint8Array): Uint8Array {
  if (key.length === 0) throw new StreamDataError('a key must not be empty')
  if (key.length > MAX_STREAM_KEY) throw new StreamDataError(`a key of ${key.length} bytes, at most ${MAX_STREAM_KEY} are allowed`)
  return Buffer.concat([uint(key.length, 3), key])
}

function count(items: unknown[], what: string): Uint8Array {
  if (items.length > MAX_STREAM_ITEMS) throw new StreamDataError(`${items.length} ${what}, at most ${MAX_STREAM_ITEMS} are allowed`)
  return uint(items.length, 4)
}

function uint(value: number | bigint, size: number): Uint8Array {
  const big = BigInt(value)
  if (big < 0n || big >> BigInt(8 * size)) throw new StreamDataError(`${value} does not fit ${size} bytes`)
  return Buffer.from(big.toString(16).padStart(2 * size, '0'), 'hex')
}

/** Of items with one identity the last, in the place of the first. */
function lastOf<T>(items: T[], identity: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [identity(item), item])).values()]
}
