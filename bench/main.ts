import { readdir } from 'node:fs/promises'
import { Command } from 'commander'
import { type Row, resultOf, save, tableOf } from './report.ts'

/** A file of this folder that measures something. */
interface Benchmark {
  /** One line for the list. */
  about: string
  /** Runs everything and may say on the way what it is at. */
  rows(progress: (what: string) => void): Promise<Row[]>
}

const NOT_BENCHMARKS = ['main.ts', 'measure.ts', 'report.ts']

async function names(): Promise<string[]> {
  const files = await readdir(new URL('.', import.meta.url))
  return files.filter((file) => file.endsWith('.ts') && !NOT_BENCHMARKS.includes(file)).map((file) => file.slice(0, -3))
}

const load = (name: string): Promise<Benchmark> => import(new URL(`${name}.ts`, import.meta.url).href)

async function list(): Promise<void> {
  for (const name of await names()) console.log(`${name.padEnd(12)} ${(await load(name)).about}`)
}

async function run(name: string, { json, save: saved }: { json?: boolean; save?: boolean }): Promise<void> {
  const known = await names()
  if (!known.includes(name)) throw new Error(`There is no benchmark "${name}". There are: ${known.join(', ')}.`)
  const { rows } = await load(name)
  const measured = await rows((what) => process.stderr.write(`… ${what}\n`))
  console.log(json ? JSON.stringify(measured.map(resultOf), null, 2) : tableOf(measured))
  if (saved) process.stderr.write(`saved to ${await save(name, measured)}\n`)
}

const program = new Command('bench')
  .description('Measures, next to peers that can run here.')
  .argument('[name]', 'benchmark to run; none lists them')
  .option('--json', 'print the results as JSON')
  .option('--save', 'write bench/results/<name>.json, to be committed')
  .action((name: string | undefined, options) => (name === undefined ? list() : run(name, options)))

try {
  await program.parseAsync()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
