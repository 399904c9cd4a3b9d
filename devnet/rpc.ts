import cors from '@fastify/cors'
import Fastify from 'fastify'
import { createJSONRPCErrorResponse, createJSONRPCSuccessResponse, isJSONRPCID, JSONRPCErrorCode, JSONRPCServer } from 'json-rpc-2.0'
import type { Logger } from 'pino'
import type { Blockchain } from './blockchain.ts'

/** Twice the largest transaction a block has gas for, in hex, with room for a batch. */
const BODY_LIMIT = 32 * 1024 * 1024

export interface ChainServer {
  url: string
  close(): Promise<void>
}

/** Serves a chain as JSON-RPC over HTTP POST, as any Ethereum node does. */
export async function serveChain(chain: Blockchain, { host, port, log }: { host: string; port: number; log?: Logger }): Promise<ChainServer> {
  const rpc = new JSONRPCServer({ errorListener: (message, error) => log?.debug({ err: error }, message) })
  // Every method goes to the chain, which knows which ones exist.
  rpc.handleMethodNotFound = async ({ id, method, params = [] }) => {
    if (!Array.isArray(params)) throw { code: JSONRPCErrorCode.InvalidParams, message: 'params must be an array' }
    const result = (await chain.request(method, params)) ?? null
    return id === undefined ? null : createJSONRPCSuccessResponse(id, result)
  }
  rpc.mapErrorToJSONRPCErrorResponse = (id, error) =>
    createJSONRPCErrorResponse(
      id,
      typeof error?.code === 'number' ? error.code : JSONRPCErrorCode.InternalError,
      String(error?.message ?? error),
      revertData(error?.data),
    )

  const invalid = (request?: unknown) => {
    const id = isObject(request) && 'id' in request && isJSONRPCID(request.id) ? request.id : null
    return createJSONRPCErrorResponse(id, JSONRPCErrorCode.InvalidRequest, 'Invalid Request')
  }
  const answer = async (request: unknown) =>
    isObject(request) && 'method' in request && typeof request.method === 'string' ? rpc.receive(request as never) : invalid(request)

  const app = Fastify({ bodyLimit: BODY_LIMIT, forceCloseConnections: true })
  await app.register(cors)
  // Any content type: curl sends a form's.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.post('/', async (request, reply) => {
    reply.type('application/json')
    let body: unknown
    try {
      body = JSON.parse(String(request.body ?? ''))
    } catch {
      return createJSONRPCErrorResponse(null, JSONRPCErrorCode.ParseError, 'Parse error')
    }
    if (!Array.isArray(body)) return (await answer(body)) ?? reply.send('')
    if (body.length === 0) return invalid()
    const answers = (await Promise.all(body.map(answer))).filter((response) => response !== null)
    return answers.length > 0 ? answers : reply.send('')
  })
  const url = await app.listen({ host, port })
  return { url, close: () => app.close() }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Clients look for the bytes a call reverted with in `error.data`; the EVM wraps them together with its own notes. */
function revertData(data: unknown): unknown {
  if (isObject(data) && 'data' in data) return data.data
  return typeof data === 'string' ? data : undefined
}
