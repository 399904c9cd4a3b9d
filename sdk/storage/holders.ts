import { SEGMENT_CHUNKS } from '../../protocol/storage/constants.ts'
import { type FileShape, fileShape } from '../../protocol/storage/file-shape.ts'
import { FileTree, rootOfNodes, type SubmissionNode } from '../../protocol/storage/merkle.ts'
import type { Shard } from '../../protocol/storage/shard.ts'
import { sectorsOf } from '../../protocol/storage/submission.ts'
import type { StorageContracts } from '../contracts.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { IndexerClient } from './indexer-client.ts'
import { type FileInfo, StorageNodeClient } from './node-client.ts'
import { submissionsOf } from './submissions.ts'

export interface HolderOptions {
  /** Where nodes that hold the file are found. */
  indexer?: string | undefined
  /** Nodes to ask instead of the indexer. */
  nodes?: string[] | undefined
  /** The log that submissions are in. With it, what nodes say of a file's size is checked against the chain. */
  log?: Pick<StorageContracts, 'flow'> | undefined
  signal?: AbortSignal | undefined
}

/** A node that says it has the whole file (or its shard of it). */
export interface Holder {
  node: StorageNodeClient
  shard: Shard
  info: FileInfo
  /** Whether it serves raw bytes over HTTP; found out at the first request. */
  raw: boolean
  /** Segments it has served that were right. */
  served: number
}

/** A node that was left out, and why. */
export interface Culprit {
  url: string
  /** Whether it served something that is not what it claims to be, rather than nothing. */
  lied: boolean
  reason: string
}

/** A file as its holders describe it, every claim checked against the root. */
export interface HeldFile {
  root: string
  shape: FileShape
  holders: Holder[]
  culprits: Culprit[]
  /** Absent when no holder serves it: then each segment comes with its own proof. */
  tree: FileTree | undefined
}

export function holdsSegment({ shard, info }: Holder, index: number): boolean {
  return (Math.floor(info.tx.startEntryIndex / SEGMENT_CHUNKS) + index) % shard.numShard === shard.shardId
}

/**
 * Finds who holds a file, and its tree.
 *
 * The root commits to every byte but not to how many zeros end the file within its padding. The size is in the log: with
 * `log` each holder's claim is checked there, without it the holders must agree.
 * @throws PerigeeError NOT_FOUND when nobody holds it.
 */
export async function findHolders(root: string, options: HolderOptions): Promise<HeldFile> {
  if (!/^0x[0-9a-f]{64}$/.test(root))
    throw new PerigeeError('USAGE', `not a root: ${root}`, { wayOut: 'A root is 0x and 64 hexadecimal digits, as `storage put` prints it.' })
  const culprits: Culprit[] = []
  const claiming = await holdersAmong(await locations(root, options), root, culprits, options.signal)
  const asked = options.log ? await confirmSizes(claiming, options.log, culprits) : claiming
  const size = agreedSize(asked)
  if (size === undefined) throw nobody(root, options, culprits)
  const holders = asked.filter((holder) => {
    if (holder.info.tx.size === size) return true
    culprits.push({ url: holder.node.url, lied: true, reason: `it claims ${holder.info.tx.size} bytes, others ${size}` })
    return false
  })
  const file: HeldFile = { root, shape: fileShape(size), holders, culprits, tree: undefined }
  await fetchTree(file, options.signal)
  if (file.holders.length === 0) throw nobody(root, options, culprits)
  return file
}

/** Looks for holders that were not known before, after those that were have failed. */
export async function findMoreHolders(file: HeldFile, known: Set<string>, options: HolderOptions): Promise<Holder[]> {
  const urls = (await locations(file.root, options)).filter((url) => !known.has(url))
  const found = await holdersAmong(urls, file.root, file.culprits, options.signal)
  return found.filter(({ info }) => info.tx.size === file.shape.size)
}

async function locations(root: string, { indexer, nodes, signal }: HolderOptions): Promise<string[]> {
  if (nodes) return nodes
  if (!indexer)
    throw new PerigeeError('USAGE', 'neither an indexer nor storage nodes are known', { wayOut: 'Give --indexer or --node, or start the local network.' })
  return (await new IndexerClient(indexer).locations(root, { signal })).map(({ url }) => url)
}

async function holdersAmong(urls: string[], root: string, culprits: Culprit[], signal?: AbortSignal): Promise<Holder[]> {
  const asked = urls.map(async (url): Promise<Holder | undefined> => {
    const node = new StorageNodeClient(url)
    try {
      const [info, shard] = await Promise.all([node.fileByRoot(root, { signal, retries: 1 }), node.shardConfig({ signal, retries: 1 })])
      const reason = !info
        ? 'it does not know the file'
        : info.pruned
          ? 'its lease has ended'
          : info.finalized
            ? undefined
            : 'it does not have all of the file yet'
      if (!info || reason) culprits.push({ url: node.url, lied: false, reason: reason! })
      else if (describes(info, root)) return { node, shard, info, raw: true, served: 0 }
      else culprits.push({ url: node.url, lied: true, reason: 'what it says of the file does not add up to its root' })
    } catch (error) {
      signal?.throwIfAborted()
      culprits.push({ url: node.url, lied: false, reason: reasonOf(error) })
    }
    return undefined
  })
  return (await Promise.all(asked)).filter((holder) => holder !== undefined)
}

/** Keeps the holders whose claim is in the log. */
async function confirmSizes(holders: Holder[], log: Pick<StorageContracts, 'flow'>, culprits: Culprit[]): Promise<Holder[]> {
  if (!holders[0]) return []
  // All holders describe nodes that fold to the root, and a root has one such description.
  const records = await submissionsOf(log, nodesOf(holders[0].info))
  return holders.filter(({ node, info: { tx } }) => {
    const record = records.find(({ seq }) => seq === tx.seq)
    if (record?.size === tx.size) return true
    culprits.push({
      url: node.url,
      lied: true,
      reason: `it claims ${tx.size} bytes; submission ${tx.seq} ${record ? `has ${record.size}` : 'is not of this file'}`,
    })
    return false
  })
}

const nodesOf = ({ tx }: FileInfo): SubmissionNode[] => tx.merkleNodes.map(([depth, root]) => ({ root, height: depth - 1 }))

/** Whether the submission nodes fold to the root, and cover a file of that size with no more padding than it needs. */
function describes({ tx }: FileInfo, root: string): boolean {
  const nodes = tx.merkleNodes.map(([depth, hash]) => ({ root: hash, height: depth - 1 }))
  const sectors = sectorsOf(nodes)
  return tx.size > 0 && sectors === fileShape(tx.size).paddedChunks && rootOfNodes(nodes) === root
}

/** The size most holders claim; undefined without holders. */
function agreedSize(holders: Holder[]): number | undefined {
  const claims = new Map<number, number>()
  for (const { info } of holders) claims.set(info.tx.size, (claims.get(info.tx.size) ?? 0) + 1)
  const [first, second] = [...claims].sort(([, a], [, b]) => b - a)
  if (!first || !second || first[1] > second[1]) return first?.[0]
  throw new PerigeeError('VERIFICATION_FAILED', 'the nodes that hold the file disagree on its size', {
    details: holders.map(({ node, info }) => `${node.url}: ${info.tx.size} bytes`),
    wayOut: 'Give the Flow contract of the network: the log says which is right.',
  })
}

async function fetchTree(file: HeldFile, signal?: AbortSignal): Promise<void> {
  for (const holder of [...file.holders]) {
    const { url } = holder.node
    try {
      const roots = await holder.node.tree(file.root, { signal })
      if (!roots) continue
      file.tree = treeOf(file, roots)
      if (file.tree) return
      file.culprits.push({ url, lied: true, reason: 'its tree does not add up to the root' })
    } catch (error) {
      signal?.throwIfAborted()
      file.culprits.push({ url, lied: false, reason: reasonOf(error) })
    }
    file.holders = file.holders.filter((other) => other !== holder)
  }
}

function treeOf({ root, shape }: HeldFile, roots: Uint8Array): FileTree | undefined {
  try {
    const tree = FileTree.fromSegmentRoots(shape.size, roots)
    return tree.root === root ? tree : undefined
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function nobody(root: string, { indexer }: HolderOptions, culprits: Culprit[]): PerigeeError {
  const lied = culprits.some((culprit) => culprit.lied)
  return new PerigeeError(lied ? 'VERIFICATION_FAILED' : 'NOT_FOUND', `no node holds the file ${root}`, {
    details:
      culprits.length > 0 ? culprits.map(({ url, reason }) => `${url}: ${reason}`) : [indexer ? `the indexer ${indexer} knows none` : 'no node was named'],
    wayOut: 'Is this the root that the upload printed, and the same network? A file that was just uploaded shows up within seconds.',
  })
}
