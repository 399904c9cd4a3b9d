import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JsonRpcProvider, Wallet } from 'ethers'
import { deploy, openBook } from '../../deploy/deploy.ts'
import { connect } from '../../deploy/networks.ts'
import { PROFILES, type Profile } from '../../deploy/profiles.ts'
import { ACCOUNTS } from '../../devnet/accounts.ts'
import { type Account, type Chain, startChain } from '../../devnet/chain.ts'
import type { ServiceUrls } from '../../devnet/devnet-file.ts'
import { type KeeperNetwork, startKeepers } from '../../devnet/keeper-network.ts'
import { freePortsFor } from '../../devnet/ports.ts'
import { trustedTee } from '../../devnet/trusted-tee.ts'
import { openBackend } from '../../keepers/runtime/keeper.ts'
import { createLog } from '../../keepers/runtime/log.ts'
import { type ComputeContracts, connectCompute } from '../../sdk/compute/contracts.ts'

export interface NetworkOptions {
  /** Keepers of the storage module to run; by default two nodes, the indexer and the key-value store. None: `false`. */
  storage?: { nodes?: number; indexer?: boolean; kv?: boolean; miner?: boolean } | false
  /** Keepers of the compute module to run; none by default. Without any, its contracts are not deployed either. */
  compute?: { providers?: number; tuning?: boolean; gateway?: boolean; collateral?: boolean }
  /** Keepers of data availability: four signers, the disperser and the retriever; a sampler if asked for. None by default, nor the contracts. */
  da?: { sampler?: boolean }
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
  /** Where its state is. */
  folder: string
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
  /** Providers of inference that run. */
  providers: { address: string; url: string; wallet: Wallet }[]
  /** Of fine-tuning; where it runs. */
  tuning: { address: string; url: string }
  gateway: string
  /** gRPC, host:port; where they run. */
  disperser: string
  retriever: { grpc: string; http: string }
  /** The marketplace to read; there only with `compute`. */
  readonly compute: ComputeContracts
  /** The marketplace to act in as somebody. */
  computeAs(wallet: Wallet): ComputeContracts
  /** Stops one keeper ("storage/node/0", "storage/indexer", …), as if its machine went away, and starts it again on its state. */
  stopKeeper(name: string): Promise<void>
  startKeeper(name: string): Promise<void>
  stop(): Promise<void>
}

/** The local profile without what a test does not use. */
function usedProfile({ compute, da }: NetworkOptions): Profile {
  const { access, storage, da: daParameters, ...rest } = PROFILES.local!
  return { access, ...(storage && { storage }), ...((compute || da) && { stake: true }), ...(compute && rest), ...(da && daParameters && { da: daParameters }) }
}

export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const { storage = {}, compute, da, blockTime = 0, dataDir, logLevel = 'warn' } = options
  const profile = options.profile ?? usedProfile(options)
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
    const simulatedTee = join(folder, 'tee', 'pki.json')
    const contracts = await deploy({
      signer: wallet(1),
      reserved: wallet(0),
      profile,
      book: await openBook(wallet(1), join(folder, 'deployments')),
      ...(compute && { tee: trustedTee(simulatedTee) }),
    })

    const keepers = storage || compute || da ? await runKeepers({ chain, contracts, folder, simulatedTee, storage, compute, da, logLevel }) : undefined
    if (keepers) stops.push(() => keepers.stop())
    const running = () => {
      if (!keepers) throw new Error('this network runs no keepers')
      return keepers
    }
    const urls: ServiceUrls = keepers?.urls ?? {}
    return {
      folder,
      rpcUrl: chain.url,
      accounts: chain.accounts,
      contracts,
      chain,
      provider,
      wallet,
      nodes: urls.storageNodes ?? [],
      indexer: urls.storageIndexer ?? '',
      kv: urls.kv ?? '',
      providers: (urls.computeProviders ?? []).map((at, i) => ({ ...at, wallet: wallet(ACCOUNTS.computeProviders[i]!) })),
      tuning: urls.tuningProvider ?? { address: '', url: '' },
      gateway: urls.gateway ?? '',
      disperser: urls.daDisperser ?? '',
      retriever: { grpc: keepers?.retriever ?? '', http: urls.daRetriever ?? '' },
      get compute() {
        return connectCompute(contracts, provider)
      },
      computeAs: (signer) => connectCompute(contracts, signer),
      stopKeeper: async (name) => running().stopKeeper(name),
      startKeeper: async (name) => running().startKeeper(name),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Setup {
  chain: Chain
  contracts: Readonly<Record<string, string>>
  folder: string
  simulatedTee: string
  storage: NonNullable<NetworkOptions['storage']>
  compute: NetworkOptions['compute']
  da: NetworkOptions['da']
  logLevel: string
}

/** Names of the keepers that are left out. */
function unwanted({ storage, compute, da }: Pick<Setup, 'storage' | 'compute' | 'da'>): Set<string> {
  const { indexer = true, kv = true, miner = false } = storage || {}
  const { tuning = false, gateway = false, collateral = false } = compute ?? {}
  const choices = {
    'storage/indexer': indexer,
    'storage/kv': kv,
    'storage/miner': miner,
    'compute/tuning': tuning,
    'compute/gateway': gateway,
    'attestation/collateral': collateral,
    'da/sampler': da?.sampler ?? false,
  }
  return new Set(Object.entries(choices).flatMap(([name, chosen]) => (chosen ? [] : [name])))
}

async function runKeepers({ chain, contracts, folder, simulatedTee, storage, compute, da, logLevel }: Setup): Promise<KeeperNetwork & { retriever: string }> {
  // Keepers are told of each other before they start, so that the system can't be left to choose their ports.
  const ports = await freePortsFor({ storageNodes: (storage ? storage.nodes : undefined) ?? 2, computeProviders: compute?.providers ?? 2 })
  const left = unwanted({ storage, compute, da })
  const description = {
    rpcUrl: chain.url,
    accounts: chain.accounts,
    contracts,
    ports,
    folder: join(folder, 'keepers'),
    simulatedTee,
    modules: [...(storage ? ['storage' as const] : []), ...(compute ? ['compute' as const] : []), ...(da ? ['da' as const] : [])],
  }
  const log = createLog({ name: 'test', level: logLevel })
  const backend = await openBackend({ dataDir: description.folder, log })
  try {
    const keepers = await startKeepers({ description, backend, log, wanted: (name) => !left.has(name) })
    return {
      ...keepers,
      retriever: `127.0.0.1:${ports.daRetriever[0]}`,
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
