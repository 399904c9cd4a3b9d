// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod'
import { type CallOptions, JsonRpc } from '../json-rpc.ts'

const Location = z.object({
  url: z.string(),
  config: z.object({ shardId: z.number().int(), numShard: z.number().int() }),
  latency: z.number().optional(),
  since: z.number().optional(),
})

/** A node as the indexer knows it: where it is and which segments it holds. */
export type NodeLocation = z.infer<typeof Location>

/** Finds nodes, and the nodes that hold a file. */
export class IndexerClient {
  readonly url: string
  readonly #rpc: JsonRpc

  constructor(url: string) {
    this.#rpc = new JsonRpc(url)
    this.url = url
  }

  /** The nodes that the indexer's operator vouches for; discovered ones are not asked. */
  async nodes(options?: CallOptions): Promise<NodeLocation[]> {
    return (await this.#rpc.call('indexer_getShardedNodes', [], z.object({ trusted: z.array(Location).nullish() }), options)).trusted ?? []
  }

  /** Nodes that hold the finalized file; empty when there is none. */
  async locations(root: string, options?: CallOptions): Promise<NodeLocation[]> {
    return (await this.#rpc.call('indexer_getFileLocations', [root], z.array(Location).nullish(), options)) ?? []
  }
}
