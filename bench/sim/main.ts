import { writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import { plotOf, type Simulation, simulate } from './da/index.ts'
import { svgOf, textOf } from './da/plot.ts'
import { tablesOf } from './da/tables.ts'

const RESULTS = new URL('../results/', import.meta.url)

/** Figures with five digits: those of a run on one machine are those of a run on any. */
function jsonOf(simulation: Simulation): string {
  const written = (_: string, value: unknown) => {
    if (typeof value !== 'number' || Number.isInteger(value)) return value
    return Number.isFinite(value) ? Number(value.toPrecision(5)) : 'never'
  }
  return `${JSON.stringify(simulation, written, 2)}\n`
}

async function da({ json, save }: { json?: boolean; save?: boolean }): Promise<void> {
  const simulation = simulate((what) => process.stderr.write(`… ${what}\n`))
  const text = jsonOf(simulation)
  console.log(json ? text : `${tablesOf(simulation)}\n\n${textOf(plotOf(simulation))}`)
  if (!save) return
  await writeFile(new URL('sim-da.json', RESULTS), text)
  await writeFile(new URL('sim-da.svg', RESULTS), svgOf(plotOf(simulation)))
}

const program = new Command('sim').description('Simulates what no machine has room for; the same in every run.')
program
  .command('da')
  .description('data availability from 4 to 1,000 signers: rows, bytes, failures, throughput')
  .option('--json', 'print the figures as JSON')
  .option('--save', 'write bench/results/sim-da.json and sim-da.svg, to be committed')
  .action(da)
await program.parseAsync()
