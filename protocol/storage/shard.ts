/** The share of the log that a node keeps: of the log's loads (1024 sectors), those whose number is `shardId` modulo `numShard`. Storage §3.2. */
export interface Shard {
  shardId: number
  numShard: number
}

/** Whether `numShard` is a power of two and `shardId` below it. */
export function isValidShard({ shardId, numShard }: Shard): boolean {
  return isCount(numShard) && numShard >= 1 && Number.isInteger(Math.log2(numShard)) && isCount(shardId) && shardId < numShard
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/**
 * Chooses as few nodes as keep every load between them: large shares first, and none that only keeps what those before it do. Storage §3.7.
 * @returns undefined when all nodes together leave a gap.
 */
export function coverOf<T extends { config: Shard }>(nodes: readonly T[]): T[] | undefined {
  const ordered = nodes
    .filter(({ config }) => isValidShard(config))
    .sort((a, b) => a.config.numShard - b.config.numShard || a.config.shardId - b.config.shardId)
  const covered = new Coverage()
  const chosen = ordered.filter(({ config }) => covered.add(config))
  return covered.whole ? chosen : undefined
}

/** The binary trie of shards: level k splits the log in 2^k by the low bits of a load's number. Holds the roots of what is covered. */
class Coverage {
  readonly #covered = new Set<string>()

  get whole(): boolean {
    return this.#has({ shardId: 0, numShard: 1 })
  }

  /** Adds a shard; false when it was covered already. Two covered halves become their whole. */
  add(shard: Shard): boolean {
    for (let above: Shard | undefined = shard; above; above = parentOf(above)) if (this.#has(above)) return false
    for (let node: Shard | undefined = shard; node; node = parentOf(node)) {
      this.#covered.add(keyOf(node))
      if (node.numShard > 1 && !this.#has(otherHalf(node))) break
    }
    return true
  }

  #has(shard: Shard): boolean {
    return this.#covered.has(keyOf(shard))
  }
}

const keyOf = ({ shardId, numShard }: Shard): string => `${shardId}/${numShard}`

function parentOf({ shardId, numShard }: Shard): Shard | undefined {
  return numShard === 1 ? undefined : { shardId: shardId % (numShard / 2), numShard: numShard / 2 }
}

function otherHalf({ shardId, numShard }: Shard): Shard {
  return { shardId: (shardId + numShard / 2) % numShard, numShard }
}
