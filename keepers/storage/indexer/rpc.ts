// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod'
import { rpcMethod } from '../../runtime/jsonrpc.ts'
import type { NodeDirectory } from './node-directory.ts'

const root = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'expected 32 bytes in hex')
  .transform((text) => text.toLowerCase())
  .describe('root')

/** The JSON-RPC methods by which clients find nodes. */
export function rpcMethods(directory: NodeDirectory) {
  return {
    /** Clients use only the trusted ones; nodes that nobody vouches for are not looked for. */
    indexer_getShardedNodes: rpcMethod(z.tuple([]), () => ({ trusted: directory.live(), discovered: [] })),
    /** Empty rather than null when nobody has the file: an older client can't read null. */
    indexer_getFileLocations: rpcMethod(z.tuple([root]), (root) => directory.holding(root)),
    /** Places by IP address: none are known here. */
    indexer_getNodeLocations: rpcMethod(z.tuple([]), () => ({})),
  }
}
