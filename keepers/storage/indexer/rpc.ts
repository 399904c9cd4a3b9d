import { z } from 'zod'
import { rpcMethod } from '../../runtime/jsonrpc.ts'
import type { Discovery } from './discovery.ts'
import type { NodeDirectory } from './node-directory.ts'

const root = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'expected 32 bytes in hex')
  .transform((text) => text.toLowerCase())
  .describe('root')

/** The JSON-RPC methods by which clients find nodes. */
export function rpcMethods(directory: NodeDirectory, discovery: Discovery | undefined) {
  return {
    /** Clients use only the trusted ones, which the operator vouches for. */
    indexer_getShardedNodes: rpcMethod(z.tuple([]), () => ({ trusted: directory.live(), discovered: discovery?.live() ?? [] })),
    /** Trusted ones only: not every client verifies what it downloads. Empty rather than null when nobody has the file: an older client can't read null. */
    indexer_getFileLocations: rpcMethod(z.tuple([root]), (root) => directory.holding(root)),
    /** Places by IP address: none are known here. */
    indexer_getNodeLocations: rpcMethod(z.tuple([]), () => ({})),
  }
}
