import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import { fileShape } from '../../../protocol/storage/file-shape.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'
import { DiskFull } from '../../runtime/files.ts'
import { type Downloads, SegmentUnavailable } from './downloads.ts'
import { ALREADY_PRUNED } from './errors.ts'
import type { FileStore } from './file-store.ts'
import type { FlowLog } from './flow-log.ts'
import type { Leases } from './leases.ts'
import { inShard, segmentLength } from './segments.ts'
import { TreeMismatch } from './stored-file.ts'
import type { Submission, Submissions } from './submissions.ts'
import type { Uploads } from './uploads.ts'

export interface HttpContext {
  submissions: Submissions
  store: FileStore
  uploads: Uploads
  downloads: Downloads
  leases: Leases
  flowLog: FlowLog
  shard: Shard
}

/** Trees of files up to 1 TiB. */
const TREE_LIMIT = 32 * 2 ** 22

const Seq = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number)
const Root = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform((root) => root.toLowerCase())

class HttpError extends Error {
  readonly statusCode: number

  constructor(statusCode: number, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

/** Raw bytes over HTTP, beside JSON-RPC: no base64, and one proof for a whole file instead of one per segment. */
export function fileRoutes(context: HttpContext) {
  const { submissions, store, uploads, downloads, leases, flowLog, shard } = context

  /** The submission that a path names by number or root. */
  const named = async (text: string): Promise<Submission> => {
    const seq = Seq.safeParse(text)
    const root = Root.safeParse(text)
    if (!seq.success && !root.success) throw new HttpError(400, `${text} is neither the number of a submission nor a root (0x and 64 hex digits)`)
    const all = seq.success ? [await submissions.bySeq(seq.data)] : await submissions.byRoot(root.data!)
    const live = all.filter((submission) => submission !== undefined)
    const found = live.find((submission) => submission.stored && !leases.ended(submission)) ?? live.find((submission) => !leases.ended(submission))
    if (found) return found
    throw live.length > 0
      ? new HttpError(410, `${text} is ${ALREADY_PRUNED}: its lease has ended`)
      : new HttpError(404, `no submission ${text} is known here (yet)`)
  }

  return async (app: FastifyInstance): Promise<void> => {
    app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
      if (error instanceof DiskFull) return refuse(reply, 507, error.message)
      if (error instanceof TreeMismatch) return refuse(reply, 400, error.message)
      if (error instanceof SegmentUnavailable) return refuse(reply, 404, error.message)
      return refuse(reply, error.statusCode ?? 500, error.statusCode ? error.message : 'internal error')
    })

    app.put<{ Params: { seq: string }; Body: Buffer }>('/files/:seq/tree', { bodyLimit: TREE_LIMIT }, async ({ params, body }, reply) => {
      const submission = await named(params.seq)
      if (!submission.stored) await uploads.putTree(submission, bytesOf(body))
      return reply.code(204).send()
    })

    app.put<{ Params: { seq: string; index: string }; Body: Buffer }>(
      '/files/:seq/segments/:index',
      { bodyLimit: SEGMENT_SIZE },
      async ({ params, body }, reply) => {
        const submission = await named(params.seq)
        if (submission.stored) return reply.code(204).send()
        const shape = fileShape(submission.size)
        const index = Seq.safeParse(params.index)
        if (!index.success || index.data >= shape.segments)
          throw new HttpError(400, `segment ${params.index}: the file has segments 0 to ${shape.segments - 1}`)
        if (!inShard(shard, submission.startEntry, index.data)) {
          throw new HttpError(409, `segment ${index.data} is not kept here: this node has shard ${shard.shardId}/${shard.numShard}`)
        }
        const bytes = wholeChunks(bytesOf(body), shape.size - index.data * SEGMENT_SIZE, segmentLength(shape, index.data))
        if (!bytes) throw new HttpError(400, `segment ${index.data} has ${segmentLength(shape, index.data)} bytes, not ${body.length}`)
        if (!(await uploads.putSegment(submission, index.data, bytes))) {
          throw new HttpError(409, `segment ${index.data} does not fit the tree of ${submission.root}: send the tree first, then the bytes it is made of`)
        }
        return reply.code(204).send()
      },
    )

    app.get<{ Params: { file: string } }>('/files/:file/segments', async ({ params }) => {
      const submission = await named(params.file)
      const held = await store.find(submission, async (file) => ({ stored: file.bitmap(), tree: file.tree() !== undefined }))
      const { stored, tree } = held ?? { stored: new Uint8Array(0), tree: false }
      return { stored: Buffer.from(stored).toString('base64'), tree, finalized: submission.stored }
    })

    app.get<{ Params: { file: string } }>('/files/:file/tree', async ({ params }, reply) => {
      const roots = await downloads.tree(await named(params.file))
      if (!roots) throw new HttpError(404, 'the tree of the file is not complete here')
      return reply.type('application/octet-stream').send(Buffer.from(roots))
    })

    app.get<{ Params: { file: string } }>('/files/:file/data', { exposeHeadRoute: false }, async ({ params, headers }, reply) => {
      const submission = await named(params.file)
      const { size } = submission
      const range = rangeOf(headers.range, size)
      reply.header('accept-ranges', 'bytes')
      if (!range) return refuse(reply.header('content-range', `bytes */${size}`), 416, `the range ${headers.range} is not within the ${size} bytes of the file`)
      const [start, end] = range
      if (headers.range) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${size}`)
      reply.header('content-length', end - start).type('application/octet-stream')
      const pieces = downloads.bytes(submission, start, end)
      const first = await pieces.next()
      return stream(reply, resume(first, pieces))
    })

    app.get<{ Params: { load: string } }>('/flow/loads/:load', async ({ params }, reply) => {
      const load = Seq.safeParse(params.load)
      if (!load.success) throw new HttpError(400, `${params.load} is not the number of a load`)
      const found = await flowLog.load(load.data)
      if (!found) throw new HttpError(404, `load ${params.load} is not (completely) on this node`)
      return reply
        .header('x-flow-length', await flowLog.length())
        .type('application/octet-stream')
        .send(Buffer.from(found.buffer, found.byteOffset, found.length))
    })
  }
}

function bytesOf(body: unknown): Uint8Array {
  if (Buffer.isBuffer(body)) return body
  throw new HttpError(415, 'send the bytes with content-type application/octet-stream')
}

/** A segment as it is stored. The file's last one may come without the zeros that complete its last chunk. */
function wholeChunks(body: Uint8Array, fileBytesLeft: number, length: number): Uint8Array | undefined {
  if (body.length === length) return body
  if (body.length !== fileBytesLeft) return undefined
  const whole = new Uint8Array(length)
  whole.set(body)
  return whole
}

/** Bytes [start, end) of a single Range (RFC 9110 §14.2); the whole file without one, undefined when it cannot be satisfied. */
function rangeOf(header: string | undefined, size: number): [number, number] | undefined {
  if (header === undefined) return [0, size]
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? []
  if (!from && !to) return undefined
  const start = from ? Number(from) : Math.max(0, size - Number(to))
  const end = from && to ? Math.min(size, Number(to) + 1) : size
  return start < end ? [start, end] : undefined
}

/** Sends pieces, each wholly before the next is asked for. What fails midway breaks the answer off, so that the reader sees it is short. */
async function stream(reply: FastifyReply, pieces: AsyncGenerator<Uint8Array>): Promise<void> {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(reply.statusCode, reply.getHeaders() as OutgoingHttpHeaders)
  try {
    for await (const piece of pieces) {
      await new Promise<void>((resolve, reject) => {
        raw.write(piece, (error) => (error ? reject(error) : resolve()))
      })
    }
    raw.end()
  } catch (error) {
    if (!raw.destroyed) reply.log.warn({ err: error }, 'a download was broken off')
    raw.destroy()
  }
}

async function* resume<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (!first.done) yield first.value
  yield* rest
}

function refuse(reply: FastifyReply, statusCode: number, message: string): FastifyReply {
  return reply.code(statusCode).type('application/json').send({ statusCode, message })
}
