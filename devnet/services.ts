import type { KeeperDefinition } from '../keepers/runtime/keeper.ts'
import type { Account } from './chain.ts'
import { computeServices } from './compute-services.ts'
import { daServices } from './da-services.ts'
import type { ServiceUrls } from './devnet-file.ts'
import type { Ports } from './layout.ts'
import type { Module } from './modules.ts'
import { storageServices } from './storage-services.ts'

/** What keepers are configured from. Plain data: it crosses to the keeper process. */
export interface NetworkDescription {
  rpcUrl: string
  accounts: Account[]
  contracts: Readonly<Record<string, string>>
  ports: Ports
  /** Folder of the keepers' state. */
  folder: string
  /** File of the root that the network's simulated TEEs share. */
  simulatedTee: string
  /** Modules whose keepers run. */
  modules: Module[]
}

/** One keeper of the local network. */
export interface Service {
  /** Unique in the network: names its tables, its folder and its metrics. */
  name: string
  definition: KeeperDefinition<any>
  config: Record<string, unknown>
  /** What it needs from the network, once those before it have started. */
  prepare?: () => Promise<void>
  /** Its part of devnet.json. */
  publish?: (urls: ServiceUrls, url: string) => void
}

/**
 * Development accounts by use. 0 is kept for the compute contracts and 1 deploys; 6 to 14 are the user's.
 * */
export const ACCOUNTS = {
  storageNodes: [2, 3],
  storageMiner: 4,
  collateral: 5,
  computeProviders: [15, 16],
  computeTuning: 17,
  computeGateway: 18,
  daSigners: [20, 21, 22, 23],
  daDisperser: 24,
  daSampler: 25,
} as const

const MODULE_SERVICES: Record<Module, (network: NetworkDescription) => Service[]> = { storage: storageServices, compute: computeServices, da: daServices }

/** The keepers of a local network, in the order they start. */
export function services(network: NetworkDescription): Service[] {
  return network.modules.flatMap((module) => MODULE_SERVICES[module](network))
}

export const localUrl = (port: number): string => `http://127.0.0.1:${port}`
