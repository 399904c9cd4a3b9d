import type { messages } from '@electric-sql/pglite'
import pg from 'pg'
import { serialize } from 'pg-protocol'

/** How text of a type, by its oid, is read. */
export type TypeParser = (oid: number) => (text: string) => unknown

export interface PgResult<R = any> {
  command: 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'MERGE'
  rows: R[]
  rowCount: number
}

/** As node-postgres sends them, so that values mean the same on a server and in this process; its types leave this out. */
const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils
const DESCRIBE = serialize.describe({ type: 'P' })
const EXECUTE = serialize.execute()
const SYNC = serialize.sync()

/**
 * One message that has PostgreSQL run a statement: parse, bind, describe, execute and sync together, as each way into an embedded one costs more than most
 * statements. Without parameters a text may hold several statements.
 */
export function statementMessage(text: string, params: readonly unknown[]): Uint8Array {
  if (params.length === 0) return serialize.query(text)
  const bind = serialize.bind({ values: [...params], valueMapper: prepareValue })
  return Buffer.concat([serialize.parse({ text }), bind, DESCRIBE, EXECUTE, SYNC])
}

/** The result of the last statement that these messages answer. */
export function lastResult(answer: readonly messages.BackendMessage[], parserOf: TypeParser): PgResult {
  let result: PgResult = { command: 'SELECT', rows: [], rowCount: 0 }
  let columns: { name: string; parse: (text: string) => unknown }[] = []
  let rows: unknown[] = []
  for (const message of answer) {
    if (isRowDescription(message)) {
      columns = message.fields.map(({ name, dataTypeID }) => ({ name, parse: parserOf(dataTypeID) }))
      rows = []
    } else if (isDataRow(message)) rows.push(rowOf(columns, message.fields))
    else if (isCommandComplete(message)) {
      const words = message.text.split(' ')
      result = { command: words[0] as PgResult['command'], rows, rowCount: Number(words.at(-1)) || 0 }
      rows = []
    }
  }
  return result
}

function rowOf(columns: readonly { name: string; parse: (text: string) => unknown }[], values: readonly (string | null)[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (const [i, { name, parse }] of columns.entries()) row[name] = values[i] === null ? null : parse(values[i]!)
  return row
}

const isRowDescription = (message: messages.BackendMessage): message is messages.RowDescriptionMessage => message.name === 'rowDescription'
const isDataRow = (message: messages.BackendMessage): message is messages.DataRowMessage => message.name === 'dataRow'
const isCommandComplete = (message: messages.BackendMessage): message is messages.CommandCompleteMessage => message.name === 'commandComplete'
