import { execFile } from 'node:child_process'
import { createCipheriv, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Network, startNetwork } from '../test/support/network.ts'
import { median } from './measure.ts'
import type { Row } from './report.ts'
import type { Measured, Transfer } from './transfer/child.ts'

export const about = 'a file of 256 MiB to two nodes and back, next to the public client: throughput, CPU and memory'

const MB = 1e6
const FILE_SIZE = 256 * 1024 * 1024
/** The public client takes a minute for each. */
const ROUNDS = { ours: 3, npm: 1 }
const TIMES_FASTER = 5
const MOST_MEMORY_MIB = 300
const DOWNLOAD_RATE = 150

/** Nodes, chain and indexer run in this process; each transfer in a child, which measures itself. */
export async function rows(progress: (what: string) => void): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'perigee-bench-'))
  const network = await startNetwork({ storage: { kv: false }, dataDir: folder })
  try {
    const up: Record<Transfer['client'], Measured[]> = { ours: [], npm: [] }
    const down: Record<Transfer['client'], Measured[]> = { ours: [], npm: [] }
    for (const client of ['ours', 'npm'] as const) {
      for (let round = 1; round <= ROUNDS[client]; round++) {
        const path = join(folder, 'source')
        const copy = join(folder, 'copy')
        // Other bytes each time: a file that is stored is not sent.
        await writeNoise(path)
        progress(`upload, ${client}, ${round} of ${ROUNDS[client]}`)
        const uploaded = await inChild(network, { client, direction: 'upload', path, root: '' })
        progress(`download, ${client}, ${round} of ${ROUNDS[client]}`)
        down[client].push(await inChild(network, { client, direction: 'download', path: copy, root: uploaded.root }))
        up[client].push(uploaded)
        await Promise.all([rm(path), rm(copy)])
      }
    }
    return [...rowsOf('upload', up), ...rowsOf('download', down)]
  } finally {
    await network.stop()
    await rm(folder, { recursive: true })
  }
}

function rowsOf(direction: Transfer['direction'], measured: Record<Transfer['client'], Measured[]>): Row[] {
  const of = (client: Transfer['client'], pick: (one: Measured) => number): number => median(measured[client].map(pick))
  const rate = ({ seconds }: Measured): number => FILE_SIZE / MB / seconds
  const what = direction === 'upload' ? '256 MiB to two nodes' : '256 MiB back (the public client does not verify it)'
  const peer = 'npm client'
  const target = direction === 'upload' ? TIMES_FASTER * of('npm', rate) : DOWNLOAD_RATE
  const cpu = ({ cpuSeconds }: Measured): number => cpuSeconds
  const memory = ({ peakMiB }: Measured): number => peakMiB
  return [
    {
      id: `transfer.${direction}`,
      what: `${direction}, ${what}`,
      value: of('ours', rate),
      unit: 'MB/s',
      better: 'more',
      reference: of('npm', rate),
      peer,
      target,
    },
    { id: `transfer.${direction}.cpu`, what: `${direction}, CPU`, value: of('ours', cpu), unit: 's', better: 'less', reference: of('npm', cpu), peer },
    {
      id: `transfer.${direction}.memory`,
      what: `${direction}, peak memory of the process`,
      value: of('ours', memory),
      unit: 'MiB',
      better: 'less',
      reference: of('npm', memory),
      peer,
      target: MOST_MEMORY_MIB,
    },
  ]
}

async function inChild({ indexer, rpcUrl, accounts }: Network, transfer: Pick<Transfer, 'client' | 'direction' | 'path' | 'root'>): Promise<Measured> {
  const task: Transfer = { indexer, rpcUrl, privateKey: accounts[6]!.privateKey, ...transfer }
  // What was written before goes to disk first: a transfer is not to pay for it.
  await promisify(execFile)('sync')
  const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', file('../scripts/ts.mjs'), file('transfer/child.ts'), JSON.stringify(task)])
  return JSON.parse(stdout)
}

/** Random bytes, as compressible ones would flatter nobody but a disk. */
async function writeNoise(path: string): Promise<void> {
  const stream = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
  const zeros = Buffer.alloc(1024 * 1024)
  const noise = function* (): Generator<Buffer> {
    for (let written = 0; written < FILE_SIZE; written += zeros.length) yield stream.update(zeros)
  }
  await pipeline(Readable.from(noise(), { objectMode: false }), createWriteStream(path))
}
