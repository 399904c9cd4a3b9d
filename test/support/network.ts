import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JsonRpcProvider, Wallet } from 'ethers'
import { deploy, openBook } from '../../deploy/deploy.ts'
import { connect } from '../../deploy/networks.ts'
import { PROFILES, type Profile } from '../../deploy/profiles.ts'
import { type Account, type Chain, startChain } from '../../devnet/chain.ts'
import { type KeeperNetwork, startKeepers } from '../../devnet/keeper-network.ts'
import { freePortsFor } from '../../devnet/ports.ts'
import { openBackend } from '../../keepers/runtime/keeper.ts'
import { createLog } from '../../keepers/runtime/log.ts'

export interface NetworkOptions {
  /** Keepers of the storage module to run; by default two nodes, the indexer and the key-value store. None: `false`. */
  storage?: { nodes?: number; indexer?: boolean; kv?: boolean; miner?: boolean } | false
  /** What to deploy; the local profile by default. */
  profile?: Profile
  /** Seconds between idle blocks; 0, the default, mines for transactions only. Mining needs them. */
  blockTime?: number
  /** Where chain and keepers keep their state, to start again from it; a temporary folder by default, and the chain in memory. */
  dataDir?: string
  logLevel?: string
}

/** A whole network in this process, on ports of its own. */
export interface Network {
  rpcUrl: string
  accounts: Account[]
  contracts: Readonly<Record<string, string>>
  /** For time travel, snapshots and reorgs: `chain.request('evm_revert', [id])`. */
  chain: Chain
  provider: JsonRpcProvider
  /** Development account `i` with the provider. 0 is kept, 1 to 5 are the network's: use 6 and above. */
  wallet(i: number): Wallet
  nodes: string[]
  indexer: string
  kv: string
  /** Stops one keeper ("storage/node/0", "storage/indexer", …), as if its machine went away, and starts it again on its state. */
  stopKeeper(name: string): Promise<void>
  startKeeper(name: string): Promise<void>
  stop(): Promise<void>
}

export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const { storage = {}, profile = PROFILES.local!, blockTime = 0, dataDir, logLevel = 'warn' } = options
  const folder = dataDir ?? mkdtempSync(join(tmpdir(), 'perigee-network-'))
  const stops: (() => unknown)[] = dataDir ? [] : [() => rmSync(folder, { recursive: true, force: true })]
  const stop = async () => {
    for (const step of stops.splice(0).reverse()) await step()
  }
  try {
    const chain = await startChain({ blockTime, ...(dataDir && { journal: join(dataDir, 'chain.jsonl') }) })
    stops.push(() => chain.stop())
    const provider = connect(chain.url)
    stops.push(() => provider.destroy())
    const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
    const contracts = await deploy({ signer: wallet(1), profile, book: await openBook(wallet(1), join(folder, 'deployments')) })

    const keepers = storage === false ? undefined : await storageKeepers({ chain, contracts, folder, storage, logLevel })
    if (keepers) stops.push(() => keepers.stop())
    const running = () => {
      if (!keepers) throw new Error('this network runs no keepers')
      return keepers
    }
    return {
      rpcUrl: chain.url,
      accounts: chain.accounts,
      contracts,
      chain,
      provider,
      wallet,
      nodes: keepers?.urls.storageNodes ?? [],
      indexer: keepers?.urls.storageIndexer ?? '',
      kv: keepers?.urls.kv ?? '',
      stopKeeper: async (name) => running().stopKeeper(name),
      startKeeper: async (name) => running().startKeeper(name),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

interface StorageSetup {
  chain: Chain
  contracts: Readonly<Record<string, string>>
  folder: string
  storage: Exclude<NetworkOptions['storage'], false | undefined>
  logLevel: string
}

async function storageKeepers({ chain, contracts, folder, storage, logLevel }: StorageSetup): Promise<KeeperNetwork> {
  const { nodes = 2, indexer = true, kv = true, miner = false } = storage
  // Keepers are told of each other before they start, so that the system can't be left to choose their ports.
  const ports = await freePortsFor({ storageNodes: nodes })
  const wanted = (name: string) => (indexer || name !== 'storage/indexer') && (kv || name !== 'storage/kv') && (miner || name !== 'storage/miner')
  const description = {
    rpcUrl: chain.url,
    accounts: chain.accounts,
    contracts,
    ports,
    folder: join(folder, 'keepers'),
    modules: ['storage' as const],
  }
  const log = createLog({ name: 'test', level: logLevel })
  const backend = await openBackend({ dataDir: description.folder, log })
  try {
    const keepers = await startKeepers({ description, backend, log, wanted })
    return {
      ...keepers,
      async stop() {
        await keepers.stop()
        await backend.close()
      },
    }
  } catch (error) {
    await backend.close()
    throw error
  }
}
