import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import { z } from 'zod'
import { bodyHash } from '../../../protocol/compute/receipt-text.ts'
import type { Log } from '../../runtime/log.ts'
import { counter } from '../../runtime/metrics.ts'
import { Refused } from './attempt.ts'
import type { Decision, Decisions } from './decisions.ts'
import type { Directory } from './directory.ts'
import { GatewayError } from './errors.ts'
import type { Health } from './health.ts'
import type { Provider } from './ranking.ts'
import type { Receipts, RelayedAnswer } from './receipts.ts'
import type { Relay, Relayed, Request } from './relay.ts'
import { relayEvents, type StreamEnd } from './stream.ts'
import type { Users } from './users.ts'

export interface GatewayOptions {
  relay: Relay
  directory: Directory
  health: (address: string) => Health
  receipts: Receipts
  decisions: Decisions
  users: Users
  log: Log
  metrics: Registry
}

/** How long an answer waits for its receipt to be checked; the check goes on, and the decision tells its result. */
const RECEIPT_MS = 2000
/** Headers of ours that a browser may read. */
const EXPOSED = 'ZG-Res-Key, Retry-After, X-Perigee-Decision, X-Perigee-Provider, X-Perigee-Attempts, X-Perigee-Receipt'

const ENDPOINTS = { '/chat/completions': 'choices', '/completions': 'choices', '/embeddings': 'data' } as const

const Body = z.looseObject({
  model: z.string().min(1),
  stream: z.boolean().nullish(),
  max_tokens: z.number().int().min(0).nullish(),
  max_completion_tokens: z.number().int().min(0).nullish(),
})

/** OpenAI's API for users, answered by providers. */
export function gatewayRoutes(options: GatewayOptions) {
  return async (app: FastifyInstance): Promise<void> => {
    const gateway = new Gateway(options)
    app.removeAllContentTypeParsers()
    // Passed on as it came: what the provider signs is its hash.
    app.addContentTypeParser(/^application\/json/, { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) => body)
    app.setErrorHandler((error: FastifyError, request, reply) => gateway.explain(error, request, reply))
    app.addHook('onRequest', async (_, reply) => {
      reply.header('access-control-expose-headers', EXPOSED)
    })
    for (const [path, content] of Object.entries(ENDPOINTS)) {
      app.post(`/v1${path}`, (request, reply) => gateway.answer(path, content, request, reply))
    }
    app.get('/v1/models', async ({ headers }) => gateway.models(headers.authorization))
    app.get<{ Params: { model: string } }>('/v1/models/*', async ({ params, headers }) =>
      gateway.model((params as Record<string, string>)['*']!, headers.authorization),
    )
    app.get('/v1/providers', async ({ headers }) => gateway.providers(headers.authorization))
    app.get<{ Params: { id: string } }>('/v1/decisions/:id', async ({ params, headers }) => gateway.decision(params.id, headers.authorization))
  }
}

class Gateway {
  readonly #options: GatewayOptions
  readonly #requests
  readonly #receipts

  constructor(options: GatewayOptions) {
    this.#options = options
    const { metrics } = options
    this.#requests = counter(metrics, { name: 'gateway_requests_total', help: 'Requests of users, by how they ended', labelNames: ['outcome'] })
    this.#receipts = counter(metrics, {
      name: 'gateway_receipts_total',
      help: 'Receipts of relayed answers, by what came of checking them',
      labelNames: ['provider', 'status'],
    })
  }

  async answer(path: string, content: Request['content'], incoming: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const user = this.#options.users.authenticate(incoming.headers.authorization)
    const body = incoming.body as Buffer | undefined
    const { model, stream, max_tokens, max_completion_tokens } = parse(body)
    const key = incoming.headers['idempotency-key']
    const request: Request = {
      path,
      content,
      user,
      body: body!,
      model,
      stream: stream === true && content === 'choices',
      maxOutput: max_completion_tokens ?? max_tokens ?? undefined,
      key: typeof key === 'string' && key !== '' ? key : undefined,
    }
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const decided = this.#options.relay.decide(request)
    const { decision } = decided
    reply.header('x-perigee-decision', decision.id)
    try {
      const relayed = await this.#options.relay.relay(request, decided, gone.signal)
      decision.provider = relayed.provider.address
      if (relayed.answer.id !== undefined) decision.answer = relayed.answer.id
      describe(reply, decision, relayed)
      return Buffer.isBuffer(relayed.answer.body)
        ? await this.#whole(request, decision, relayed, relayed.answer.body, reply)
        : reply.send(Readable.from(this.#streamed(request, decision, relayed, relayed.answer.body, gone.signal), { objectMode: false }))
    } catch (error) {
      this.#requests.inc({ outcome: decision.outcome })
      reply.header('x-perigee-attempts', String(decision.attempts.length))
      if (!(error instanceof Refused)) throw error
      reply.header('x-perigee-provider', decision.provider)
      return reply
        .code(error.status)
        .type(error.contentType || 'application/json')
        .send(error.body)
    }
  }

  async #whole(request: Request, decision: Decision, { provider, answer }: Relayed, body: Buffer, reply: FastifyReply): Promise<FastifyReply> {
    decision.outcome = 'answered'
    this.#requests.inc({ outcome: 'answered' })
    const checked = this.#verify(request, decision, provider, answer.id, { responseHash: bodyHash(body), body })
    await Promise.race([checked, sleep(RECEIPT_MS, undefined, { ref: false })])
    return reply.header('x-perigee-receipt', decision.receipt!.status).send(body)
  }

  #streamed(
    request: Request,
    decision: Decision,
    { provider, answer }: Relayed,
    events: AsyncGenerator<Uint8Array>,
    gone: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    return relayEvents(events, gone, (end: StreamEnd) => {
      decision.outcome = end.outcome
      this.#requests.inc({ outcome: end.outcome })
      if (end.outcome === 'answered') void this.#verify(request, decision, provider, answer.id, end)
      if (end.outcome !== 'interrupted') return
      this.#options.health(provider.address).failed(performance.now())
      this.#options.log.warn({ provider: provider.address, decision: decision.id, reason: end.reason }, 'a provider broke off its answer')
    })
  }

  async #verify(
    request: Request,
    decision: Decision,
    provider: Provider,
    id: string | undefined,
    answer: Pick<RelayedAnswer, 'responseHash' | 'body'>,
  ): Promise<void> {
    const { receipts, health, log } = this.#options
    decision.receipt = { status: 'pending', detail: 'being checked' }
    const { responseHash, body } = answer
    const relayed = id === undefined ? undefined : { id, model: request.model, requestHash: bodyHash(request.body), responseHash, ...(body ? { body } : {}) }
    decision.receipt = relayed ? await receipts.check(provider, relayed) : { status: 'unavailable', detail: 'the provider gave its answer no id' }
    const { status, detail } = decision.receipt
    this.#receipts.inc({ provider: provider.address, status })
    if (status !== 'failed') return
    health(provider.address).failed(performance.now())
    log.error(
      { provider: provider.address, answer: id, detail, advice: 'this answer can be disputed: keep the receipt' },
      'a receipt does not match its answer',
    )
  }

  models(authorization: string | undefined) {
    this.#options.users.authenticate(authorization)
    return { object: 'list', data: this.#models() }
  }

  model(id: string, authorization: string | undefined) {
    this.#options.users.authenticate(authorization)
    const found = this.#models().find((model) => model.id === id)
    if (!found) throw new GatewayError(404, 'model_not_found', `no provider serves ${id.slice(0, 100)}: see /v1/models`)
    return found
  }

  /** A model for each name that a provider answers to, with those providers and the least that they ask. */
  #models() {
    const byModel = new Map<string, Provider[]>()
    for (const provider of this.#options.directory.providers) {
      if (provider.problem !== undefined) continue
      for (const model of provider.models) byModel.set(model, [...(byModel.get(model) ?? []), provider])
    }
    return [...byModel]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, providers]) => ({
        id,
        object: 'model',
        created: 0,
        owned_by: 'perigee',
        providers: providers.map(({ address }) => address),
        pricing: { prompt: least(providers.map(({ inputPrice }) => inputPrice)), completion: least(providers.map(({ outputPrice }) => outputPrice)) },
      }))
  }

  /** What is known of every provider, and how it does. */
  providers(authorization: string | undefined) {
    const { users, directory, health } = this.#options
    users.authenticate(authorization)
    return directory.providers.map(({ inputPrice, outputPrice, free, ...provider }) => {
      const { latencyMs, failures } = health(provider.address)
      const funds = { inputPrice: inputPrice.toString(), outputPrice: outputPrice.toString(), free: free?.toString() ?? null }
      return { ...provider, ...funds, latencyMs: latencyMs ?? null, failures }
    })
  }

  decision(id: string, authorization: string | undefined): Decision {
    const { users, decisions } = this.#options
    const found = decisions.find(id, users.authenticate(authorization).name)
    if (!found) throw new GatewayError(404, 'decision_not_found', `there is no decision ${id.slice(0, 100)}, or it is older than those that are kept`)
    return found
  }

  explain(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    if (error instanceof GatewayError) {
      if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter))
      return reply.code(error.status).send(error.body)
    }
    const status = error.statusCode ?? 500
    if (status >= 500 && !reply.raw.destroyed) this.#options.log.error({ err: error, path: request.url }, 'a request failed')
    const told = new GatewayError(status, status >= 500 ? 'internal_error' : 'invalid_request', status >= 500 ? 'the gateway failed' : error.message)
    return reply.code(status).send(told.body)
  }
}

/** @throws GatewayError 400 */
function parse(body: Buffer | undefined): z.output<typeof Body> {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw new GatewayError(400, 'invalid_request', 'the body is not JSON in UTF-8')
  }
  const { data, error } = Body.safeParse(json)
  if (data) return data
  const { path, message } = error.issues[0]!
  throw new GatewayError(400, 'invalid_request', `${path.join('.') || 'the body'} is not valid: ${message}`)
}

function describe(reply: FastifyReply, decision: Decision, { provider, answer }: Relayed): void {
  reply.header('x-perigee-provider', provider.address).header('x-perigee-attempts', String(decision.attempts.length))
  if (answer.id !== undefined) reply.header('zg-res-key', answer.id)
  reply.header('cache-control', 'no-cache, no-transform').type(answer.contentType)
}

const least = (prices: bigint[]): string => prices.sort((a, b) => (a < b ? -1 : 1))[0]!.toString()
