import { SEGMENT_CHUNKS, SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import type { FileTree } from '../../protocol/storage/merkle.ts'
import type { Shard } from '../../protocol/storage/shard.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { RemoteError } from '../json-rpc.ts'
import { waitFor } from '../wait.ts'
import type { FileInfo, StorageNodeClient } from './node-client.ts'
import type { Submitted } from './submit.ts'

/** How long a node may know another file under our number: after a reorganisation it has yet to learn of ours. In ms. */
const REORG_PATIENCE = 10_000

export interface ReplicaOptions {
  /** Milliseconds until the node must have seen the submission, and again until it must have finalized it. */
  timeout: number
  signal?: AbortSignal | undefined
}

/**
 * One node that is being sent a file. A node of ours takes raw bytes and checks them against the tree it was given once;
 * any other takes each segment as JSON with its own proof.
 */
export class Replica {
  readonly node: StorageNodeClient
  readonly shard: Shard
  /** Segments that the node should hold and does not. */
  readonly missing = new Set<number>()
  /** Why the node was given up. */
  failure: Error | undefined
  finalized = false
  /** Bytes sent. */
  sent = 0
  readonly #options: ReplicaOptions
  #raw = false
  #seq = 0
  #tree: FileTree | undefined

  constructor(node: StorageNodeClient, shard: Shard, options: ReplicaOptions) {
    this.node = node
    this.shard = shard
    this.#options = options
  }

  /** Waits until the node knows the submission, and learns what it lacks. */
  async open(submitted: Submitted, tree: FileTree, size: number): Promise<void> {
    const { signal } = this.#options
    this.#seq = submitted.seq
    this.#tree = tree
    const info = await this.#known(submitted, tree, size)
    this.finalized = info.finalized
    if (this.finalized) return
    const progress = await this.node.progress(submitted.seq, { signal })
    this.#raw = progress !== undefined
    if (progress?.finalized) this.finalized = true
    if (this.finalized) return
    if (progress && !progress.tree) await this.node.putTree(submitted.seq, tree.segmentRoots, { signal })
    const firstLoad = Math.floor(submitted.startSector / SEGMENT_CHUNKS)
    for (let index = 0; index < Math.ceil(size / SEGMENT_SIZE); index++) {
      const mine = (firstLoad + index) % this.shard.numShard === this.shard.shardId
      if (mine && !isSet(progress?.stored, index)) this.missing.add(index)
    }
  }

  /** Sends one segment (whole chunks). A failure marks the replica as given up instead of throwing, so that the others go on. */
  async send(index: number, bytes: Uint8Array, size: number): Promise<void> {
    const { signal } = this.#options
    try {
      if (this.#raw) await this.node.putSegment(this.#seq, index, bytes, { signal })
      else await this.#sendWithProof(index, bytes, size)
      this.missing.delete(index)
      this.sent += bytes.length
    } catch (error) {
      signal?.throwIfAborted()
      // The node may have fetched the rest from a peer in the meantime, and then takes no more.
      const info = await this.node.fileBySeq(this.#seq, { signal, retries: 0 }).catch(() => null)
      if (info?.finalized) this.missing.clear()
      else this.giveUp(error)
    }
  }

  /** Takes the node out of use; the first reason is the one that counts. */
  giveUp(reason: unknown): void {
    this.failure ??= reason as Error
  }

  /** Waits until the node has finalized the file. */
  async final(): Promise<void> {
    if (this.finalized) return
    const { timeout, signal } = this.#options
    const look = async (): Promise<true | undefined> => ((await this.node.fileBySeq(this.#seq, { signal, retries: 0 }))?.finalized ? true : undefined)
    const late = async (): Promise<PerigeeError> => {
      const info = await this.node.fileBySeq(this.#seq, { signal, retries: 0 }).catch((error) => reasonOf(error))
      const state = typeof info === 'string' ? info : `it reports ${info?.uploadedSegNum ?? 0} segments stored`
      return new PerigeeError('TIMEOUT', `${this.node.url} has not finalized the file within ${timeout / 1000} s`, {
        details: [state],
        wayOut: 'Run the same command again: it sends only what is missing.',
      })
    }
    this.finalized = await waitFor(look, { timeout, signal, late })
  }

  #known({ seq, block, transaction }: Submitted, tree: FileTree, size: number): Promise<FileInfo> {
    const { timeout, signal } = this.#options
    let differsSince: number | undefined
    const look = async (): Promise<FileInfo | undefined> => {
      const info = await this.node.fileBySeq(seq, { signal, retries: 0 })
      if (!info) return undefined
      if (info.tx.dataMerkleRoot.toLowerCase() === tree.root && info.tx.size === size) return info
      differsSince ??= Date.now()
      if (Date.now() - differsSince < REORG_PATIENCE) return undefined
      throw new PerigeeError('VERIFICATION_FAILED', `${this.node.url} takes submission ${seq} for another file`, {
        details: [`root ${info.tx.dataMerkleRoot}, ${info.tx.size} bytes; submitted was ${tree.root}, ${size} bytes`],
      })
    }
    const late = async (): Promise<PerigeeError> => {
      const status = await this.node.status({ signal, retries: 0 }).catch((error) => reasonOf(error))
      const behind = typeof status !== 'string' && status.logSyncHeight < block
      const details = [
        `transaction ${transaction} in block ${block}`,
        typeof status === 'string' ? status : `the node has read the chain up to block ${status.logSyncHeight}`,
      ]
      return new PerigeeError('TIMEOUT', `${this.node.url} has not seen submission ${seq} within ${timeout / 1000} s`, {
        details,
        wayOut: behind
          ? 'The node lags behind the chain. Once it has caught up, run the same command again: nothing is paid twice.'
          : 'The node has passed the block without recording it: is it on another fork, or does it follow another Flow contract?',
      })
    }
    return waitFor(look, { timeout, signal, late })
  }

  async #sendWithProof(index: number, bytes: Uint8Array, size: number): Promise<void> {
    const tree = this.#tree!
    const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
    const segment = { root: tree.root, data, index, proof: tree.proof(index), fileSize: size }
    try {
      await this.node.uploadSegments(this.#seq, [segment], { signal: this.#options.signal })
    } catch (error) {
      if (!(error instanceof RemoteError && String(error.data).includes('already uploaded and finalized'))) throw error
    }
  }
}

/** Bit `index`, least significant first. */
function isSet(bitmap: Uint8Array | undefined, index: number): boolean {
  return bitmap !== undefined && ((bitmap[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
}
