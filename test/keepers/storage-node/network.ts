import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect } from 'chai'
import { Wallet } from 'ethers'
import { deploy, openBook } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { startChain } from '../../../devnet/chain.ts'
import { type Backend, createRuntime, type Keeper, type KeeperDefinition, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { storageNode } from '../../../keepers/storage/node/keeper.ts'
import { StorageNodeClient } from '../../../sdk/storage/node-client.ts'
import { Flow__factory, StorageMarket__factory } from '../../../typechain-types/index.ts'
import type { SampleFile } from './sample.ts'

/** Fast enough for tests; each may set its own. */
const QUICK = { pollMs: 25, replicateMs: 100, replicateAfterMs: 400, scrubMs: 3_600_000, leaseMs: 200 }

export interface RunningKeeper {
  url: string
  folder: string
  keeper: Keeper
  stop(): Promise<void>
}

export interface RunningNode extends RunningKeeper {
  client: StorageNodeClient
  /** Where the node keeps a file, and its sidecar at `.tree`. */
  pathOf(file: SampleFile): string
}

export const quietLog = (name: string) => createLog({ name, level: process.env.TEST_LOG ?? 'silent', pretty: false })

/** Runs a keeper in this process with its files in `folder`, and its database there too unless it shares one. */
export async function runKeeper(definition: KeeperDefinition<any>, config: object, folder: string, shared?: Backend): Promise<RunningKeeper> {
  const name = `${definition.name}/${basename(folder)}`
  const log = quietLog(name)
  const backend = shared ?? (await openBackend({ dataDir: join(folder, 'database'), log }))
  const runtime = createRuntime({ name, backend, log })
  const stop = async () => {
    await keeper?.stop()
    await runtime.close()
    if (!shared) await backend.close()
  }
  let keeper: Keeper | undefined
  try {
    keeper = await definition.create(definition.schema.parse({ dataDir: folder, port: 0, ...config }), runtime)
    await keeper.start()
  } catch (error) {
    await stop()
    throw error
  }
  return { url: keeper.url!, folder, keeper, stop }
}

/** A chain with the storage contracts, and as many nodes as a test starts on it. */
export async function startStorage({ profile = PROFILES.local!, chainId = 31337 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-node-'))
  const chain = await startChain({ chainId })
  const provider = connect(chain.url)
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const deployTo = async (book: string) => deploy({ signer: wallet(1), profile, book: await openBook(wallet(1), join(folder, book)) })
  const contracts = await deployTo('deployments')
  const flow = Flow__factory.connect(contracts.Flow!, wallet(6))
  const market = StorageMarket__factory.connect(contracts.StorageMarket!, wallet(6))
  const price = await market.pricePerSector()
  const running = new Set<RunningKeeper>()
  // One for all nodes, in memory: making a new one takes seconds.
  const backend = await openBackend({ log: quietLog('database') })

  return {
    chain,
    provider,
    wallet,
    flow,
    market,
    folder,
    deployTo,

    config: (overrides: object = {}) => ({ ...QUICK, rpcUrl: chain.url, flow: contracts.Flow!, privateKey: chain.accounts[2]!.privateKey, ...overrides }),

    backend,

    /** Starts a node named `name`; a second time on what the first left. With `ownDatabase` all of it is in the node's folder. */
    async node(name: string, { ownDatabase = false, ...overrides }: { ownDatabase?: boolean; [key: string]: unknown } = {}): Promise<RunningNode> {
      const started = await runKeeper(storageNode, this.config(overrides), join(folder, name), ownDatabase ? undefined : backend)
      const pathOf = ({ root, size }: SampleFile) => join(started.folder, 'files', root.slice(2, 4), `${root.slice(2)}.${size}`)
      const node = {
        ...started,
        client: new StorageNodeClient(started.url),
        pathOf,
        async stop() {
          if (running.delete(node)) await started.stop()
        },
      }
      running.add(node)
      return node
    },

    /** Submits files on chain; resolves to their sequence numbers. */
    async submit(...files: SampleFile[]): Promise<number[]> {
      const seqs: number[] = []
      for (const file of files) {
        const nodes = file.tree.nodes()
        const value = price * BigInt(file.shape.paddedChunks)
        const submit = flow['submit((uint256,bytes,(bytes32,uint256)[]))']
        const receipt = await (await submit({ length: file.size, tags: '0x', nodes }, { value })).wait()
        const [event] = receipt!.logs.map((log) => flow.interface.parseLog(log)).filter((parsed) => parsed?.name === 'Submit')
        seqs.push(Number(event!.args[2]))
      }
      return seqs
    },

    async stopNodes() {
      for (const node of [...running]) await node.stop()
    },

    async stop() {
      await this.stopNodes()
      await backend.close()
      provider.destroy()
      await chain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export type Storage = Awaited<ReturnType<typeof startStorage>>

/** Waits until `holds` gives something other than undefined, false or null. Fails with what it was waiting for. */
export async function eventually<T>(what: string, holds: () => Promise<T | undefined | false | null>, withinMs = 60_000): Promise<T> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const value = await holds()
    if (value !== undefined && value !== false && value !== null) return value
    if (Date.now() > deadline) expect.fail(`${what}: not within ${withinMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A JSON-RPC call as any client sends it; the whole answer. */
export async function rpc(url: string, method: string, params?: unknown): Promise<{ result?: any; error?: { code: number; message: string; data?: unknown } }> {
  const body = JSON.stringify({ jsonrpc: '2.0', method, ...(params === undefined ? {} : { params }), id: 1.8e16 })
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  expect(response.status, method).to.equal(200)
  return (await response.json()) as object
}

/** Uploads a file by JSON-RPC, a segment per call, and waits for its finality. */
export async function upload(node: RunningNode, seq: number, file: SampleFile): Promise<void> {
  await known(node, seq)
  await Promise.all(
    Array.from({ length: file.shape.segments }, async (_, i) => {
      const { error } = await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(i)], seq])
      expect(error).to.equal(undefined)
    }),
  )
  await finalized(node, seq)
}

export const known = (node: RunningNode, seq: number) => eventually(`submission ${seq} is known`, () => node.client.fileBySeq(seq))

export const finalized = (node: RunningNode, seq: number) =>
  eventually(`submission ${seq} is finalised`, async () => {
    const info = await node.client.fileBySeq(seq)
    return info?.finalized && info
  })

/** The whole file as the node serves it over plain HTTP. */
export async function content(node: RunningNode, file: string | number): Promise<Buffer> {
  const response = await fetch(`${node.url}/files/${file}/data`)
  expect(response.status).to.equal(200)
  return Buffer.from(await response.arrayBuffer())
}
