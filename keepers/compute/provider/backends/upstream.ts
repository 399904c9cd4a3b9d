import type { Readable } from 'node:stream'
import { Agent, request as send } from 'undici'
import { z } from 'zod'
import type { ModelSpec } from '../../../../protocol/compute/spec.ts'
import { type Backend, BackendError, type BackendRequest, type BackendResponse, type Endpoint, type Model } from './backend.ts'
import { EventStream } from './event-stream.ts'
import { withMembers } from './json-body.ts'
import { usageOfAnswer } from './usage.ts'

export interface UpstreamOptions {
  /** Base URL up to and including /v1, without a slash at its end. */
  url: string
  /** API key, where it wants one. */
  key?: string | undefined
  /** Models to serve; all that it lists when empty. */
  models: readonly string[]
  /** What the operator knows better than the upstream says. */
  spec?: Partial<ModelSpec> | undefined
  timeouts: UpstreamTimeouts
}

/** In ms. */
export interface UpstreamTimeouts {
  connect: number
  /** To the head of the answer; of one that is not streamed, to its end. */
  firstByte: number
  /** Between two pieces of an answer. */
  idle: number
}

/** Everything but a file may be asked of any upstream: it knows best what its models can. */
const ENDPOINTS: readonly Endpoint[] = ['chat/completions', 'completions', 'embeddings', 'images/generations', 'images/edits', 'audio/transcriptions']
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
const MAX_ERROR_BYTES = 65_536
/** How long a list of models counts, in ms. */
const MODELS_TTL = 60_000

const listed = z.object({
  data: z.array(
    z.object({
      id: z.string().min(1),
      root: z.string().nullish(),
      owned_by: z.string().nullish(),
      max_model_len: z.int().positive().nullish(),
      context_length: z.int().positive().nullish(),
      max_completion_tokens: z.int().positive().nullish(),
    }),
  ),
})

/** Answers come from an OpenAI-compatible server: vLLM, llama.cpp, Ollama, a public API … */
export function createUpstream(options: UpstreamOptions): Backend {
  return new Upstream(options)
}

class Upstream implements Backend {
  readonly kind = 'upstream'
  readonly #options: UpstreamOptions
  readonly #agent: Agent
  #models: { at: number; list: Promise<readonly Model[]> } | undefined
  #trouble: string | undefined

  constructor(options: UpstreamOptions) {
    this.#options = options
    const { connect, firstByte, idle } = options.timeouts
    this.#agent = new Agent({ connect: { timeout: connect }, headersTimeout: firstByte, bodyTimeout: idle })
  }

  problem(): string | undefined {
    return this.#trouble
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  models(): Promise<readonly Model[]> {
    const known = this.#models
    if (known && Date.now() - known.at < MODELS_TTL) return known.list
    const list = this.#list().catch((error) => {
      if (!known) this.#models = undefined
      else return known.list // what it served a minute ago it will serve again
      throw error
    })
    this.#models = { at: Date.now(), list }
    return list
  }

  async complete(request: BackendRequest, signal: AbortSignal): Promise<BackendResponse> {
    const wantsUsage = request.json !== undefined && includesUsage(request.json)
    const body = request.json ? withMembers(request.body, request.json, this.#changes(request, wantsUsage)) : request.body
    const response = await this.#send('POST', request.endpoint, { body, contentType: request.contentType, signal })
    const contentType = String(response.headers['content-type'] ?? '')
    const seed = seedOf(request.json)
    const pieces = this.#piecesOf(response.body, signal)
    if (!request.stream) {
      const bytes = await readAll(pieces, MAX_ANSWER_BYTES)
      const usage = usageOfAnswer(request.endpoint, parseAnswer(bytes))
      return { status: response.statusCode, contentType, body: once(bytes), usage: () => usage, seed }
    }
    if (!contentType.startsWith('text/event-stream')) {
      response.body.on('error', () => {}).destroy()
      throw this.#troubled(new BackendError('garbage', `asked for a stream, the upstream answered ${contentType || 'without a content type'}`))
    }
    const events = new EventStream({ bytes: pieces, wantsUsage })
    return { status: response.statusCode, contentType, body: await begun(events), usage: () => events.usage(), seed }
  }

  #changes({ json, model, stream }: BackendRequest, wantsUsage: boolean): Record<string, unknown> {
    return {
      ...(json!.model !== model && { model }),
      ...(stream && !wantsUsage && { stream_options: { ...(json!.stream_options as object | undefined), include_usage: true } }),
    }
  }

  async #list(): Promise<readonly Model[]> {
    const response = await this.#send('GET', 'models', {})
    const bytes = await readAll(this.#piecesOf(response.body), MAX_ANSWER_BYTES)
    const { success, data, error } = listed.safeParse(parseAnswer(bytes))
    if (!success) throw this.#troubled(new BackendError('garbage', `the upstream's list of models is not one: ${error.issues[0]!.message}`))
    const { models: wanted, spec } = this.#options
    const missing = wanted.filter((id) => !data.data.some((model) => model.id === id))
    if (missing.length > 0) throw this.#troubled(new BackendError('misconfigured', `the upstream does not list ${missing.join(', ')}`))
    return data.data
      .filter(({ id }) => wanted.length === 0 || wanted.includes(id))
      .map(({ id, root, owned_by, max_model_len, context_length, max_completion_tokens }) => ({
        id,
        endpoints: ENDPOINTS,
        spec: {
          // Nobody can check what is behind a URL: it is marked as hearsay unless the operator answers for it.
          weights: spec?.weights ?? `reported:${root ?? id}`,
          tokenizer: spec?.tokenizer ?? 'unknown',
          template: spec?.template ?? 'unknown',
          engine: spec?.engine ?? (owned_by ? `reported:${owned_by}` : 'unknown'),
          dtype: spec?.dtype ?? 'unknown',
        },
        contextLength: max_model_len ?? context_length ?? undefined,
        maxCompletionTokens: max_completion_tokens ?? undefined,
        ownedBy: owned_by ?? undefined,
      }))
  }

  async #send(method: 'GET' | 'POST', path: string, { body, contentType, signal }: { body?: Uint8Array; contentType?: string; signal?: AbortSignal }) {
    const { url, key } = this.#options
    const headers = {
      'accept-encoding': 'identity',
      ...(contentType && { 'content-type': contentType }),
      ...(key && { authorization: `Bearer ${key}` }),
    }
    const attempt = () => send(`${url}/${path}`, { method, headers, body: body ?? null, signal: signal ?? null, dispatcher: this.#agent })
    const response = await attempt()
      // A kept connection may have been closed by the other side just now; nothing was answered on it.
      .catch((error) => (isClosedSocket(error) && !signal?.aborted ? attempt() : Promise.reject(error)))
      .catch((error) => Promise.reject(this.#faultOf(error, signal)))
    if (response.statusCode < 300) {
      this.#trouble = undefined
      return response
    }
    const text = await readText(response.body)
    throw this.#refusal(response.statusCode, text, Number(response.headers['retry-after']) || undefined)
  }

  #refusal(status: number, text: string, retryAfter: number | undefined): BackendError {
    const reason = messageOf(text)
    if (status === 429 || status === 503) return new BackendError('overloaded', 'the model is busy: try again later', { cause: reason, retryAfter })
    if (status === 401 || status === 402 || status === 403) {
      return this.#troubled(new BackendError('misconfigured', `the upstream refuses this provider (HTTP ${status}): ${reason}`))
    }
    if (status >= 400 && status < 500) return new BackendError('rejected', reason, { status })
    return this.#troubled(new BackendError('died', `the upstream failed (HTTP ${status}): ${reason}`))
  }

  async *#piecesOf(body: Readable, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of body) yield piece as Uint8Array
    } catch (error) {
      throw this.#faultOf(error, signal)
    }
  }

  #faultOf(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return error
    const { code, message } = error as Error & { code?: string }
    const said = message || code
    if (code === 'UND_ERR_BODY_TIMEOUT')
      return this.#troubled(new BackendError('stalled', `the upstream fell silent for ${this.#options.timeouts.idle} ms`, { cause: error }))
    if (code === 'UND_ERR_HEADERS_TIMEOUT') {
      return this.#troubled(
        new BackendError('unreachable', `the upstream did not answer within ${this.#options.timeouts.firstByte} ms`, { cause: error, status: 504 }),
      )
    }
    if (code === 'UND_ERR_SOCKET' || message === 'terminated')
      return this.#troubled(new BackendError('died', `the upstream broke off: ${said}`, { cause: error }))
    return this.#troubled(new BackendError('unreachable', `the upstream cannot be reached: ${said}`, { cause: error }))
  }

  #troubled(error: BackendError): BackendError {
    this.#trouble = error.message
    return error
  }
}

const includesUsage = (json: Readonly<Record<string, unknown>>): boolean =>
  (json.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true

function seedOf(json: BackendRequest['json']): bigint {
  return Number.isSafeInteger(json?.seed) ? BigInt.asUintN(64, BigInt(json!.seed as number)) : 0n
}

const isClosedSocket = (error: { code?: string }): boolean => error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET' || error.code === 'EPIPE'

/** The stream once its first piece is there, so that a failure before it is an error with a status and not a broken stream. */
async function begun(pieces: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = pieces[Symbol.asyncIterator]()
  const first = await iterator.next()
  return (async function* () {
    try {
      if (first.done) return
      yield first.value
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  })()
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function readAll(pieces: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const piece of pieces) {
    parts.push(piece)
    size += piece.length
    if (size > limit) throw new BackendError('garbage', `the upstream's answer is longer than ${limit} bytes`)
  }
  return Buffer.concat(parts)
}

async function readText(body: Readable): Promise<string> {
  const bytes = await readAll(body, MAX_ERROR_BYTES).catch(() => new Uint8Array())
  return Buffer.from(bytes).toString()
}

function parseAnswer(bytes: Uint8Array): Record<string, unknown> {
  try {
    const answer: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof answer === 'object' && answer !== null) return answer as Record<string, unknown>
  } catch {
    // told below
  }
  throw new BackendError('garbage', 'the upstream answered what is not a JSON object')
}

/** The reason in an error's body: OpenAI's shape, or whatever text there is. */
function messageOf(text: string): string {
  try {
    const { error, message, detail } = JSON.parse(text)
    const reason = typeof error === 'string' ? error : (error?.message ?? message ?? detail)
    if (typeof reason === 'string' && reason !== '') return reason
  } catch {
    // not JSON: the text is the reason
  }
  return text.trim().slice(0, 300) || 'no reason given'
}
