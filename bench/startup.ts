import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from '../devnet/build.ts'
import { layout } from '../devnet/layout.ts'
import { freePortBase } from '../devnet/ports.ts'
import type { Row } from './report.ts'

export const about = 'npm start to ready: a new network, one that was stopped, and one that idled for a week'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const WEEK = 7 * 24 * 3600
const TARGET = 30

/** A week of blocks every second, as a chain mines them that runs without transactions. */
const IDLE_WEEK = { blocks: 300, times: WEEK / 300 }

export async function rows(progress: (what: string) => void): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'perigee-bench-'))
  const { journal } = layout(folder)
  const portBase = await freePortBase()
  const measured: Row[] = []
  const measure = async (id: string, what: string) => {
    progress(what)
    measured.push({ id, what, value: await secondsToReady(folder, portBase), unit: 's', better: 'less', target: TARGET })
  }
  try {
    progress('build cache')
    await build(AbortSignal.timeout(600_000))
    await measure('startup.new', 'new network')
    await measure('startup.again', 'the same again')
    await idle(journal)
    await measure('startup.week', 'after a week of idle blocks')
    return measured
  } finally {
    await rm(folder, { recursive: true, maxRetries: 10 })
  }
}

/** Starts the network, stops it when it is ready, and gives the time to ready that it printed. */
async function secondsToReady(folder: string, portBase: number): Promise<number> {
  const flags = ['--no-tour', '--dir', folder, '--port-base', String(portBase)]
  const network = spawn(process.execPath, ['--import', './scripts/ts.mjs', 'devnet/main.ts', ...flags], { cwd: ROOT })
  const ended = once(network, 'exit')
  let output = ''
  const ready = new Promise<number>((resolve, reject) => {
    for (const stream of [network.stdout, network.stderr])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        const time = /ready in ([\d.]+) s/.exec(output)?.[1]
        if (time) resolve(Number(time))
      })
    network.once('exit', () => reject(new Error(`the network did not start:\n${output}`)))
  })
  const seconds = await ready
  network.kill('SIGINT')
  await ended
  return seconds
}

/** Lets a week pass for a stopped chain, block by block. */
async function idle(journal: string): Promise<void> {
  const lines = (await readFile(journal, 'utf8')).trimEnd().split('\n')
  const entries = lines.map((line) => JSON.parse(line) as { time?: number; blocks?: number; times?: number; every?: number; clock?: number })
  const last = entries.findLast(({ time }) => time !== undefined)!
  const ahead = entries.findLast(({ clock }) => clock !== undefined)?.clock ?? 0
  const time = last.time! + (last.blocks ?? 1) * (last.times ?? 1) * (last.every ?? 1)
  appendFileSync(journal, `${JSON.stringify({ time, every: 1, ...IDLE_WEEK })}\n${JSON.stringify({ clock: ahead + WEEK })}\n`)
}
