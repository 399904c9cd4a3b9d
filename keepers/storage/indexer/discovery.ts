import type { Logger } from 'pino'
import type { Dispatcher } from 'undici'
import { type ShardedNode, type StorageNetwork, WatchedNode } from './watched-node.ts'

export interface DiscoveryOptions {
  /** The network that nodes must be of; undefined while that is not known. */
  network: () => StorageNetwork | undefined
  /** URLs that are listed already. */
  trusted: string[]
  /** Nodes at most. */
  capacity: number
  /** Pause between two health checks of a node, in ms. */
  pollMs: number
  dispatcher: Dispatcher
  log: Logger
}

/** An announcement that is not accepted, with the HTTP status that says so. */
export class Refused extends Error {
  readonly statusCode: number

  constructor(statusCode: number, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

/** Announced URLs that are asked at the same time. Others are refused: a node announces itself again, a flood must not be passed on. */
const CHECKS = 8
/** A node that fails this many checks in a row is forgotten; it may announce itself again. */
const FAILURES = 3

/** Nodes that announced themselves, passed the check, and still do. Nobody vouches for them. */
export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #nodes = new Map<string, WatchedNode>()
  readonly #checking = new Map<string, Promise<void>>()
  readonly #trusted: Set<string>
  #stopped = false

  constructor(options: DiscoveryOptions) {
    this.#options = options
    this.#trusted = new Set(options.trusted.map(normal))
  }

  /**
   * Takes a node in once it has answered as one of this network.
   * @throws Refused
   */
  async announce(announced: string): Promise<void> {
    const url = normal(announced)
    if (this.#trusted.has(url) || this.#nodes.has(url)) return
    const underWay = this.#checking.get(url)
    if (underWay) return underWay
    if (!this.#options.network()) throw new Refused(503, 'no trusted node has answered yet: announce again later')
    if (this.#nodes.size + this.#checking.size >= this.#options.capacity) throw new Refused(503, `there are ${this.#options.capacity} nodes already`)
    if (this.#checking.size >= CHECKS) throw new Refused(503, 'too many announcements: announce again later')
    const check = this.#take(url).finally(() => this.#checking.delete(url))
    this.#checking.set(url, check)
    return check
  }

  /** Nodes that answer now. */
  live(): ShardedNode[] {
    return [...this.#nodes.values()].flatMap(({ live }) => live ?? [])
  }

  /** URLs of all nodes, with whether each answers. */
  all(): { url: string; live: boolean }[] {
    return [...this.#nodes.values()].map(({ url, live }) => ({ url, live: live !== undefined }))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const node of this.#nodes.values()) node.stop()
    await Promise.allSettled(this.#checking.values())
    await this.#options.dispatcher.destroy()
  }

  async #take(url: string): Promise<void> {
    const { log, dispatcher, pollMs } = this.#options
    const node = new WatchedNode(url, { log, dispatcher, admit: (network) => this.#admit(url, network) })
    await node.check()
    // What a stranger's URL answered is not passed on, so that nobody can look at networks through this keeper.
    if (!node.live) throw node.problem instanceof Refused ? node.problem : new Refused(400, `${url} does not answer as a storage node`)
    if (this.#stopped) return
    this.#nodes.set(url, node)
    node.watch(pollMs, () => {
      if (node.silences < FAILURES) return
      node.stop()
      this.#nodes.delete(url)
    })
  }

  #admit(url: string, { chainId, flowAddress }: StorageNetwork): void {
    const ours = this.#options.network()
    if (ours && ours.chainId === chainId && ours.flowAddress.toLowerCase() === flowAddress.toLowerCase()) return
    throw new Refused(400, `${url} is not of this network: expected chain ${ours?.chainId} and Flow ${ours?.flowAddress}`)
  }
}

/** One spelling per URL: lower-case host, no default port, no slash at the end. */
const normal = (url: string): string => new URL(url).href.replace(/\/+$/, '')
