import { join } from 'node:path'

/** Where a local network keeps its files. All of it goes with `--reset`. */
export function layout(folder: string) {
  return {
    folder,
    journal: join(folder, 'chain.jsonl'),
    deployments: join(folder, 'deployments'),
    keepers: join(folder, 'keepers'),
    /** The root of the simulated TEEs of this network, and of no other. */
    tee: join(folder, 'tee', 'pki.json'),
    logs: join(folder, 'logs'),
    /** Tells others where everything is; there while the network is up. */
    devnet: join(folder, 'devnet.json'),
  }
}
export type Layout = ReturnType<typeof layout>

/** Who listens, and on which port counted from `--port-base`: a service keeps its own whichever others are started. */
const PORTS = {
  chain: { is: 'chain', at: [0] },
  storageNodes: { is: 'storage node', at: [10, 11] },
  storageIndexer: { is: 'storage indexer', at: [20] },
  kv: { is: 'key-value store', at: [21] },
  storageMiner: { is: 'storage miner', at: [22] },
  computeProviders: { is: 'compute provider', at: [30, 31] },
  computeTuning: { is: 'fine-tuning provider', at: [32] },
  computeGateway: { is: 'compute gateway', at: [33] },
  collateral: { is: 'collateral keeper', at: [40] },
  daSigners: { is: 'DA signer', at: [50, 51, 52, 53] },
  daDisperser: { is: 'DA disperser', at: [54] },
  daRetriever: { is: 'DA retriever', at: [55] },
  daSignersHttp: { is: 'health of DA signer', at: [60, 61, 62, 63] },
  daDisperserHttp: { is: 'health of DA disperser', at: [64] },
  daRetrieverHttp: { is: 'HTTP of DA retriever', at: [65] },
  daSampler: { is: 'DA sampler', at: [66] },
} as const

type Listener = keyof typeof PORTS

/** The ports of each kind of service; most are one of a kind. */
export type Ports = Record<Listener, number[]>

export const DEFAULT_PORT_BASE = 8545
/** How far the last port is from the first. */
export const PORT_SPAN = Math.max(...Object.values(PORTS).flatMap(({ at }) => at))

export function portsFrom(base: number): Ports {
  return Object.fromEntries(Object.entries(PORTS).map(([kind, { at }]) => [kind, at.map((distance) => base + distance)])) as Ports
}

/** Each port with what it is for. */
export function listeners(ports: Ports): [string, number][] {
  return Object.entries(PORTS).flatMap(([kind, { is }]) =>
    ports[kind as Listener].map((port, i, all): [string, number] => [all.length > 1 ? `${is} ${i}` : is, port]),
  )
}
