// SPDX-License-Identifier: Apache-2.0
import type { Logger } from 'pino'
import type { Shard } from '../../../protocol/storage/shard.ts'
import { StorageNodeClient } from '../../../sdk/storage/node-client.ts'

/** A node as clients are told of it. `latency` in ms; `since` the unix second it was last found dead or first seen. */
export interface ShardedNode {
  url: string
  config: Shard
  latency: number
  since: number
}

export interface NodeDirectoryOptions {
  nodes: string[]
  /** Pause between two health checks of a node, in ms. */
  pollMs: number
  log: Logger
}

/** A node that does not answer within this time twice in a row is dead; one that refuses the connection is at once. */
const ANSWER_MS = 1500
const SILENCES = 2

interface Watched {
  client: StorageNodeClient
  live: ShardedNode | undefined
  silences: number
}

/** Watches the health of the nodes that the operator trusts, so that clients are sent only to those that answer. */
export class NodeDirectory {
  readonly #options: NodeDirectoryOptions
  readonly #watched: Watched[]
  readonly #timers = new Set<NodeJS.Timeout>()
  #stopped = false

  constructor(options: NodeDirectoryOptions) {
    this.#options = options
    this.#watched = [...new Set(options.nodes)].map((url) => ({ client: new StorageNodeClient(url), live: undefined, silences: 0 }))
  }

  /** Asks every node once, then keeps asking. */
  async start(): Promise<void> {
    await Promise.all(this.#watched.map((node) => this.#check(node)))
    for (const node of this.#watched) this.#again(node)
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
  }

  /** Nodes that answer now. */
  live(): ShardedNode[] {
    return this.#watched.flatMap(({ live }) => live ?? [])
  }

  /** Nodes that hold the finalized file. One that does not say so in time is left out. */
  async holding(root: string): Promise<ShardedNode[]> {
    const answers = this.#watched.map(async ({ client, live }) => {
      if (!live) return []
      const info = await client.fileByRoot(root, { signal: AbortSignal.timeout(2 * ANSWER_MS), retries: 0 }).catch(() => null)
      return info?.finalized ? [live] : []
    })
    return (await Promise.all(answers)).flat()
  }

  /** URLs of all nodes, with whether each answers. */
  all(): { url: string; live: boolean }[] {
    return this.#watched.map(({ client, live }) => ({ url: client.url, live: live !== undefined }))
  }

  async #check(node: Watched): Promise<void> {
    const { client } = node
    const options = { signal: AbortSignal.timeout(ANSWER_MS), retries: 0 }
    const asked = performance.now()
    try {
      await client.status(options)
      const latency = Math.max(1, Math.round(performance.now() - asked))
      const config = await client.shardConfig(options)
      if (!node.live) this.#options.log.info({ node: client.url, ...config }, 'a storage node is up')
      node.live = { url: client.url, config, latency, since: node.live?.since ?? Math.floor(Date.now() / 1000) }
      node.silences = 0
    } catch (error) {
      node.silences++
      const slow = options.signal.aborted && node.silences < SILENCES
      if (!node.live || slow) return
      node.live = undefined
      this.#options.log.warn({ node: client.url, reason: (error as Error).message }, 'a storage node does not answer: no client is sent to it')
    }
  }

  #again(node: Watched): void {
    if (this.#stopped) return
    const timer = setTimeout(async () => {
      this.#timers.delete(timer)
      await this.#check(node)
      this.#again(node)
    }, this.#options.pollMs)
    this.#timers.add(timer)
  }
}
