import { type Command, InvalidArgumentError, Option } from 'commander'
import { JsonRpcProvider } from 'ethers'
import type { IFlow } from '../../typechain-types/index.ts'
import { contractNamed } from '../contracts.ts'
import { PerigeeError } from '../errors.ts'
import { findNetwork, type Network } from '../network.ts'

/** Options by which a command finds its network; the same everywhere. */
export interface NetworkFlags {
  network?: string
  rpcUrl?: string
  indexer?: string
  node?: string[]
  json?: boolean
}

export function withNetworkOptions(command: Command): Command {
  return command
    .addOption(new Option('--network <name>', 'local, 0g-mainnet, 0g-testnet, or the path of a devnet.json').env('PERIGEE_NETWORK'))
    .addOption(new Option('--rpc-url <url>', 'RPC endpoint of the chain').env('RPC_URL'))
    .option('--indexer <url>', 'indexer to find storage nodes by')
    .option('--node <url>', 'storage node to use instead of asking an indexer; may be repeated', (url: string, before: string[] = []) => [...before, url])
    .option('--json', 'print the result as JSON')
}

export function networkOf({ network, rpcUrl, indexer, node }: NetworkFlags): Network {
  return findNetwork({ network, rpcUrl, indexer, nodes: node })
}

/** Where storage nodes are found: flags before what the network says. */
export function nodesOf(network: Network, flags: NetworkFlags): { indexer?: string | undefined; nodes?: string[] | undefined } {
  const { storageIndexer, storageNodes } = network.services
  return flags.node || !storageIndexer ? { nodes: flags.node ?? storageNodes } : { indexer: storageIndexer }
}

/** The log of the network, where its chain and its contracts are known; where they are not, nodes are asked alone. */
export function logOf({ chain, contracts }: Network): { flow: IFlow } | undefined {
  return chain.rpcUrl && contracts.Flow ? { flow: contractNamed('Flow', contracts, providerOf(chain)) } : undefined
}

/** The RPC endpoint of a network. @throws PerigeeError USAGE when none is known. */
export function providerOf({ rpcUrl, chainId }: Network['chain']): JsonRpcProvider {
  if (!rpcUrl) throw new PerigeeError('USAGE', 'no RPC endpoint is known', { wayOut: 'Give --rpc-url.' })
  // Nothing is cached: an answer 250 ms old is wrong on a chain that mines at once.
  return new JsonRpcProvider(rpcUrl, chainId, { staticNetwork: true, cacheTimeout: -1, batchMaxCount: 1 })
}

export function positiveInteger(value: string): number {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value)
  throw new InvalidArgumentError('A positive whole number is expected.')
}

/** Ends the work in hand when the user interrupts it; a second signal ends the process. */
export function interruptible(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}
