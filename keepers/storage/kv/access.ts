/** Who may write what, as of a submission: every question is about the state after submission `upTo`. */
import { hexlify } from 'ethers'
import { CONTROL_OPS, type ControlOp, controlClass } from '../../../protocol/storage/streams.ts'
import { headOf, KEYS_AT_ONCE, type KvDatabase } from './schema.ts'

export interface Access {
  /** No submission has touched the stream yet: whoever does becomes its admin. */
  isNew(stream: string): Promise<boolean>
  isAdmin(account: string, stream: string): Promise<boolean>
  isWriterOfStream(account: string, stream: string): Promise<boolean>
  isWriterOfKey(account: string, stream: string, key: Uint8Array): Promise<boolean>
  isSpecialKey(stream: string, key: Uint8Array): Promise<boolean>
  /**
   * The first of the keys that the account may not write; undefined when it may write all. A special key is written by its own
   * writers, any other by the writers of the stream; admins write both.
   */
  deniedKey(account: string, stream: string, keys: Uint8Array[]): Promise<Uint8Array | undefined>
  /** Whether there may be any key of the stream that the account can write. */
  canWriteSome(account: string, stream: string): Promise<boolean>
}

const NO_KEY = new Uint8Array(0)

export function accessAt(db: KvDatabase, upTo: number): Access {
  const controls = (stream: string) => db.selectFrom('kv_control').where('stream', '=', stream).where('seq', '<=', upTo)

  /** Those of the keys (in hex) for which the last word on the role is the grant. */
  async function granted(grant: ControlOp, stream: string, account: string, keys: Uint8Array[]): Promise<Set<string>> {
    const last = await controls(stream)
      .select(['key', 'op'])
      .distinctOn('key')
      .where('class', '=', controlClass(grant))
      .where('account', '=', account.toLowerCase())
      .where('keyHead', 'in', keys.map(headOf))
      .where('key', 'in', keys)
      .orderBy('key')
      .orderBy('seq', 'desc')
      .execute()
    return new Set(last.filter(({ op }) => op === CONTROL_OPS[grant].code).map(({ key }) => hexlify(key)))
  }

  const access: Access = {
    async isNew(stream) {
      return (await controls(stream).select('seq').limit(1).executeTakeFirst()) === undefined
    },
    isAdmin: async (account, stream) => (await granted('GRANT_ADMIN_ROLE', stream, account, [NO_KEY])).size > 0,
    isWriterOfStream: async (account, stream) => (await granted('GRANT_WRITER_ROLE', stream, account, [NO_KEY])).size > 0,
    isWriterOfKey: async (account, stream, key) => (await granted('GRANT_SPECIAL_WRITER_ROLE', stream, account, [key])).size > 0,
    isSpecialKey: async (stream, key) => (await granted('SET_KEY_TO_SPECIAL', stream, '', [key])).size > 0,

    async deniedKey(account, stream, keys) {
      if ((await access.isNew(stream)) || (await access.isAdmin(account, stream))) return undefined
      const writer = await access.isWriterOfStream(account, stream)
      for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
        const batch = keys.slice(at, at + KEYS_AT_ONCE)
        const special = await granted('SET_KEY_TO_SPECIAL', stream, '', batch)
        const own = special.size > 0 ? await granted('GRANT_SPECIAL_WRITER_ROLE', stream, account, batch) : special
        const denied = batch.find((key) => !(special.has(hexlify(key)) ? own.has(hexlify(key)) : writer))
        if (denied) return denied
      }
      return undefined
    },

    async canWriteSome(account, stream) {
      if ((await access.isNew(stream)) || (await access.isAdmin(account, stream)) || (await access.isWriterOfStream(account, stream))) return true
      const last = await controls(stream)
        .select(['op', 'key'])
        .distinctOn('key')
        .where('class', '=', controlClass('GRANT_SPECIAL_WRITER_ROLE'))
        .where('account', '=', account.toLowerCase())
        .orderBy('key')
        .orderBy('seq', 'desc')
        .execute()
      return last.some(({ op }) => op === CONTROL_OPS.GRANT_SPECIAL_WRITER_ROLE.code)
    },
  }
  return access
}
