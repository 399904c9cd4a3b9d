import type { KeeperDefinition } from '../keepers/runtime/keeper.ts'
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

export const localUrl = (port: number): string => `http://127.0.0.1:${port}`
