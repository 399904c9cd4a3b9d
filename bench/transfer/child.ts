// One transfer in a process of its own, so that its CPU time and its memory are its alone. Prints what it took as JSON.
import { existsSync, readFileSync, writeSync } from 'node:fs'
import { JsonRpcProvider, Wallet } from 'ethers'
import { download } from '../../sdk/storage/download.ts'
import { upload } from '../../sdk/storage/upload.ts'

export interface Transfer {
  client: 'ours' | 'npm'
  direction: 'upload' | 'download'
  indexer: string
  rpcUrl: string
  privateKey: string
  /** What is read, or where it goes. */
  path: string
  /** What is downloaded. */
  root: string
}

export interface Measured {
  root: string
  seconds: number
  cpuSeconds: number
  peakMiB: number
}

const transfer: Transfer = JSON.parse(process.argv[2]!)
// The public client reports every step.
console.log = () => {}

async function run({ client, direction, indexer, rpcUrl, privateKey, path, root }: Transfer): Promise<string> {
  const signer = new Wallet(privateKey, new JsonRpcProvider(rpcUrl, undefined, { cacheTimeout: -1 }))
  if (client === 'ours' && direction === 'upload') return (await upload(path, { indexer, signer, replicas: 2, required: 2 })).root
  if (client === 'ours') return (await download(root, path, { indexer })).root
  // Loaded here, so that its memory is not counted as ours.
  const { Indexer, ZgFile } = await import('@0gfoundation/0g-ts-sdk')
  if (direction === 'download') {
    const failed = await new Indexer(indexer).download(root, path, true)
    if (failed) throw failed
    return root
  }
  const file = await ZgFile.fromFilePath(path)
  const [result, failed] = await new Indexer(indexer).upload(file, rpcUrl, signer as never, { expectedReplica: 2 })
  if (failed) throw failed
  return (result as { rootHash: string }).rootHash
}

/** MiB. On Linux the usage of a process begins with that of its parent at the fork; only its own memory map tells its own. */
function peakMemory(): number {
  const status = '/proc/self/status'
  const peak = existsSync(status) ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8'))?.[1] : undefined
  return (peak === undefined ? process.resourceUsage().maxRSS : Number(peak)) / 1024
}

const start = performance.now()
const root = await run(transfer)
const seconds = (performance.now() - start) / 1000
const { userCPUTime, systemCPUTime } = process.resourceUsage()
const measured: Measured = { root, seconds, cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakMiB: peakMemory() }
writeSync(1, JSON.stringify(measured))
process.exit()
