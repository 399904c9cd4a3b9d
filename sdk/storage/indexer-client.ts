import { z } from 'zod'
import { PerigeeError } from '../errors.ts'
import { http, readError } from '../http.ts'
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

  /** Says where a storage node is. The indexer asks it, and lists it as discovered if it is of the same network. */
  async announce(node: string, options?: CallOptions): Promise<void> {
    const body = JSON.stringify({ url: node })
    const response = await http(`${this.url.replace(/\/+$/, '')}/nodes`, { method: 'POST', body, headers: { 'content-type': 'application/json' }, ...options })
    if (response.statusCode !== 200) throw new PerigeeError('REMOTE', `${this.url}: ${await readError(response)}`)
    await response.body.dump()
  }
}
