import { join } from 'node:path'
import type { KeeperDefinition } from '../keepers/runtime/keeper.ts'
import { indexer } from '../keepers/storage/indexer/keeper.ts'
import { kvKeeper } from '../keepers/storage/kv/keeper.ts'
import { miner } from '../keepers/storage/miner/keeper.ts'
import { storageNode } from '../keepers/storage/node/keeper.ts'
import { ACCOUNTS } from './accounts.ts'
import { localUrl, type NetworkDescription, type Service } from './service.ts'

/** Nonces a second: finds an answer in about a second at the difficulty of the local profile, and leaves the machine to its user. */
const MINER_NONCE_RATE = 500

/** On one machine an uploader that has not sent a file after two seconds is not going to send it here. */
const QUICK_COPIES = { replicateMs: 1000, replicateAfterMs: 2000 }

export function storageServices({ rpcUrl, accounts, contracts, ports, folder }: NetworkDescription): Service[] {
  const [storageIndexer, kv, storageMiner] = [ports.storageIndexer[0]!, ports.kv[0]!, ports.storageMiner[0]!]
  const nodes = ports.storageNodes.map(localUrl)
  const service = (name: string, definition: KeeperDefinition<any>, port: number, config: object, publish?: Service['publish']): Service => ({
    name,
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
          peers: nodes.filter((peer) => peer !== localUrl(port)),
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
    service('storage/kv', kvKeeper, kv, { flow: contracts.Flow, indexer: localUrl(storageIndexer) }, (urls, at) => {
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
