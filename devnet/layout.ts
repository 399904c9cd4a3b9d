import { join } from 'node:path'

/** Where a local network keeps its files. All of it goes with `--reset`. */
export function layout(folder: string) {
  return {
    folder,
    journal: join(folder, 'chain.jsonl'),
    deployments: join(folder, 'deployments'),
    keepers: join(folder, 'keepers'),
    logs: join(folder, 'logs'),
    /** Tells others where everything is; there while the network is up. */
    devnet: join(folder, 'devnet.json'),
  }
}
export type Layout = ReturnType<typeof layout>

/** Ports, as distances from `--port-base`. A service keeps its own whichever others are started. */
const PORTS = { chain: 0, storageNodes: 10, storageIndexer: 20, kv: 21, storageMiner: 22 } as const

export interface Ports {
  chain: number
  storageNodes: number[]
  storageIndexer: number
  kv: number
  storageMiner: number
}

export const DEFAULT_PORT_BASE = 8545
export const STORAGE_NODES = 2

export function portsFrom(base: number): Ports {
  return {
    chain: base + PORTS.chain,
    storageNodes: Array.from({ length: STORAGE_NODES }, (_, i) => base + PORTS.storageNodes + i),
    storageIndexer: base + PORTS.storageIndexer,
    kv: base + PORTS.kv,
    storageMiner: base + PORTS.storageMiner,
  }
}
