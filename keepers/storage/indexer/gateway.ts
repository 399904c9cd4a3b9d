import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { fetchSegments } from '../../../sdk/storage/fetch.ts'
import { findHolders, type HeldFile } from '../../../sdk/storage/holders.ts'
import { type FileInfo, StorageNodeClient } from '../../../sdk/storage/node-client.ts'
import { type Discovery, Refused } from './discovery.ts'
import type { NodeDirectory } from './node-directory.ts'

/** Segments fetched ahead of what the reader has taken: 4 MiB of memory per download. */
const WINDOW = 16

const Root = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform((root) => root.toLowerCase())
const Seq = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number)
const FileQuery = z
  .object({ root: Root.optional(), txSeq: Seq.optional(), name: z.string().min(1).max(255).optional() })
  .refine(({ root, txSeq }) => (root === undefined) !== (txSeq === undefined), 'name the file by either root or txSeq')

const Announcement = z.object({
  url: z
    .url({ protocol: /^https?$/ })
    .max(256)
    .refine((url) => !/[@?#]/.test(url), 'expected no user, query or fragment'),
})

/** Files over plain HTTP for what cannot speak the storage protocol: a browser, curl. Every segment is verified before it is sent. */
export function gateway(directory: NodeDirectory, discovery: Discovery | undefined) {
  return async (app: FastifyInstance): Promise<void> => {
    app.get('/nodes', async () => [
      ...directory.all().map((node) => ({ ...node, trusted: true })),
      ...(discovery?.all() ?? []).map((node) => ({ ...node, trusted: false })),
    ])

    app.post('/nodes', async ({ body }, reply) => {
      const parsed = Announcement.safeParse(body)
      if (!parsed.success) return refuse(reply, 400, parsed.error.issues.map(({ path, message }) => [...path, message].join(': ')).join('; '))
      if (!discovery) return refuse(reply, 403, 'this indexer lists only the nodes of its operator')
      try {
        await discovery.announce(parsed.data.url)
        return reply.send({ url: parsed.data.url })
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        return refuse(reply, error.statusCode, error.message)
      }
    })

    app.get('/node/status', async () => {
      const nodes = await Promise.all(directory.live().map(async ({ url }) => ({ url, status: await statusOf(url) })))
      return nodes.filter(({ status }) => status !== undefined)
    })

    app.get<{ Params: { file: string } }>('/file/info/:file', async ({ params }, reply) => {
      const named = z.union([Root, Seq]).safeParse(params.file)
      if (!named.success) return refuse(reply, 400, `${params.file} is neither a root (0x and 64 hex digits) nor the number of a submission`)
      const info = await infoOf(directory, named.data)
      return info ?? refuse(reply, 404, `no node knows the file ${params.file}`)
    })

    app.get('/file', async ({ query }, reply) => {
      const parsed = FileQuery.safeParse(query)
      if (!parsed.success) return refuse(reply, 400, parsed.error.issues.map(({ path, message }) => [...path, message].join(': ')).join('; '))
      const { root, txSeq, name } = parsed.data
      const wanted = root ?? (await infoOf(directory, txSeq!))?.tx.dataMerkleRoot.toLowerCase()
      if (!wanted) return refuse(reply, 404, `no node knows submission ${txSeq}`)
      const abort = new AbortController()
      reply.raw.once('close', () => abort.abort())
      try {
        const nodes = (await directory.holding(wanted)).map(({ url }) => url)
        const file = await findHolders(wanted, { nodes, signal: abort.signal })
        const pieces = content(file, nodes, abort.signal)
        // The first window is fetched before the headers go out, so that a file that cannot be had is an error and not a torn answer.
        const first = await pieces.next()
        reply.header('content-type', 'application/octet-stream').header('content-length', file.shape.size)
        reply.header('content-disposition', disposition(name ?? wanted))
        return reply.send(Readable.from(resume(first, pieces), { objectMode: false }))
      } catch (error) {
        if (!(error instanceof PerigeeError)) throw error
        return refuse(reply, error.code === 'NOT_FOUND' ? 404 : 502, error.message)
      }
    })
  }
}

/** The file in order, a window of verified segments at a time. */
async function* content(file: HeldFile, nodes: string[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < file.shape.segments; from += WINDOW) {
    const count = Math.min(WINDOW, file.shape.segments - from)
    const bytes = Buffer.alloc(Math.min(count * SEGMENT_SIZE, file.shape.size - from * SEGMENT_SIZE))
    const indexes = Array.from({ length: count }, (_, i) => from + i)
    await fetchSegments(file, indexes, {
      nodes,
      signal,
      deliver: async (index, segment) => {
        bytes.set(segment, (index - from) * SEGMENT_SIZE)
      },
    })
    yield bytes
  }
}

async function* resume<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (!first.done) yield first.value
  yield* rest
}

/** What the live nodes say of a file, one that has it before one that does not. */
async function infoOf(directory: NodeDirectory, file: string | number): Promise<FileInfo | undefined> {
  const asked = directory.live().map(({ url }) => {
    const node = new StorageNodeClient(url)
    return (typeof file === 'string' ? node.fileByRoot(file, { retries: 0 }) : node.fileBySeq(file, { retries: 0 })).catch(() => null)
  })
  const infos = (await Promise.all(asked)).filter((info) => info !== null)
  return infos.find(({ finalized }) => finalized) ?? infos[0]
}

const statusOf = (url: string) => new StorageNodeClient(url).status({ retries: 0 }).catch(() => undefined)

/** RFC 6266: the plain name for old readers, the exact one beside it. */
function disposition(name: string): string {
  const plain = name.replace(/[^\w. -]/g, '_')
  return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ statusCode: status, message })
}
