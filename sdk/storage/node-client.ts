import { z } from 'zod'
import { isValidShard, type Shard } from '../../protocol/storage/shard.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { type HttpResponse, http, readError } from '../http.ts'
import { type CallOptions, JsonRpc, RemoteError } from '../json-rpc.ts'

const hex32 = z.string().regex(/^0x[0-9a-f]{64}$/i)
const count = z.number().int().nonnegative()

const Status = z.object({
  connectedPeers: count,
  logSyncHeight: count,
  logSyncBlock: z.string(),
  nextTxSeq: count,
  networkIdentity: z.object({ chainId: count, flowAddress: z.string() }),
})
const ShardConfig = z.object({ shardId: count, numShard: count }).refine(isValidShard, 'not a shard')
const FileInfo = z.object({
  tx: z.object({
    dataMerkleRoot: hex32,
    /** [height + 1, root] per submission node. */
    merkleNodes: z.array(z.tuple([count, hex32])),
    startEntryIndex: count,
    size: count,
    seq: count,
  }),
  finalized: z.boolean(),
  uploadedSegNum: count,
  pruned: z.boolean().default(false),
})
const SegmentProof = z.object({ lemma: z.array(hex32), path: z.array(z.boolean()) })
const SegmentWithProof = z.object({ root: hex32, data: z.string(), index: count, proof: SegmentProof, fileSize: count })
/** A node's signed promise to keep a submission until a time (unix seconds). */
export const KeptReceipt = z.object({
  root: hex32,
  submission: count,
  until: count,
  chainId: count,
  contract: z.string(),
  node: z.string(),
  signature: z.string(),
})
const Progress = z.object({ stored: z.base64(), tree: z.boolean(), finalized: z.boolean() })

export type NodeStatus = z.infer<typeof Status>
export type FileInfo = z.infer<typeof FileInfo>
export type SegmentWithProof = z.infer<typeof SegmentWithProof>
export type KeptReceipt = z.infer<typeof KeptReceipt>

/** What a node holds of one submission: bit i of `stored` (least significant first) is segment i. */
export interface UploadProgress {
  stored: Uint8Array
  tree: boolean
  finalized: boolean
}

/** An answer of the HTTP API that is not 2xx. */
export class HttpStatusError extends PerigeeError {
  override name = 'HttpStatusError'
  readonly status: number

  constructor(url: string, status: number, reason: string) {
    super(status === 404 ? 'NOT_FOUND' : 'REMOTE', `${url}: ${reason}`)
    this.status = status
  }
}

/** A storage node: its JSON-RPC, and beside it the HTTP API that moves raw bytes (which nodes of other makes lack). */
export class StorageNodeClient {
  readonly url: string
  readonly #rpc: JsonRpc

  constructor(url: string) {
    this.url = url.replace(/\/+$/, '')
    this.#rpc = new JsonRpc(this.url)
  }

  status(options?: CallOptions): Promise<NodeStatus> {
    return this.#rpc.call('zgs_getStatus', [], Status, options)
  }

  shardConfig(options?: CallOptions): Promise<Shard> {
    return this.#rpc.call('zgs_getShardConfig', [], ShardConfig, options)
  }

  /** The submission of `root` that the node would serve: a finalized one before others, one not pruned before one that is. */
  fileByRoot(root: string, options?: CallOptions): Promise<FileInfo | null> {
    return this.#rpc.call('zgs_getFileInfo', [root, true], FileInfo.nullable(), options)
  }

  fileBySeq(seq: number, options?: CallOptions): Promise<FileInfo | null> {
    return this.#rpc.call('zgs_getFileInfoByTxSeq', [seq], FileInfo.nullable(), options)
  }

  async uploadSegments(seq: number, segments: SegmentWithProof[], options?: CallOptions): Promise<void> {
    await this.#rpc.call('zgs_uploadSegmentsByTxSeq', [segments, seq], z.unknown(), options)
  }

  segmentWithProof(seq: number, index: number, options?: CallOptions): Promise<SegmentWithProof | null> {
    return this.#rpc.call('zgs_downloadSegmentWithProofByTxSeq', [seq, index], SegmentWithProof.nullable(), options)
  }

  /** The node's signed promise to keep the submission; null while there is none, undefined where the node never gives one. */
  async keptReceipt(seq: number, options?: CallOptions): Promise<KeptReceipt | null | undefined> {
    try {
      return await this.#rpc.call('perigee_getKeptReceipt', [seq], KeptReceipt.nullable(), options)
    } catch (error) {
      if (error instanceof RemoteError && error.methodNotFound) return undefined
      throw error
    }
  }

  /** What the node holds of a submission; undefined where the node has no HTTP API for bytes. */
  async progress(seq: number, options?: CallOptions): Promise<UploadProgress | undefined> {
    const response = await http(`${this.url}/files/${seq}/segments`, { ...options })
    if (response.statusCode === 404 || response.statusCode === 405) {
      await response.body.dump()
      return undefined
    }
    await this.#expectSuccess(response)
    const { stored, tree, finalized } = Progress.parse(await response.body.json())
    return { stored: Buffer.from(stored, 'base64'), tree, finalized }
  }

  /** Gives the node the padded segment roots (32 bytes each), against which it checks every segment of the submission. */
  async putTree(seq: number, roots: Uint8Array, options?: CallOptions): Promise<void> {
    await this.#put(`/files/${seq}/tree`, roots, options)
  }

  async putSegment(seq: number, index: number, bytes: Uint8Array, options?: CallOptions): Promise<void> {
    await this.#put(`/files/${seq}/segments/${index}`, bytes, options)
  }

  /** The padded segment roots as the node claims them; undefined where the node has no HTTP API for bytes. */
  async tree(root: string, options?: CallOptions): Promise<Uint8Array | undefined> {
    const response = await http(`${this.url}/files/${root}/tree`, { ...options })
    if (response.statusCode === 404 || response.statusCode === 405) {
      await response.body.dump()
      return undefined
    }
    await this.#expectSuccess(response)
    return response.body.bytes()
  }

  /** Bytes [start, end) of a file as they arrive. The caller consumes or destroys the body. */
  async data(root: string, start: number, end: number, options?: CallOptions): Promise<HttpResponse['body']> {
    const response = await http(`${this.url}/files/${root}/data`, { headers: { range: `bytes=${start}-${end - 1}` }, ...options })
    if (response.statusCode !== 206 && !(response.statusCode === 200 && start === 0)) await this.#expectStatus(response, 206)
    return response.body
  }

  async #put(path: string, body: Uint8Array, options?: CallOptions): Promise<void> {
    const response = await http(`${this.url}${path}`, { method: 'PUT', body, headers: { 'content-type': 'application/octet-stream' }, ...options })
    await this.#expectSuccess(response)
    await response.body.dump()
  }

  async #expectSuccess(response: HttpResponse): Promise<void> {
    if (response.statusCode < 200 || response.statusCode > 299) throw new HttpStatusError(this.url, response.statusCode, await readError(response))
  }

  async #expectStatus(response: HttpResponse, status: number): Promise<void> {
    if (response.statusCode !== status)
      throw new HttpStatusError(this.url, response.statusCode, `expected HTTP ${status}: ${reasonOf(await readError(response))}`)
  }
}
