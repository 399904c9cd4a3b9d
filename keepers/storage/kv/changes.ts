/** Writing decisions down. */
import type { Selectable } from 'kysely'
import { controlClass } from '../../../protocol/storage/streams.ts'
import { type Decision, type Sent, stored } from './decide.ts'
import type { KvSchema, KvTransaction } from './schema.ts'

/** Rows inserted at once. */
const ROWS = 500

export type SubmissionRow = Selectable<KvSchema['kv_submission']>

/** Whether the submission still is the one that was read, and undecided: a reorganisation may have replaced it since. */
export async function isOpen(trx: KvTransaction, { seq, transaction }: SubmissionRow): Promise<boolean> {
  const row = await trx
    .selectFrom('kv_submission')
    .select('seq')
    .where('seq', '=', seq)
    .where('transaction', '=', transaction)
    .where('decided', '=', false)
    .forUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/** Notes what a submission has come to. `depends`: the streams that decided it. */
export async function close(trx: KvTransaction, { seq }: SubmissionRow, result: string, depends: readonly string[]): Promise<void> {
  await trx
    .updateTable('kv_submission')
    .set({ decided: true, result, depends: JSON.stringify(depends) })
    .where('seq', '=', seq)
    .execute()
}

/** Makes the changes of a decision, as of its submission. Values are kept as ranges of the file's bytes. */
export async function insertChanges(trx: KvTransaction, { seq, sender }: Sent, { writes, controls }: Decision, bytes: Uint8Array): Promise<void> {
  const values = writes.map(({ stream, key, value }, item) => ({ seq, item, stream, key, start: value.byteOffset - bytes.byteOffset, length: value.length }))
  for (let at = 0; at < values.length; at += ROWS) {
    await trx
      .insertInto('kv_write')
      .values(values.slice(at, at + ROWS))
      .execute()
  }
  const changes = controls.map((control, item) => ({
    seq,
    item,
    stream: control.stream,
    class: controlClass(control.op),
    key: control.key ?? new Uint8Array(0),
    ...stored(control, sender),
  }))
  for (let at = 0; at < changes.length; at += ROWS) {
    await trx
      .insertInto('kv_control')
      .values(changes.slice(at, at + ROWS))
      .execute()
  }
}
