import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { PerigeeError } from './errors.ts'

const Address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'not an address')
const DevnetFile = z.object({
  chain: z.object({
    rpcUrl: z.url(),
    chainId: z.number().int(),
    accounts: z.array(z.object({ address: Address, privateKey: z.string() })).default([]),
  }),
  contracts: z.record(z.string(), Address).default({}),
  services: z
    .looseObject({
      storageIndexer: z.string().optional(),
      storageNodes: z.array(z.string()).optional(),
      kv: z.string().optional(),
      daDisperser: z.string().optional(),
      daRetriever: z.string().optional(),
    })
    .default({}),
})

/** Where a network is: its chain, its contracts by name, and the services known to run on it. */
export interface Network {
  /** Name of the preset, `local`, or `custom` when only URLs were given. */
  name: string
  chain: {
    rpcUrl: string
    /** Absent when only URLs were given: the chain says it. */
    chainId?: number
    /** Funded accounts of a development network; empty elsewhere. */
    accounts: { address: string; privateKey: string }[]
  }
  contracts: Record<string, string>
  services: {
    storageIndexer?: string | undefined
    storageNodes?: string[] | undefined
    kv?: string | undefined
    /** host:port, of gRPC. */
    daDisperser?: string | undefined
    /** URL of its HTTP. */
    daRetriever?: string | undefined
    [service: string]: unknown
  }
  /** The file that describes a local network. */
  file?: string
}

/** Public networks whose endpoints their operators publish. Contracts are found through the status of a node. */
export const PRESETS: Record<string, Network> = {
  '0g-mainnet': {
    name: '0g-mainnet',
    chain: { rpcUrl: 'https://evmrpc.0g.ai', chainId: 16661, accounts: [] },
    contracts: {},
    services: { storageIndexer: 'https://indexer-storage-turbo.0g.ai' },
  },
  '0g-testnet': {
    name: '0g-testnet',
    chain: { rpcUrl: 'https://evmrpc-testnet.0g.ai', chainId: 16602, accounts: [] },
    contracts: {},
    services: { storageIndexer: 'https://indexer-storage-testnet-turbo.0g.ai' },
  },
}

const DEVNET_FILE = join('.devnet', 'devnet.json')

export interface NetworkOptions {
  /** `local`, the name of a preset, or the path of a devnet.json. Default: PERIGEE_NETWORK, else the local network found from `cwd` upwards. */
  network?: string | undefined
  /** These replace what the network says; with `rpcUrl` and `indexer` or `nodes` given, no network is needed at all. */
  rpcUrl?: string | undefined
  indexer?: string | undefined
  nodes?: string[] | undefined
  kv?: string | undefined
  cwd?: string
  env?: Record<string, string | undefined>
}

/**
 * Finds the network to work with.
 * @throws PerigeeError NOT_FOUND when none is named and no local one runs; USAGE when what is named is no network.
 */
export function findNetwork({ network, rpcUrl, indexer, nodes, kv, cwd = process.cwd(), env = process.env }: NetworkOptions = {}): Network {
  const named = network ?? env.PERIGEE_NETWORK
  const found = (named ? networkNamed(named, cwd) : readDevnetAbove(cwd)) ?? (rpcUrl || indexer || nodes ? blank() : undefined)
  if (!found) {
    throw new PerigeeError('NOT_FOUND', 'no network is running here', {
      details: [`looked for ${DEVNET_FILE} in ${cwd} and every folder above it`],
      wayOut: 'Start one with `npm start` in the project, or name another with --network, PERIGEE_NETWORK, or --rpc-url with --indexer.',
    })
  }
  // What is given replaces both ways to find nodes, or an upload meant for one place could go to another.
  const services = indexer || nodes ? { ...found.services, storageIndexer: indexer, storageNodes: nodes } : found.services
  return { ...found, chain: { ...found.chain, ...(rpcUrl ? { rpcUrl } : {}) }, services: kv ? { ...services, kv } : services }
}

/** Reads a devnet.json. @throws PerigeeError USAGE when the file is not one. */
export function readDevnet(file: string): Network {
  let content: unknown
  try {
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new PerigeeError('USAGE', `cannot read the network file ${file}: ${(cause as Error).message}`, { cause })
  }
  const parsed = DevnetFile.safeParse(content)
  if (!parsed.success) {
    throw new PerigeeError('USAGE', `${file} does not describe a network`, {
      details: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    })
  }
  return { name: 'local', ...parsed.data, file }
}

function networkNamed(name: string, cwd: string): Network {
  const preset = PRESETS[name]
  if (preset) return preset
  if (name === 'local') {
    const found = readDevnetAbove(cwd)
    if (found) return found
    throw new PerigeeError('NOT_FOUND', 'the local network is not running', { wayOut: 'Start it with `npm start` in the project.' })
  }
  if (name.endsWith('.json')) return readDevnet(resolve(cwd, name))
  throw new PerigeeError('USAGE', `unknown network ${name}`, { wayOut: `Known: local, ${Object.keys(PRESETS).join(', ')}, or the path of a devnet.json.` })
}

function readDevnetAbove(folder: string): Network | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const file = join(at, DEVNET_FILE)
    if (existsSync(file)) return readDevnet(file)
    if (at === dirname(at)) return undefined
  }
}

function blank(): Network {
  return { name: 'custom', chain: { rpcUrl: '', accounts: [] }, contracts: {}, services: {} }
}
