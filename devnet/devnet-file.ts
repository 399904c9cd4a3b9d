import { renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Account } from './chain.ts'

/** What devnet.json says. Keys of services that do not run are absent. */
export interface DevnetFile {
  chain: { rpcUrl: string; chainId: number; accounts: Account[] }
  contracts: Record<string, string>
  services: ServiceUrls
}

export interface ServiceUrls {
  storageIndexer?: string
  storageNodes?: string[]
  kv?: string
  computeProviders?: { address: string; url: string }[]
  tuningProvider?: { address: string; url: string }
  gateway?: string
  /** gRPC, host:port. */
  daDisperser?: string
  /** HTTP. */
  daRetriever?: string
}

/** Appears whole, when everything answers. */
export function publish(path: string, content: DevnetFile): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(content, null, 2)}\n`)
  renameSync(`${path}.new`, path)
}

export function withdraw(path: string): void {
  rmSync(path, { force: true })
}
