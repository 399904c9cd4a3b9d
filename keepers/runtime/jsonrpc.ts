import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { createJSONRPCErrorResponse, isJSONRPCID, JSONRPCErrorCode, type JSONRPCRequest, JSONRPCServer } from 'json-rpc-2.0'
import type { Registry } from 'prom-client'
import type { z } from 'zod'
import type { Log } from './log.ts'
import { histogram, SECONDS } from './metrics.ts'

const SERVER_ERROR = -32000

/** What a method throws to answer with an error of its own choice. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: number
  readonly data: unknown

  constructor(code: number, message: string, data?: unknown) {
    super(message)
    this.code = code
    this.data = data
  }

  /** The request is at fault: names the field, and says in `data` what is wrong with it. */
  static invalidParams(field: string, data?: string): RpcError {
    return new RpcError(JSONRPCErrorCode.InvalidParams, `Invalid params: ${field}`, data)
  }

  /** The request is well formed but can't be served, for the reason in `data`. */
  static internal(data: string): RpcError {
    return new RpcError(JSONRPCErrorCode.InternalError, 'Internal error', data)
  }

  /** Anything else: the text is the message. */
  static failed(message: string): RpcError {
    return new RpcError(SERVER_ERROR, message)
  }
}

export interface RpcMethod<P extends z.ZodTuple = z.ZodTuple> {
  /** One entry per positional parameter; its `.describe('name')` is how errors call it. */
  params: P
  handler: (...params: z.output<P>) => unknown
}

/** Types a method's handler by its params. */
export const rpcMethod = <P extends z.ZodTuple>(params: P, handler: (...params: z.output<P>) => unknown): RpcMethod =>
  ({ params, handler }) as unknown as RpcMethod

export interface JsonRpcOptions {
  log: Log
  metrics?: Registry
  /** Requests in one batch at most. */
  maxBatch?: number
}

/**
 * A Fastify plugin that serves the methods on POST /. Every answer, an error too, is HTTP 200: clients take another status for a broken
 * transport and repeat the request. A handler that returns nothing answers `"result": null`.
 */
export function jsonRpc(methods: Record<string, RpcMethod>, { log, metrics, maxBatch = 1000 }: JsonRpcOptions): FastifyPluginAsync {
  const duration =
    metrics &&
    histogram(metrics, { name: 'rpc_request_duration_seconds', help: 'Time to answer a JSON-RPC request', labelNames: ['method', 'code'], buckets: SECONDS })
  const server = new JSONRPCServer({ errorListener: () => {} })
  server.mapErrorToJSONRPCErrorResponse = (id, { code, message, data }: RpcError) => createJSONRPCErrorResponse(id, code, message, data)
  for (const [name, { params, handler }] of Object.entries(methods)) {
    server.addMethod(name, async (given: unknown) => {
      const stop = duration?.startTimer({ method: name })
      let code = 0
      try {
        const parsed = params.safeParse(given ?? [])
        if (!parsed.success) throw invalidParams(params, given, parsed.error.issues[0]!)
        return (await handler(...parsed.data)) ?? null
      } catch (cause) {
        const error = cause instanceof RpcError ? cause : RpcError.internal((cause as Error).message)
        if (error !== cause) log.error({ err: cause, method: name }, 'a request failed')
        code = error.code
        throw error
      } finally {
        stop?.({ code })
      }
    })
  }

  const answerOne = async (request: unknown): Promise<object | null> => {
    if (request === null || typeof request !== 'object' || Array.isArray(request)) return invalidRequest(null)
    const { id, method, params } = request as Record<string, unknown>
    if (id !== undefined && !isJSONRPCID(id)) return invalidRequest(null)
    const wellFormed = typeof method === 'string' && (params === undefined || (params !== null && typeof params === 'object'))
    if (!wellFormed) return invalidRequest(id ?? null)
    return server.receive(request as JSONRPCRequest)
  }

  const answer = async (body: unknown): Promise<object | null> => {
    if (!Array.isArray(body)) return answerOne(body)
    if (body.length === 0) return invalidRequest(null)
    if (body.length > maxBatch) return createJSONRPCErrorResponse(null, JSONRPCErrorCode.InvalidRequest, `more than ${maxBatch} requests in a batch`)
    const answers = (await Promise.all(body.map(answerOne))).filter((each) => each !== null)
    return answers.length > 0 ? answers : null
  }

  return async (app: FastifyInstance) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: unknown, body: string | Buffer) => body)
    app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
      if ((error.statusCode ?? 500) >= 500) log.error({ err: error }, 'a request could not be answered')
      return reply.code(200).send(createJSONRPCErrorResponse(null, JSONRPCErrorCode.InvalidRequest, error.message))
    })
    app.post('/', async (request, reply) => {
      let body: unknown
      try {
        body = JSON.parse(String(request.body ?? ''))
      } catch {
        return createJSONRPCErrorResponse(null, JSONRPCErrorCode.ParseError, 'Parse error')
      }
      // All were notifications: JSON-RPC answers with nothing at all.
      return (await answer(body)) ?? reply.code(204).send()
    })
  }
}

const invalidRequest = (id: string | number | null) => createJSONRPCErrorResponse(id, JSONRPCErrorCode.InvalidRequest, 'Invalid Request')

function invalidParams(params: z.ZodTuple, given: unknown, issue: z.core.$ZodIssue): RpcError {
  const [position, ...rest] = issue.path
  if (typeof position !== 'number') {
    const { length } = params.def.items
    return RpcError.invalidParams('params', Array.isArray(given) ? `expected ${length} parameters, got ${given.length}` : 'expected an array')
  }
  const name = (params.def.items[position] as z.ZodType | undefined)?.description ?? `params[${position}]`
  const field = rest.reduce<string>((path, part) => (typeof part === 'number' ? `${path}[${part}]` : `${path}.${String(part)}`), name)
  return RpcError.invalidParams(field, issue.message)
}
