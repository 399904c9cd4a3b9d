import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { loadKernel } from '../../../codec/keccak/index.ts'
import { draws, Evaluator, type PoraTask } from '../../../protocol/storage/pora.ts'
import { LOAD_SEALS, LOAD_SECTORS, SEAL_SIZE } from '../../../protocol/storage/sealing.ts'
import { decodeSeals, type SealedLoad } from './seal-file.ts'
import { sealPath } from './seal-store.ts'

export interface MiningWorkerData {
  /** Of the seal store. */
  folder: string
  minerId: Uint8Array
  /** Nonces per second; 0 is as many as it can. */
  nonceRate: number
  /** Loads of 256 KiB kept in memory; others are read again when they are recalled. */
  cachedLoads: number
}

export interface MiningTask extends PoraTask {
  /** Names the task in what is won. */
  id: number
  /** 32 bytes, big-endian. */
  target: Uint8Array
}

/** What the keeper tells a mining thread … */
export type MiningOrder = { task: MiningTask | undefined } | { sealed: number[] } | { removed: number }

/** … and what it answers: each second how much it has tried, and at once what it has won or found damaged. */
export type MiningReport = { nonces: number; tries: number } | { won: Won } | { damaged: number; reason: string }

export interface Won {
  taskId: number
  nonce: Uint8Array
  load: number
  sealOffset: number
  quality: Uint8Array
  contextDigest: Uint8Array
  sealed: Uint8Array
}

/** Nonces whose pads grow together: some milliseconds of work, after which orders are read. */
const MAX_BATCH = 16
const REPORT_MS = 1000

const { folder, minerId, nonceRate, cachedLoads } = workerData as MiningWorkerData
/** With a limit, several batches a second, so that new work is not left waiting. */
const batchSize = nonceRate > 0 ? Math.min(MAX_BATCH, Math.ceil(nonceRate / 4)) : MAX_BATCH
const port = parentPort!
const kernel = loadKernel()
const evaluator = new Evaluator()
const available = new Set<number>()
const cache = new Map<number, SealedLoad & { sealOffsets: number[] }>()
let task: MiningTask | undefined
let wake = () => {}
let nonces = 0
let tries = 0

port.on('message', (order: MiningOrder) => {
  if ('task' in order) task = order.task
  else if ('removed' in order) available.delete(order.removed)
  else
    for (const load of order.sealed) {
      available.add(load)
      cache.delete(load)
    }
  wake()
})
setInterval(() => {
  if (nonces === 0) return
  port.postMessage({ nonces, tries } satisfies MiningReport)
  nonces = tries = 0
}, REPORT_MS)

/** The sealed load, checked when it comes from the disk; undefined where there is none or it is damaged. */
function sealsOf(load: number) {
  if (!available.has(load)) return undefined
  const cached = cache.get(load)
  if (cached) return cached
  try {
    const decoded = decodeSeals(readFileSync(sealPath(folder, load)), load, minerId)
    const sealOffsets = Array.from({ length: LOAD_SEALS }, (_, j) => j).filter((j) => (decoded.worth >> BigInt(j)) & 1n)
    const seals = { ...decoded, sealOffsets }
    const [oldest] = cache.keys()
    if (cache.size >= cachedLoads) cache.delete(oldest!)
    cache.set(load, seals)
    return seals
  } catch (error) {
    available.delete(load)
    port.postMessage({ damaged: load, reason: (error as Error).message } satisfies MiningReport)
    return undefined
  }
}

/** Nonces that no other thread or miner tries: a random beginning, and then counted up. */
function* freshNonces(): Generator<Uint8Array> {
  const start = randomBytes(32)
  for (let i = 0n; ; i++) {
    const nonce = new Uint8Array(start)
    new DataView(nonce.buffer).setBigUint64(24, i)
    yield nonce
  }
}

function tryBatch(current: MiningTask, batch: Uint8Array[]): void {
  for (const draw of draws(kernel, current, batch)) {
    nonces++
    const load = draw.load / LOAD_SECTORS
    const seals = sealsOf(load)
    if (!seals) continue
    tries += seals.sealOffsets.length
    for (const { sealOffset, quality } of evaluator.winners(draw, seals.sealed, seals.sealOffsets, current.target)) {
      const won: Won = {
        taskId: current.id,
        nonce: draw.nonce,
        load,
        sealOffset,
        quality,
        contextDigest: seals.contextDigests.slice(32 * sealOffset, 32 * (sealOffset + 1)),
        sealed: seals.sealed.slice(sealOffset * SEAL_SIZE, (sealOffset + 1) * SEAL_SIZE),
      }
      port.postMessage({ won } satisfies MiningReport)
    }
  }
}

const source = freshNonces()
for (;;) {
  if (!task || available.size === 0) {
    await new Promise<void>((resolve) => {
      wake = resolve
    })
    continue
  }
  const started = performance.now()
  tryBatch(
    task,
    Array.from({ length: batchSize }, () => source.next().value),
  )
  if (nonceRate > 0) await sleep(Math.max(0, started + (batchSize / nonceRate) * 1000 - performance.now()))
  else await turn()
}
