import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { type ErrorCode, PerigeeError } from '../../../sdk/errors.ts'
import { Busy, type Retrievals } from './retrievals.ts'

const BlobId = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'not a blob id: expected 0x and 64 hex digits')
  .transform((id) => id.toLowerCase())
const Params = z.object({ blobId: BlobId })
const Query = z.object({ bits: z.coerce.number().int().min(1).max(128).optional() })

/** What of the network's errors is the blob's, and what ours or the signers' today. */
const STATUS: Partial<Record<ErrorCode, number>> = { NOT_FOUND: 404 }
const BAD_GATEWAY = 502

/** Blobs for what speaks no gRPC: a browser, curl. */
export function blobRoutes(retrievals: Retrievals) {
  return async (app: FastifyInstance): Promise<void> => {
    app.setErrorHandler((error, _request, reply) => {
      if (error instanceof z.ZodError) return reply.code(400).send({ code: 'USAGE', message: error.issues.map(({ message }) => message).join('; ') })
      if (error instanceof Busy) return reply.code(503).header('retry-after', 1).send({ code: 'BUSY', message: error.message })
      if (!(error instanceof PerigeeError)) return reply.send(error)
      const { code, shortMessage, details, wayOut } = error
      return reply.code(STATUS[code] ?? BAD_GATEWAY).send({ code, message: shortMessage, details, ...(wayOut && { wayOut }) })
    })

    app.get('/blobs/:blobId', { exposeHeadRoute: false }, async ({ params }, reply) => {
      const { blobId } = Params.parse(params)
      const { bytes, certificate } = await retrievals.blob(blobId, { signal: goneSignal(reply) })
      return reply
        .type('application/octet-stream')
        .headers({ etag: `"${blobId}"`, 'cache-control': 'public, max-age=31536000, immutable', 'x-da-epoch': certificate.epoch })
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    })

    app.get('/blobs/:blobId/verify', async ({ params, query }, reply) => {
      const { blobId } = Params.parse(params)
      const { bits } = Query.parse(query)
      return retrievals.verdict(blobId, { bits, signal: goneSignal(reply) })
    })
  }
}

/** Aborts when nobody waits for the answer any more. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}
