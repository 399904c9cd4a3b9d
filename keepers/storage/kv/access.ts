// SPDX-License-Identifier: Apache-2.0
/** Who may write what, as of a submission: every question is about the state after submission `upTo`. */
import { CONTROL_OPS, controlClass } from '../../../protocol/storage/streams.ts'
import type { KvDatabase } from './schema.ts'

export interface Access {
  /** No submission has touched the stream yet: whoever does becomes its admin. */
  isNew(stream: string): Promise<boolean>
  isAdmin(account: string, stream: string): Promise<boolean>
  isWriterOfStream(account: string, stream: string): Promise<boolean>
  isWriterOfKey(account: string, stream: string, key: Uint8Array): Promise<boolean>
  isSpecialKey(stream: string, key: Uint8Array): Promise<boolean>
  /** Which keys the account may write: a special key is written by its own writers, any other by the writers of the stream; admins write both. */
  writePermission(account: string, stream: string): Promise<(key: Uint8Array) => Promise<boolean>>
  /** Whether there may be any key of the stream that the account can write. */
  canWriteSome(account: string, stream: string): Promise<boolean>
}

const NO_KEY = new Uint8Array(0)

export function accessAt(db: KvDatabase, upTo: number): Access {
  const controls = (stream: string) => db.selectFrom('kv_control').where('stream', '=', stream).where('seq', '<=', upTo)

  /** The last word on a role or a key, which is a grant when it is the op that grants. */
  async function stands(grant: keyof typeof CONTROL_OPS, stream: string, account: string, key: Uint8Array): Promise<boolean> {
    const last = await controls(stream)
      .select('op')
      .where('class', '=', controlClass(grant))
      .where('account', '=', account.toLowerCase())
      .where('key', '=', key)
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst()
    return last?.op === CONTROL_OPS[grant].code
  }

  const access: Access = {
    async isNew(stream) {
      return (await controls(stream).select('seq').limit(1).executeTakeFirst()) === undefined
    },
    isAdmin: (account, stream) => stands('GRANT_ADMIN_ROLE', stream, account, NO_KEY),
    isWriterOfStream: (account, stream) => stands('GRANT_WRITER_ROLE', stream, account, NO_KEY),
    isWriterOfKey: (account, stream, key) => stands('GRANT_SPECIAL_WRITER_ROLE', stream, account, key),
    isSpecialKey: (stream, key) => stands('SET_KEY_TO_SPECIAL', stream, '', key),

    async writePermission(account, stream) {
      if ((await access.isNew(stream)) || (await access.isAdmin(account, stream))) return async () => true
      const writer = await access.isWriterOfStream(account, stream)
      const special = await controls(stream).select('seq').where('class', '=', controlClass('SET_KEY_TO_SPECIAL')).limit(1).executeTakeFirst()
      // Most streams have no special keys, and a submission may write 65,536 keys: then one answer serves them all.
      if (!special) return async () => writer
      return async (key) => ((await access.isSpecialKey(stream, key)) ? access.isWriterOfKey(account, stream, key) : writer)
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
