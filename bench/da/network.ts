import { spawn } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import PQueue from 'p-queue'
import type { DevnetFile } from '../../devnet/devnet-file.ts'
import { layout } from '../../devnet/layout.ts'
import { freePortBase } from '../../devnet/ports.ts'
import { connectDisperser, type DisperserClient } from '../../sdk/da/wire.ts'
import { median } from '../measure.ts'
import type { Row } from '../report.ts'
import { startProcesses } from './processes.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MIB = 1024 * 1024
const LATENCY_BLOBS = 21
/** How often a client looks: one that measures a latency, and one that has time. */
const POLL_MS = { latency: 10, load: 100 }
/** Sustained loads: size of the blobs in MiB, how many are under way together, and how long it lasts. */
const LOADS = [
  { id: '', mib: 16, together: 4, seconds: 30 },
  { id: '.4mib', mib: 4, together: 12, seconds: 20 },
  { id: '.1mib', mib: 1, together: 32, seconds: 20 },
] as const
type Load = (typeof LOADS)[number]
const THROUGHPUT_MB = 15

/** `npm start --only da` as users run it: a chain process and a process of all keepers; the clients are in this one. */
export async function networkRows(progress: (what: string) => void): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'perigee-bench-'))
  progress('starting a local network')
  const network = spawn(
    process.execPath,
    ['--import', './scripts/ts.mjs', 'devnet/main.ts', '--no-tour', '--only', 'da', '--dir', folder, '--port-base', String(await freePortBase())],
    { cwd: ROOT, stdio: 'ignore' },
  )
  const ended = once(network, 'exit')
  try {
    const { services } = await Promise.race([
      described(layout(folder).devnet),
      ended.then(([code]) => Promise.reject(new Error(`the network ended with ${code}`))),
    ])
    const disperser = connectDisperser(services.daDisperser!)
    try {
      return [await latency(disperser, progress)]
    } finally {
      disperser.close()
    }
  } finally {
    network.kill('SIGINT')
    await ended
    await rm(folder, { recursive: true, maxRetries: 10 })
  }
}

/** Every keeper in a process of its own; the clients, and the chain, are in this one. */
export async function processRows(progress: (what: string) => void): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'perigee-bench-'))
  progress('starting four signers and a disperser')
  const processes = await startProcesses(folder)
  const disperser = connectDisperser(processes.disperser)
  try {
    const rows: Row[] = []
    for (const load of LOADS) rows.push(await throughput(disperser, load, progress))
    return rows
  } finally {
    disperser.close()
    await processes.stop()
    await rm(folder, { recursive: true, maxRetries: 10 })
  }
}

async function described(path: string): Promise<DevnetFile> {
  for (;;) {
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text) return JSON.parse(text)
    await sleep(100)
  }
}

/** Seconds from sending a blob to its certificate. */
async function put(disperser: DisperserClient, data: Uint8Array, poll: number): Promise<number> {
  const start = performance.now()
  const { requestId } = await disperser.put({ data, payment: null })
  for (;;) {
    const { state, reason } = await disperser.getStatus({ requestId, blobId: new Uint8Array() })
    if (state === 'CERTIFIED' || state === 'FINAL') return (performance.now() - start) / 1000
    if (state === 'REFUSED' || state === 'NOT_ENOUGH_SIGNATURES') throw new Error(`the network refused a blob: ${reason}`)
    await sleep(poll)
  }
}

async function latency(disperser: DisperserClient, progress: (what: string) => void): Promise<Row> {
  progress('blobs of 1 MiB, one after another')
  await put(disperser, randomFillSync(new Uint8Array(MIB)), POLL_MS.latency)
  const times: number[] = []
  for (let i = 0; i < LATENCY_BLOBS; i++) times.push(await put(disperser, randomFillSync(new Uint8Array(MIB)), POLL_MS.latency))
  return { id: 'da.network.put', what: 'put to certified, 1 MiB, p50', value: median(times) * 1000, unit: 'ms', better: 'less' }
}

async function throughput(disperser: DisperserClient, { id, mib, together, seconds }: Load, progress: (what: string) => void): Promise<Row> {
  progress(`blobs of ${mib} MiB, ${together} at a time, for ${seconds} s`)
  const queue = new PQueue({ concurrency: together })
  const start = performance.now()
  let certified = 0
  let last = start
  const next = async (): Promise<void> => {
    if (performance.now() - start > seconds * 1000) return
    await put(disperser, randomFillSync(new Uint8Array(mib * MIB)), POLL_MS.load)
    certified++
    last = performance.now()
    void queue.add(next)
  }
  for (let i = 0; i < together; i++) void queue.add(next)
  await queue.onIdle()
  return {
    id: `da.network.throughput${id}`,
    what: `sustained put to certified, 4 signers on 2 cores, ${mib} MiB each`,
    value: (certified * mib * MIB) / 1e6 / ((last - start) / 1000),
    unit: 'MB/s',
    better: 'more',
    target: THROUGHPUT_MB,
  }
}
