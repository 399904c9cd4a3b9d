import { hexlify } from 'ethers'
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { threadKernel } from '../../../codec/keccak/index.ts'
import { CHUNK_SIZE, HASH_SIZE, SEGMENT_CHUNKS, SEGMENT_SIZE, zeroHash } from '../../../protocol/storage/constants.ts'
import { fileShape } from '../../../protocol/storage/file-shape.ts'
import { FlowTree, type LoadHashes } from '../../../protocol/storage/flow-tree.ts'
import type { SegmentProof } from '../../../protocol/storage/merkle.ts'
import { RpcError } from '../../runtime/jsonrpc.ts'
import type { Downloads } from './downloads.ts'
import type { Tables } from './schema.ts'
import type { Submission, Submissions } from './submissions.ts'

/** Submissions read at once. */
const BATCH = 1000

/** A gap lies in no submission, so that nothing is asked of it. */
const NOTHING: LoadHashes = {
  loadRoots: () => new Uint8Array(0),
  sectorHashes: () => new Uint8Array(0),
}

export interface FlowLogOptions {
  db: Kysely<Tables>
  submissions: Submissions
  downloads: Downloads
  log: Logger
}

/** The log as one sequence of sectors, the way miners and proofs see it. */
export class FlowLog {
  readonly #options: FlowLogOptions
  #tree = new FlowTree()
  /** Transaction of the last submission in the tree: another one in its place means that the chain was reorganised. */
  #last: { seq: number; txHash: string } | undefined
  #syncing: Promise<FlowTree> | undefined

  constructor(options: FlowLogOptions) {
    this.#options = options
  }

  /** Sectors of the log. */
  async length(): Promise<number> {
    return (await this.#synced()).length
  }

  /** Root of the log, and its length in sectors. */
  async context(): Promise<[string, number]> {
    const tree = await this.#synced()
    return [hexlify(tree.root()), tree.length]
  }

  /** Proof of a sector against the log's root, or against an earlier one that an epoch was opened with. */
  async proof(sector: number, flowRoot?: string): Promise<SegmentProof> {
    const tree = await this.#synced()
    const submissions = flowRoot === undefined ? tree.submissions : await this.#submissionsUnder(tree, flowRoot)
    if (sector >= tree.lengthAfter(submissions)) throw RpcError.invalidParams('sector_index', `the log has ${tree.lengthAfter(submissions)} sectors`)
    const leaf = await this.hash(sector)
    if (!leaf) throw RpcError.internal(`sector ${sector} is not on this node`)
    const submission = await this.submissionAt(sector)
    const hashes = submission ? this.#hashesOf(submission) : NOTHING
    const siblings = (await tree.proof(sector, hashes, { submissions })).map((sibling) => hexlify(sibling))
    if (siblings.length === 0) return { lemma: [leaf], path: [] }
    return { lemma: [leaf, ...siblings, hexlify(tree.root(submissions))], path: siblings.map((_, i) => Math.floor(sector / 2 ** i) % 2 === 0) }
  }

  /** Hash of a sector; undefined beyond the log and where the data are not here. */
  async hash(sector: number): Promise<string | undefined> {
    if (sector >= (await this.length())) return undefined
    // The log begins with a hash that is of no data.
    if (sector === 0) return hexlify(new Uint8Array(HASH_SIZE))
    const submission = await this.submissionAt(sector)
    const padding = !submission || sector - submission.startEntry >= fileShape(submission.size).chunks
    if (padding) return hexlify(zeroHash(0))
    const data = await this.sector(sector)
    return data && hexlify(threadKernel().keccak256(data))
  }

  /** The bytes of one sector of a file; undefined in gaps and where the data are not here. */
  async sector(sector: number): Promise<Uint8Array | undefined> {
    const submission = await this.submissionAt(sector)
    if (!submission) return undefined
    const chunk = sector - submission.startEntry
    if (chunk >= fileShape(submission.size).chunks) return undefined
    return this.#options.downloads.chunks(submission, chunk, chunk + 1)
  }

  /** Sectors [1024·load, 1024·(load + 1)) as bytes, zeros in gaps; undefined when a file's data are not here. */
  async load(load: number): Promise<Uint8Array | undefined> {
    const start = load * SEGMENT_CHUNKS
    if (start >= (await this.length())) return undefined
    const bytes = new Uint8Array(SEGMENT_SIZE)
    for (const submission of await this.#options.submissions.overlapping(start, start + SEGMENT_CHUNKS)) {
      if (!(await this.#copy(submission, start, bytes))) return undefined
    }
    return bytes
  }

  /** The submission that a sector belongs to; undefined in gaps. */
  async submissionAt(sector: number): Promise<Submission | undefined> {
    return (await this.#options.submissions.overlapping(sector, sector + 1))[0]
  }

  /** The hashes within one submission: what else lies in its first and last load plays no part in its proofs. */
  #hashesOf(submission: Submission): LoadHashes {
    const { downloads } = this.#options
    const missing = () => RpcError.internal(`the file of submission ${submission.seq} is not (completely) on this node`)
    return {
      async loadRoots(first, count) {
        const roots = await downloads.tree(submission)
        if (!roots) throw missing()
        const offset = first - submission.startEntry / SEGMENT_CHUNKS
        return roots.subarray(HASH_SIZE * offset, HASH_SIZE * (offset + count))
      },
      sectorHashes: async (load) => {
        const bytes = new Uint8Array(SEGMENT_SIZE)
        if (!(await this.#copy(submission, load * SEGMENT_CHUNKS, bytes))) throw missing()
        return threadKernel().chunkHashes(bytes, SEGMENT_CHUNKS)
      },
    }
  }

  /** Copies a submission's sectors among the 1024 from `start` to their places in `load`; false when they are not here. */
  async #copy(submission: Submission, start: number, load: Uint8Array): Promise<boolean> {
    const from = Math.max(0, start - submission.startEntry)
    const to = Math.min(fileShape(submission.size).chunks, start + SEGMENT_CHUNKS - submission.startEntry)
    if (from >= to) return true
    const chunks = await this.#options.downloads.chunks(submission, from, to)
    if (chunks) load.set(chunks, (submission.startEntry + from - start) * CHUNK_SIZE)
    return chunks !== undefined
  }

  async #submissionsUnder(tree: FlowTree, flowRoot: string): Promise<number> {
    if (flowRoot === hexlify(tree.root())) return tree.submissions
    const epoch = await this.#options.db.selectFrom('epochs').select('length').where('root', '=', flowRoot).executeTakeFirst()
    if (!epoch) throw RpcError.invalidParams('flow_root', 'neither the root of the log nor one that an epoch was opened with')
    return tree.submissionsAt(epoch.length)
  }

  /** The tree over all submissions known. */
  async #synced(): Promise<FlowTree> {
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = undefined
    })
    return this.#syncing
  }

  async #sync(): Promise<FlowTree> {
    const { submissions, log } = this.#options
    if (this.#last && (await submissions.bySeq(this.#last.seq))?.txHash !== this.#last.txHash) {
      this.#tree = new FlowTree()
      this.#last = undefined
    }
    for (;;) {
      const fresh = await submissions.after(this.#tree.submissions - 1, BATCH)
      for (const { seq, nodes, startEntry, txHash } of fresh) {
        const start = this.#tree.append(nodes).starts[0]
        if (start !== startEntry) log.error({ seq, startEntry, expected: start }, 'the contract placed a submission elsewhere: proofs of the log will be wrong')
        this.#last = { seq, txHash }
      }
      if (fresh.length < BATCH) return this.#tree
    }
  }
}
