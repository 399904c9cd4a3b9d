import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import Table from 'cli-table3'

/** One thing measured. `value`, `reference` and `target` are in `unit`. */
export interface Row {
  /** Names the measurement from run to run. */
  id: string
  /** What is measured, for the reader. */
  what: string
  value: number
  unit: string
  better: 'more' | 'less'
  /** What a peer needs or reaches. */
  reference?: number
  /** Who the peer is; where its figure is from if it is not measured in the same run. */
  peer?: string
  /** What is good enough. */
  target?: number
}

/** What `--json` prints of a row. */
export interface Result {
  id: string
  value: number
  unit: string
  reference: number | null
  target: number | null
  /** How many times better than the reference. */
  ratio: number | null
  /** Whether the target is met; null without one. */
  ok: boolean | null
}

export function resultOf({ id, value, unit, better, reference, target }: Row): Result {
  const times = (other: number): number => (better === 'more' ? value / other : other / value)
  return {
    id,
    value: rounded(value),
    unit,
    reference: reference === undefined ? null : rounded(reference),
    target: target === undefined ? null : rounded(target),
    ratio: reference === undefined ? null : rounded(times(reference)),
    ok: target === undefined ? null : times(target) >= 1,
  }
}

export function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ['', 'value', 'unit', 'reference', 'times better', 'target', 'met'],
    colAligns: ['left', 'right', 'left', 'right', 'right', 'right', 'center'],
    style: { head: [], border: [], compact: true },
  })
  for (const row of rows) {
    const { value, unit, reference, ratio, target, ok } = resultOf(row)
    const bound = target === null ? '' : `${row.better === 'more' ? '≥' : '≤'} ${shown(target)}`
    const compared = reference === null ? '' : `${shown(reference)}${row.peer ? ` (${row.peer})` : ''}`
    table.push([row.what, shown(value), unit, compared, shown(ratio), bound, ok === null ? '' : ok ? 'yes' : 'NO'])
  }
  return table.toString()
}

/** Writes results with what one must know to compare them: the machine, the versions and the date. Returns the file's path. */
export async function save(name: string, rows: readonly Row[]): Promise<string> {
  const folder = new URL('results/', import.meta.url)
  const file = new URL(`${name}.json`, folder)
  await mkdir(folder, { recursive: true })
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
  const machine = {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
  }
  const versions = { perigee: version, node: process.versions.node, v8: process.versions.v8 }
  const results = rows.map((row) => ({ ...resultOf(row), what: row.what, peer: row.peer ?? null }))
  await writeFile(file, `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), machine, versions, results }, null, 2)}\n`)
  return file.pathname
}

/** Three significant digits, but every digit of a whole number: gas is exact. */
function rounded(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(value < 1000 ? 3 : Math.ceil(Math.log10(value))))
}

function shown(value: number | null): string {
  return value === null ? '' : value.toLocaleString('en')
}
