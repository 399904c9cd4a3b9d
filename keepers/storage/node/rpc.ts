import { z } from 'zod'
import { CHUNK_SIZE, SEGMENT_CHUNKS } from '../../../protocol/storage/constants.ts'
import { fileShape } from '../../../protocol/storage/file-shape.ts'
import { FileTree } from '../../../protocol/storage/merkle.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'
import { DiskFull } from '../../runtime/files.ts'
import { RpcError, rpcMethod } from '../../runtime/jsonrpc.ts'
import type { Downloads } from './downloads.ts'
import type { FileStore } from './file-store.ts'
import type { FlowLog } from './flow-log.ts'
import type { Leases } from './leases.ts'
import type { Receipts } from './receipts.ts'
import type { Submission, Submissions } from './submissions.ts'
import type { ProvenSegment, Uploads } from './uploads.ts'

export interface RpcContext {
  submissions: Submissions
  store: FileStore
  uploads: Uploads
  downloads: Downloads
  leases: Leases
  receipts: Receipts
  flowLog: FlowLog
  shard: Shard
  chainId: number
  flow: string
  /** Newest block whose submissions are known here. */
  syncedTo(): { number: number; hash: string }
  connectedPeers: number
}

const hash = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'expected 32 bytes in hex')
  .transform((text) => text.toLowerCase())
const number = z.int().min(0)
const base64 = z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
/** No tree within 2^53 sectors is deeper. */
const DEPTH = 64
const proof = z.object({ lemma: z.array(hash).max(DEPTH + 2), path: z.array(z.boolean()).max(DEPTH) })
const segment = z.object({ root: hash, data: base64, index: number, proof, fileSize: z.int().min(1) }).describe('segment')
const segments = z.array(segment).describe('segments')

// Parameters, under the names that errors call them by.
const root = hash.describe('root')
const seq = number.describe('tx_seq')
const index = number.describe('index')
const start = number.describe('start_index')
const end = number.describe('end_index')
const sector = number.describe('sector_index')

/** What uploads answer: the older public client takes null for a failure. */
const UPLOADED = 0

const version = { major: 1, minor: 0, build: 0 }

/** The JSON-RPC methods that storage clients call, with the shapes and errors they rely on. */
export function rpcMethods(context: RpcContext) {
  const { submissions, uploads, downloads, leases, receipts, flowLog, shard } = context

  const put = async (segments: ProvenSegment[], seq?: number): Promise<number> => {
    await uploads.putProven(segments, seq).catch((error) => {
      throw error instanceof DiskFull ? RpcError.failed(`disk full: ${error.message}`) : error
    })
    return UPLOADED
  }
  const lookUp = async (root: string, available: boolean): Promise<Submission | undefined> => {
    const all = await submissions.byRoot(root)
    const live = all.filter((submission) => !leases.ended(submission))
    return live.find(({ stored }) => stored) ?? (available ? live[0] : all[0])
  }
  const readable = (submission: Submission | undefined): submission is Submission => submission !== undefined && !leases.ended(submission)

  const info = async (submission: Submission | undefined) => {
    if (!submission) return null
    const pruned = leases.ended(submission)
    const finalized = submission.stored && !pruned
    const stored = finalized ? fileShape(submission.size).segments : await context.store.find(submission, async (file) => file.stored)
    return { tx: transactionOf(submission), finalized, isCached: false, uploadedSegNum: stored ?? 0, pruned }
  }

  const download = async (submission: Submission | undefined, start: number, end: number): Promise<string | null> => {
    if (start >= end) throw RpcError.invalidParams('end_index', 'invalid chunk index')
    if (end - start > SEGMENT_CHUNKS) throw RpcError.invalidParams('end_index', `exceeds maximum chunks ${SEGMENT_CHUNKS}`)
    if (!readable(submission)) return null
    const chunks = Math.ceil(submission.size / CHUNK_SIZE)
    if (end > chunks) throw RpcError.failed(`end entry index exceeds tx size: end ${end}, chunks ${chunks}`)
    const bytes = await downloads.chunks(submission, start, end)
    return bytes ? toBase64(bytes) : null
  }

  const downloadProven = async (submission: Submission | undefined, index: number) => {
    if (!readable(submission)) return null
    if (index >= fileShape(submission.size).segments) throw RpcError.invalidParams('index', 'index out of bound')
    const data = await downloads.segment(submission, index)
    const roots = await downloads.tree(submission)
    if (!data || !roots) return null
    const proof = FileTree.fromSegmentRoots(submission.size, roots).proof(index)
    return { root: submission.root, data: toBase64(data), index, proof, fileSize: submission.size }
  }

  return {
    zgs_getStatus: rpcMethod(z.tuple([]), async () => {
      const { number, hash } = context.syncedTo()
      return {
        connectedPeers: context.connectedPeers,
        logSyncHeight: number,
        logSyncBlock: hash,
        nextTxSeq: await submissions.count(),
        networkIdentity: { chainId: context.chainId, flowAddress: context.flow.toLowerCase(), p2pProtocolVersion: version },
      }
    }),
    zgs_getShardConfig: rpcMethod(z.tuple([]), async () => ({ shardId: shard.shardId, numShard: shard.numShard })),
    zgs_getFileInfo: rpcMethod(z.tuple([root, z.boolean().default(false).describe('need_available')]), async (root, available) =>
      info(await lookUp(root, available)),
    ),
    zgs_getFileInfoByTxSeq: rpcMethod(z.tuple([seq]), async (seq) => info(await submissions.bySeq(seq))),
    zgs_checkFileFinalized: rpcMethod(z.tuple([z.union([number, hash]).describe('tx_seq_or_root')]), async (file) => {
      const submission = typeof file === 'number' ? await submissions.bySeq(file) : await lookUp(file, false)
      return submission ? submission.stored && !leases.ended(submission) : null
    }),

    zgs_uploadSegment: rpcMethod(z.tuple([segment]), (one) => put([one])),
    zgs_uploadSegments: rpcMethod(z.tuple([segments]), (segments) => put(segments)),
    zgs_uploadSegmentByTxSeq: rpcMethod(z.tuple([segment, seq]), (one, seq) => put([one], seq)),
    zgs_uploadSegmentsByTxSeq: rpcMethod(z.tuple([segments, seq]), (segments, seq) => put(segments, seq)),

    zgs_downloadSegment: rpcMethod(z.tuple([root, start, end]), async (root, start, end) => download(await lookUp(root, true), start, end)),
    zgs_downloadSegmentByTxSeq: rpcMethod(z.tuple([seq, start, end]), async (seq, start, end) => download(await submissions.bySeq(seq), start, end)),
    zgs_downloadSegmentWithProof: rpcMethod(z.tuple([root, index]), async (root, at) => downloadProven(await lookUp(root, true), at)),
    zgs_downloadSegmentWithProofByTxSeq: rpcMethod(z.tuple([seq, index]), async (seq, at) => downloadProven(await submissions.bySeq(seq), at)),

    zgs_getFlowContext: rpcMethod(z.tuple([]), () => flowLog.context()),
    zgs_getSectorProof: rpcMethod(z.tuple([sector, hash.nullish().describe('flow_root')]), (sector, root) => flowLog.proof(sector, root ?? undefined)),
    zgs_getHashAtNodeIndex: rpcMethod(z.tuple([sector]), (sector) => flowLog.hash(sector)),
    zgs_getDataByNodeIndex: rpcMethod(z.tuple([sector]), async (sector) => {
      const data = await flowLog.sector(sector)
      return data ? toBase64(data) : null
    }),
    zgs_getMetaDataByNodeIndex: rpcMethod(z.tuple([sector]), async (sector) => info(await flowLog.submissionAt(sector))),

    perigee_getKeptReceipt: rpcMethod(z.tuple([seq]), async (seq) => {
      const submission = await submissions.bySeq(seq)
      return (submission && (await receipts.get(submission))) ?? null
    }),
  }
}

/** The wire counts tree levels from 1, the contract's heights from 0. */
function transactionOf({ root, nodes, startEntry, size, seq }: Submission) {
  return {
    streamIds: [],
    data: [],
    dataMerkleRoot: root,
    merkleNodes: nodes.map(({ root, height }) => [height + 1, root]),
    startEntryIndex: startEntry,
    size,
    seq,
  }
}

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
