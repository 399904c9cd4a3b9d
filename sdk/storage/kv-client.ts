import { z } from 'zod'
import { type CallOptions, JsonRpc } from '../json-rpc.ts'

/** Bytes asked for at once; the server refuses more. */
const MAX_QUERY = 262_144

const count = z.number().int().nonnegative()
const Value = z.object({ version: count, data: z.base64(), size: count })
const KeyValue = Value.extend({ key: z.base64() })
const Progress = z.object({ appliedSeq: z.number().int(), firstTxSeq: z.number().int() })

export interface KvValue {
  /** Submission that wrote the value; 0 when the key was never written. */
  version: number
  data: Uint8Array
}

export interface KvEntry extends KvValue {
  key: Uint8Array
}

/** Reads key-value streams. Stream ids are 32-byte hex; keys and values are bytes. */
export class KvClient {
  readonly url: string
  readonly #rpc: JsonRpc

  constructor(url: string) {
    this.#rpc = new JsonRpc(url)
    this.url = url
  }

  /** The whole value of a key; undefined when it was never written or is deleted. `version` reads the state after that submission. */
  async get(stream: string, key: Uint8Array, { version, ...options }: CallOptions & { version?: number } = {}): Promise<KvValue | undefined> {
    const parts: Uint8Array[] = []
    let at = version
    for (let read = 0; ; ) {
      const part = await this.#rpc.call('kv_getValue', [stream, base64(key), read, MAX_QUERY, ...(at === undefined ? [] : [at])], Value, options)
      const bytes = Buffer.from(part.data, 'base64')
      parts.push(bytes)
      read += bytes.length
      if (read >= part.size || bytes.length === 0) return part.size === 0 ? undefined : { version: part.version, data: Buffer.concat(parts) }
      // Later parts come from the version of the first, whatever is written meanwhile.
      at = part.version
    }
  }

  /** The first entry of the stream whose key is after `key` (at or after it with `inclusive`); undefined at the end. Reads up to 256 KiB of the value. */
  async next(stream: string, key: Uint8Array, { inclusive = false, ...options }: CallOptions & { inclusive?: boolean } = {}): Promise<KvEntry | undefined> {
    return entry(await this.#rpc.call('kv_getNext', [stream, base64(key), 0, MAX_QUERY, inclusive], KeyValue.nullable(), options))
  }

  async first(stream: string, options?: CallOptions): Promise<KvEntry | undefined> {
    return entry(await this.#rpc.call('kv_getFirst', [stream, 0, MAX_QUERY], KeyValue.nullable(), options))
  }

  /** `Commit`, or why a submission changed nothing; undefined while it has not been replayed. */
  async transactionResult(seq: number, options?: CallOptions): Promise<string | undefined> {
    return (await this.#rpc.call('kv_getTransactionResult', [seq], z.string().nullable(), options)) ?? undefined
  }

  hasWritePermission(account: string, stream: string, key: Uint8Array, options?: CallOptions): Promise<boolean> {
    return this.#rpc.call('kv_hasWritePermission', [account, stream, base64(key)], z.boolean(), options)
  }

  isAdmin(account: string, stream: string, options?: CallOptions): Promise<boolean> {
    return this.#rpc.call('kv_isAdmin', [account, stream], z.boolean(), options)
  }

  /** How far the server has replayed the log. */
  replayProgress(options?: CallOptions): Promise<z.infer<typeof Progress>> {
    return this.#rpc.call('kv_getReplayProgress', [], Progress, options)
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

function entry(found: z.infer<typeof KeyValue> | null): KvEntry | undefined {
  return found ? { key: Buffer.from(found.key, 'base64'), version: found.version, data: Buffer.from(found.data, 'base64') } : undefined
}
