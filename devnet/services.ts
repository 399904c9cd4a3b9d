// SPDX-License-Identifier: Apache-2.0
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

/** The keepers of a local network, in the order they start. */
export function services(network: NetworkDescription): Service[] {
  return storage(network).filter(({ module }) => network.modules.includes(module))
}

function storage(_network: NetworkDescription): Service[] {
  return []
}
