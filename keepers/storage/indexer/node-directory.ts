import type { Logger } from 'pino'
import { ANSWER_MS, type ShardedNode, type StorageNetwork, WatchedNode } from './watched-node.ts'

export interface NodeDirectoryOptions {
  nodes: string[]
  /** Pause between two health checks of a node, in ms. */
  pollMs: number
  log: Logger
}

/** Watches the health of the nodes that the operator trusts, so that clients are sent only to those that answer. */
export class NodeDirectory {
  readonly #pollMs: number
  readonly #watched: WatchedNode[]

  constructor({ nodes, pollMs, log }: NodeDirectoryOptions) {
    this.#pollMs = pollMs
    this.#watched = [...new Set(nodes)].map((url) => new WatchedNode(url, { log }))
  }

  /** Asks every node once, then keeps asking. */
  async start(): Promise<void> {
    await Promise.all(this.#watched.map((node) => node.check()))
    for (const node of this.#watched) node.watch(this.#pollMs)
  }

  stop(): void {
    for (const node of this.#watched) node.stop()
  }

  /** Nodes that answer now. */
  live(): ShardedNode[] {
    return this.#watched.flatMap(({ live }) => live ?? [])
  }

  /** What the nodes store; undefined until one has answered. */
  network(): StorageNetwork | undefined {
    return this.#watched.find(({ network }) => network !== undefined)?.network
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
    return this.#watched.map(({ url, live }) => ({ url, live: live !== undefined }))
  }
}
