import CliTable from 'cli-table3'

/** Prints a result: as JSON for programs, else what `text` makes of it. Amounts become decimal strings in JSON. */
export function print<T>(result: T, { json }: { json?: boolean | undefined }, text: (result: T) => string): void {
  const written = json ? JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? value.toString() : value)) : text(result)
  process.stdout.write(`${written}\n`)
}

/** Says something beside the result, where it does not get into a pipe. */
export function notice(text: string, { json }: { json?: boolean | undefined }): void {
  if (!json) process.stderr.write(`${text}\n`)
}

export function table(head: string[], rows: (string | number)[][]): string {
  const plain = new CliTable({ head, style: { head: [], border: [], compact: true }, chars: borderless })
  plain.push(...rows)
  return plain.toString()
}

/** Lines of `name  value`, aligned. */
export function record(entries: [string, string | number][]): string {
  const width = Math.max(...entries.map(([name]) => name.length))
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, count)) / 10)))
  return unit === 0 ? `${count} B` : `${(count / 1024 ** unit).toFixed(1)} ${units[unit]}`
}

export const time = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

const edges = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
  'left',
  'left-mid',
  'mid',
  'mid-mid',
  'right',
  'right-mid',
]
const borderless = { ...Object.fromEntries(edges.map((edge) => [edge, ''])), middle: '  ' }
