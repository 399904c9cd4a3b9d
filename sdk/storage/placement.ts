import { coverOf, type Shard } from '../../protocol/storage/shard.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { IndexerClient, type NodeLocation } from './indexer-client.ts'
import { type NodeStatus, StorageNodeClient } from './node-client.ts'

/** Copies that are sent when nothing else is asked for and the network has so many nodes. */
const REPLICAS = 2

export interface PlacementOptions {
  /** Where nodes are found. */
  indexer?: string | undefined
  /** Nodes to use instead of asking the indexer; all of them. */
  nodes?: string[] | undefined
  /** Copies to send, each of them a node (or several that hold a shard each). Default 2, or 1 where there are no two. */
  replicas?: number | undefined
  signal?: AbortSignal | undefined
}

export interface Placed {
  node: StorageNodeClient
  config: Shard
}

/** Which nodes get a file, which stand by, and the log they all follow. */
export interface Placement {
  chosen: Placed[]
  spares: Placed[]
  identity: { chainId: number; contract: string }
}

/**
 * Chooses nodes that answer and follow one log.
 * @throws PerigeeError NETWORK when there are none or too few, USAGE when they follow different logs.
 */
export async function place({ indexer, nodes, replicas, signal }: PlacementOptions): Promise<Placement> {
  const candidates = nodes ? nodes.map((url) => new StorageNodeClient(url)) : (await located(indexer, signal)).map(({ url }) => new StorageNodeClient(url))
  const asked = await Promise.all(candidates.map((node) => ask(node, signal)))
  signal?.throwIfAborted()
  const silent = asked.filter((answer) => 'reason' in answer)
  const alive = asked.filter((answer) => 'status' in answer)
  const identity = commonIdentity(alive)
  const chosen: Placed[] = []
  const wanted = replicas ?? Math.max(1, nodes ? nodes.length : REPLICAS)
  let spares: Placed[] = alive
  for (let copy = 0; copy < wanted; copy++) {
    const cover = coverOf(spares)
    if (!cover && copy > 0 && replicas === undefined) break
    if (!cover) {
      throw new PerigeeError('NETWORK', `there are storage nodes for ${copy} of ${wanted} copies`, {
        details: [
          ...alive.map(({ node, config }) => `${node.url}: shard ${config.shardId} of ${config.numShard}`),
          ...silent.map(({ node, reason }) => `${node.url}: ${reason}`),
        ],
        wayOut: copy > 0 ? `Ask for fewer copies, or start more nodes.` : 'Start a storage node, or name another indexer or node.',
      })
    }
    chosen.push(...cover)
    spares = spares.filter((placed) => !cover.includes(placed))
  }
  return { chosen, spares, identity }
}

/** How many whole copies the nodes make up. */
export function copiesAmong(nodes: { shard: Shard }[]): number {
  let rest = nodes.map(({ shard }) => ({ config: shard }))
  let copies = 0
  for (let cover = coverOf(rest); cover; cover = coverOf(rest)) {
    copies++
    rest = rest.filter((node) => !cover!.includes(node))
  }
  return copies
}

/** Takes a node out of `spares` that holds all that the failed one should have held. */
export function replacementFor(failed: Shard, spares: Placed[]): Placed | undefined {
  const at = spares.findIndex(({ config }) => failed.numShard % config.numShard === 0 && failed.shardId % config.numShard === config.shardId)
  return at < 0 ? undefined : spares.splice(at, 1)[0]
}

async function located(indexer: string | undefined, signal?: AbortSignal): Promise<NodeLocation[]> {
  if (!indexer)
    throw new PerigeeError('USAGE', 'neither an indexer nor storage nodes are known', { wayOut: 'Give --indexer or --node, or start the local network.' })
  return new IndexerClient(indexer).nodes({ signal })
}

type Answer = (Placed & { status: NodeStatus }) | { node: StorageNodeClient; reason: string }

async function ask(node: StorageNodeClient, signal?: AbortSignal): Promise<Answer> {
  try {
    const [status, config] = await Promise.all([node.status({ signal, retries: 1 }), node.shardConfig({ signal, retries: 1 })])
    return { node, config, status }
  } catch (error) {
    return { node, reason: reasonOf(error) }
  }
}

function commonIdentity(nodes: (Placed & { status: NodeStatus })[]): { chainId: number; contract: string } {
  const identities = nodes.map(({ status: { networkIdentity } }) => ({ chainId: networkIdentity.chainId, contract: networkIdentity.flowAddress.toLowerCase() }))
  const first = identities[0] ?? { chainId: 0, contract: '' }
  if (identities.every(({ chainId, contract }) => chainId === first.chainId && contract === first.contract)) return first
  throw new PerigeeError('USAGE', 'the storage nodes follow different logs', {
    details: nodes.map(({ node }, i) => `${node.url}: Flow ${identities[i]!.contract} on chain ${identities[i]!.chainId}`),
    wayOut: 'Name only nodes of one network.',
  })
}
