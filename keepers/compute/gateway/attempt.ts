import { type Dispatcher, request } from 'undici'
import { reasonOf } from '../../../sdk/errors.ts'
import { EventBoundaries } from './event-boundaries.ts'
import type { Provider } from './ranking.ts'

/** What a client asked for, as it is passed on: the same bytes. */
export interface Call {
  /** Behind /v1: "/chat/completions". */
  path: string
  body: Buffer
  stream: boolean
  /** Member of a good answer that is an array. */
  content: 'choices' | 'data'
}

/** An answer that has at least begun. */
export interface Answer {
  /** ZG-Res-Key: what the provider calls the answer. */
  id: string | undefined
  contentType: string
  /** All of it, or a stream of whole events whose first is there. */
  body: Buffer | AsyncGenerator<Uint8Array>
}

/** The request itself is at fault: the provider's words are for the client, and no other provider would answer differently. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly status: number
  readonly body: Buffer
  readonly contentType: string

  constructor(status: number, body: Buffer, contentType: string) {
    super(`HTTP ${status}`)
    this.status = status
    this.body = body
    this.contentType = contentType
  }
}

/** The provider is at fault, or not able: another may be. */
export class AttemptFailed extends Error {
  override readonly name = 'AttemptFailed'
  /** HTTP status that the provider gave, if it came to that. */
  readonly status: number | undefined
  /** The connection broke: whether the provider did the work is unknown, and it may be asked again with the same idempotency key. */
  readonly broken: boolean
  /** Seconds. */
  readonly retryAfter: number | undefined

  constructor(message: string, { status, broken = false, retryAfter }: { status?: number; broken?: boolean; retryAfter?: number | undefined } = {}) {
    super(message)
    this.status = status
    this.broken = broken
    this.retryAfter = retryAfter
  }
}

export interface AttemptOptions {
  authorization: string
  idempotencyKey: string
  dispatcher: Dispatcher
  firstByteMs: number
  answerMs: number
  stallMs: number
  signal: AbortSignal
}

/** Answers longer than this are nobody's. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** Statuses that say that the request is at fault, and codes with which it is not: another provider may serve the model, or the endpoint. */
const CLIENT_FAULTS = new Set([400, 404, 405, 413, 415, 422])
const NOT_HERE: ReadonlySet<unknown> = new Set(['model_not_found', 'endpoint_not_supported'])

/**
 * Asks one provider. Returns once there is an answer to pass on: all of it, or the first event of a stream.
 * @throws Refused, AttemptFailed
 */
export async function attempt({ url }: Provider, call: Call, options: AttemptOptions): Promise<Answer> {
  const { authorization, idempotencyKey, dispatcher, firstByteMs, answerMs, stallMs, signal } = options
  const patience = call.stream ? firstByteMs : answerMs
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), patience)
  const either = AbortSignal.any([signal, late.signal])
  try {
    const response = await request(`${url}/v1/proxy${call.path}`, {
      method: 'POST',
      headers: {
        authorization,
        'content-type': 'application/json',
        accept: call.stream ? 'text/event-stream' : 'application/json',
        // The receipt is over the bytes as they are hashed here.
        'accept-encoding': 'identity',
        'idempotency-key': idempotencyKey,
      },
      body: call.body,
      dispatcher,
      signal: either,
      headersTimeout: patience,
      bodyTimeout: stallMs,
    })
    const contentType = headerOf(response, 'content-type') ?? ''
    if (response.statusCode !== 200) throw await refusal(response, contentType)
    const id = headerOf(response, 'zg-res-key')
    if (!call.stream) return { id, contentType, body: await wholeAnswer(response, call) }
    if (!contentType.startsWith('text/event-stream')) throw new AttemptFailed(`it answered with ${contentType || 'something'} instead of a stream`)
    return { id, contentType, body: await begunStream(response) }
  } catch (error) {
    if (error instanceof AttemptFailed || error instanceof Refused || signal.aborted) throw error
    if (late.signal.aborted) throw new AttemptFailed(`no answer within ${patience} ms`)
    throw new AttemptFailed(reasonOf(error), { broken: isBroken(error) })
  } finally {
    clearTimeout(timer)
  }
}

/** Whether the connection was there and then was not, as opposed to one that never was or a silence. */
const isBroken = (error: unknown): boolean => ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'UND_ERR_ABORTED'].includes((error as { code?: string }).code ?? '')

async function refusal(response: Dispatcher.ResponseData, contentType: string): Promise<Refused | AttemptFailed> {
  const { statusCode: status } = response
  const body = await read(response)
  const said = errorOf(body)
  const retryAfter = Number(headerOf(response, 'retry-after') ?? Number.NaN)
  if (CLIENT_FAULTS.has(status) && !NOT_HERE.has(said.code)) return new Refused(status, body, contentType)
  const reason = said.message === undefined ? `HTTP ${status}` : `HTTP ${status}, ${said.message}`
  return new AttemptFailed(reason, { status, ...(Number.isFinite(retryAfter) ? { retryAfter } : {}) })
}

function errorOf(body: Buffer): { code?: unknown; message?: string } {
  try {
    const { error } = JSON.parse(body.toString('utf8')) as { error?: { code?: unknown; message?: unknown } | string }
    if (typeof error === 'string') return { message: error.slice(0, 300) }
    return { code: error?.code, ...(typeof error?.message === 'string' ? { message: error.message.slice(0, 300) } : {}) }
  } catch {
    return {}
  }
}

async function wholeAnswer(response: Dispatcher.ResponseData, { content }: Call): Promise<Buffer> {
  const body = await read(response)
  let answer: Record<string, unknown> | null
  try {
    answer = JSON.parse(body.toString('utf8')) as Record<string, unknown> | null
  } catch {
    throw new AttemptFailed('its answer is not JSON')
  }
  if (!Array.isArray(answer?.[content])) throw new AttemptFailed(`its answer has no ${content}`)
  return body
}

async function read({ body }: Dispatcher.ResponseData): Promise<Buffer> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    size += part.length
    if (size > MAX_ANSWER_BYTES) throw new AttemptFailed(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** Waits for the first event, so that a stream that begins with an error, or with nothing, is still another provider's to answer. */
async function begunStream({ body }: Dispatcher.ResponseData): Promise<AsyncGenerator<Uint8Array>> {
  const events = wholeEvents(body as AsyncIterable<Buffer>)
  const first = await events.next()
  if (first.done) throw new AttemptFailed('its stream ended before the first event', { broken: true })
  const fault = faultOfFirst(first.value)
  if (fault !== undefined) {
    await events.return(undefined)
    throw new AttemptFailed(fault)
  }
  return resume(first.value, events)
}

function faultOfFirst(bytes: Uint8Array): string | undefined {
  const data = /^data: ?(.*)$/m.exec(Buffer.from(bytes).toString('utf8'))?.[1]
  if (data === undefined || data === '[DONE]') return undefined
  try {
    const event = JSON.parse(data) as { error?: { message?: unknown } } | null
    if (event?.error === undefined) return undefined
    return `its stream began with an error: ${String(event.error.message ?? 'unnamed').slice(0, 300)}`
  } catch {
    return 'its stream began with an event that is not JSON'
  }
}

async function* wholeEvents(body: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
  const boundaries = new EventBoundaries()
  for await (const bytes of body) {
    const whole = boundaries.push(bytes)
    if (whole.length > 0) yield whole
  }
  if (boundaries.pending > 0) throw new AttemptFailed('its stream ended in the middle of an event', { broken: true })
}

async function* resume(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first
  yield* rest
}

function headerOf({ headers }: Dispatcher.ResponseData, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}
