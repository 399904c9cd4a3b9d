import { getAddress, isAddress } from 'ethers'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import { specHash } from '../../../protocol/compute/spec.ts'
import { counter } from '../../runtime/metrics.ts'
import type { Access } from './access.ts'
import type { Answers } from './answers.ts'
import type { Endpoint, Model } from './backends/backend.ts'
import type { Completions } from './completions.ts'
import type { Enclave, Layout } from './enclave.ts'
import { ApiError, unauthorized, unavailable } from './errors.ts'
import type { Models } from './models.ts'
import type { Spend } from './spend.ts'
import type { Standing } from './standing.ts'
import type { Terms } from './terms.ts'

/** Of the public SDK, and what openai's clients take into account. */
export const EXPOSED_HEADERS = ['ZG-Res-Key', 'Provider', 'Content-Type', 'Retry-After', 'Idempotent-Replayed'] as const
/** Largest request. */
export const BODY_LIMIT = 32 * 1024 * 1024

const ENDPOINTS: readonly Endpoint[] = ['chat/completions', 'completions', 'embeddings']

export interface HttpContext {
  access: Access
  answers: Answers
  completions: Completions
  enclave: Enclave
  models: Models
  spend: Spend
  standing: Standing
  terms: Terms
  /** Of the simulated TEE nothing is proven, and listings say so. */
  simulated: boolean
  /** As the service is registered. */
  verifiability: string
  metrics: Registry
}

/** The provider's API: OpenAI's under /v1/proxy, and what the public compute SDK asks beside it. */
export function providerRoutes(context: HttpContext): FastifyPluginAsync {
  const refusals = counter(context.metrics, { name: 'requests_refused_total', help: 'Requests that got an error, by its code', labelNames: ['code'] })
  return async (app) => {
    app.setErrorHandler(refuse(refusals.inc.bind(refusals), (error) => ({ error: error.message })))
    sdkRoutes(app, context)
    await app.register(
      async (proxy) => {
        proxy.setErrorHandler(refuse(refusals.inc.bind(refusals), (error) => error.body))
        proxy.setNotFoundHandler(async (request) => {
          throw new ApiError(404, 'not_found', `there is no ${request.method} ${request.url.slice(0, 200)} here`)
        })
        openAiRoutes(proxy, context)
      },
      { prefix: '/v1/proxy' },
    )
  }
}

function openAiRoutes(app: FastifyInstance, context: HttpContext): void {
  const { answers, completions, enclave, models } = context
  // Bodies stay bytes: they are hashed as they came.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  for (const endpoint of ENDPOINTS) app.post(`/${endpoint}`, (request, reply) => completions.answer(endpoint, request, reply))
  app.get('/models', async () => listing(context, await models.list()))
  app.get<{ Params: { answer: string } }>('/signature/:answer', async ({ params: { answer } }) => {
    const signature = await answers.signature(answer)
    if (!signature) throw new ApiError(404, 'answer_not_found', `there is no answer ${answer.slice(0, 100)} on record`)
    return signature
  })
  app.get('/attestation/report', async () => {
    const document = await quoteOf(enclave, 'sdk')
    return { signing_address: enclave.signer, signing_algo: 'ecdsa', intel_quote: document.quote, ...document }
  })
}

function sdkRoutes(app: FastifyInstance, context: HttpContext): void {
  const { access, answers, enclave, models, spend } = context
  app.get('/v1/models', async () => listing(context, await models.list()))
  app.get<{ Querystring: { layout?: string } }>('/v1/quote', async ({ query: { layout = 'sdk' } }) => {
    if (layout !== 'sdk' && layout !== 'registry') throw new ApiError(400, 'invalid_request', `layout is ${layout.slice(0, 100)}: expected sdk or registry`)
    return quoteOf(enclave, layout)
  })
  app.get<{ Params: { user: string } }>('/v1/user/:user/unsettledfee', async ({ params: { user }, headers }) => {
    const bearer = access.authenticate(headers.authorization)
    if (!isAddress(user) || getAddress(user) !== bearer.address) throw unauthorized('wrong_user', `the token is of ${bearer.address}`)
    await access.check(bearer)
    return { unsettledFee: spend.unsettled(bearer.address).toString() }
  })
  app.get<{ Params: { answer: string } }>('/v1/receipt/:answer', async ({ params: { answer } }) => {
    const document = await answers.document(answer)
    if (!document) throw new ApiError(404, 'answer_not_found', `there is no answer ${answer.slice(0, 100)} on record`)
    return document
  })
}

async function quoteOf(enclave: Enclave, layout: Layout): Promise<Record<string, unknown>> {
  return enclave.quote(layout).catch((cause) => {
    throw unavailable('the trusted execution environment gives no quote now', 10, cause)
  })
}

/** Compute §2.6; prices in wei a unit. */
function listing({ terms, standing, simulated, verifiability }: HttpContext, models: readonly Model[]): Record<string, unknown> {
  const { price } = terms
  const attested = !simulated && standing.problem() === undefined
  const data = models.map((model) => ({
    id: model.id,
    object: 'model',
    created: 0,
    owned_by: model.ownedBy ?? 'unknown',
    type: terms.service?.serviceType ?? 'chatbot',
    name: model.id,
    ...(model.contextLength !== undefined && { context_length: model.contextLength }),
    ...(model.maxCompletionTokens !== undefined && { max_completion_tokens: model.maxCompletionTokens }),
    ...(price && { pricing: { prompt: price.inputPrice.toString(), completion: price.outputPrice.toString() } }),
    endpoints: model.endpoints.filter((endpoint) => ENDPOINTS.includes(endpoint)),
    spec: model.spec,
    spec_hash: specHash(model.spec),
    verifiability,
    tee_attested: attested,
    tee_type: simulated ? 'simulated' : 'tdx',
    tee_verifier: simulated ? 'none-dev' : 'dstack',
    provider_type: 'decentralized',
  }))
  return { object: 'list', data }
}

type Shape = (error: ApiError) => object

/** Tells errors in a scope's own shape; what is nobody's fault but ours is logged and not told. */
function refuse(count: (labels: { code: string }) => void, shape: Shape) {
  return (thrown: Error & { statusCode?: number; code?: string }, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const error = thrown instanceof ApiError ? thrown : foreign(thrown)
    count({ code: error.code })
    if (error.status === 500) request.log.error({ err: thrown, url: request.url }, 'a request failed')
    if (error.retryAfter !== undefined) reply.header('retry-after', error.retryAfter)
    return reply.code(error.status).type('application/json').send(shape(error))
  }
}

/** Errors of the server itself: a body that is too large, a URL that is none, no room for more bodies. */
function foreign({ statusCode, message, code }: { statusCode?: number; message: string; code?: string }): ApiError {
  if (statusCode === 413) return new ApiError(413, 'body_too_large', `the body is larger than ${BODY_LIMIT} bytes`)
  if (statusCode === 503) return unavailable('too many requests are being read', 5)
  if (statusCode !== undefined && statusCode < 500) return new ApiError(statusCode, code?.toLowerCase() ?? 'invalid_request', message)
  return new ApiError(500, 'internal_error', 'something failed here')
}
