import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { bodyHash } from '../../../protocol/compute/receipt-text.ts'
import type { Units, UnitsRule } from '../../../protocol/compute/units.ts'
import type { Endpoint, Model } from './backends/backend.ts'
import { ApiError, badRequest } from './errors.ts'
import { type LimitOptions, mostUnits, type RequestJson } from './limits.ts'
import type { Models } from './models.ts'
import type { Terms } from './terms.ts'

/** A request that was understood. */
export interface Job {
  endpoint: Endpoint
  body: Uint8Array
  contentType: string
  json: RequestJson
  stream: boolean
  model: Model
  rule: UnitsRule
  most: Units
  requestHash: string
  /** The answer's. */
  id: string
  idempotencyKey: string | undefined
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws ApiError 400 for what is no question, 404 for a model or an endpoint that is not served */
export async function understand(
  endpoint: Endpoint,
  { body, headers }: FastifyRequest,
  options: LimitOptions & { models: Models; terms: Terms },
): Promise<Job> {
  const { models, terms } = options
  if (!Buffer.isBuffer(body) || body.length === 0) throw badRequest('the body is empty: expected a JSON object')
  const json = parseObject(body)
  const model = await models.find(json.model)
  if (!model.endpoints.includes(endpoint)) throw new ApiError(404, 'endpoint_not_supported', `${model.id} does not serve /${endpoint}`)
  const { rule } = terms
  const key = headers['idempotency-key']
  return {
    endpoint,
    body,
    contentType: 'application/json',
    json,
    stream: json.stream === true,
    model,
    rule,
    most: mostUnits({ endpoint, json, bytes: body.length, model, rule }, options),
    requestHash: bodyHash(body),
    id: `chatcmpl-${randomUUID()}`,
    idempotencyKey: typeof key === 'string' && key !== '' ? `${endpoint} ${key}` : undefined,
  }
}

function parseObject(body: Uint8Array): RequestJson {
  let json: unknown
  try {
    json = JSON.parse(utf8.decode(body))
  } catch (error) {
    throw badRequest(error instanceof TypeError ? 'the body is not UTF-8' : `the body is not JSON: ${(error as Error).message}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw badRequest('the body is not a JSON object')
  return json as RequestJson
}
