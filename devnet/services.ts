import { join } from 'node:path'
import type { KeeperDefinition } from '../keepers/runtime/keeper.ts'
import { indexer } from '../keepers/storage/indexer/keeper.ts'
import { kvKeeper } from '../keepers/storage/kv/keeper.ts'
import { miner } from '../keepers/storage/miner/keeper.ts'
import { storageNode } from '../keepers/storage/node/keeper.ts'
import type { Account } from './chain.ts'
import type { ServiceUrls } from './devnet-file.ts'
import type { Ports } from './layout.ts'
import type { Module } from './modules.ts'

/** What keepers are configured from. Plain data: it crosses to the keeper process. */
export interface NetworkDescription {
  rpcUrl: string
  accounts: Account[]
  contracts: Readonly<Record<string, string>>
  ports: Ports
  /** Folder of the keepers' state. */
  folder: string
  /** Modules whose keepers run. */
  modules: Module[]
}

/** One keeper of the local network. */
export interface Service {
  /** Unique in the network: names its tables, its folder and its metrics. */
  name: string
  module: Module
  definition: KeeperDefinition<any>
  config: Record<string, unknown>
  /** Its part of devnet.json. */
  publish?: (urls: ServiceUrls, url: string) => void
}

/** Development accounts by use. 0 is kept for the compute contracts and 1 deploys; from 6 on they are the user's. */
const ACCOUNTS = { storageNodes: [2, 3], storageMiner: 4 } as const

/** Nonces a second: finds an answer in about a second at the difficulty of the local profile, and leaves the machine to its user. */
const MINER_NONCE_RATE = 500

/** On one machine an uploader that has not sent a file after two seconds is not going to send it here. */
const QUICK_COPIES = { replicateMs: 1000, replicateAfterMs: 2000 }

/** The keepers of a local network, in the order they start. */
export function services(network: NetworkDescription): Service[] {
  return storage(network).filter(({ module }) => network.modules.includes(module))
}

function storage({ rpcUrl, accounts, contracts, ports, folder }: NetworkDescription): Service[] {
  const url = (port: number) => `http://127.0.0.1:${port}`
  const [storageIndexer, kv, storageMiner] = [ports.storageIndexer[0]!, ports.kv[0]!, ports.storageMiner[0]!]
  const nodes = ports.storageNodes.map(url)
  const service = (name: string, definition: KeeperDefinition<any>, port: number, config: object, publish?: Service['publish']): Service => ({
    name,
    module: 'storage',
    definition,
    config: { rpcUrl, pollMs: 250, port, dataDir: join(folder, name.replaceAll('/', '-')), ...config },
    ...(publish && { publish }),
  })
  return [
    ...ports.storageNodes.map((port, i) =>
      service(
        `storage/node/${i}`,
        storageNode,
        port,
        {
          flow: contracts.Flow,
          privateKey: accounts[ACCOUNTS.storageNodes[i]!]!.privateKey,
          peers: nodes.filter((peer) => peer !== url(port)),
          ...QUICK_COPIES,
        },
        (urls, at) => {
          urls.storageNodes = [...(urls.storageNodes ?? []), at]
        },
      ),
    ),
    service('storage/indexer', indexer, storageIndexer, { nodes }, (urls, at) => {
      urls.storageIndexer = at
    }),
    service('storage/kv', kvKeeper, kv, { flow: contracts.Flow, indexer: url(storageIndexer) }, (urls, at) => {
      urls.kv = at
    }),
    service('storage/miner', miner, storageMiner, {
      mine: contracts.PoraMine,
      nodeUrl: nodes[0],
      privateKey: accounts[ACCOUNTS.storageMiner]!.privateKey,
      threads: 1,
      nonceRate: MINER_NONCE_RATE,
    }),
  ]
}
