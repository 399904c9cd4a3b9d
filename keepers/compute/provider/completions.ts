import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import { feeOf } from '../../../protocol/compute/receipt.ts'
import { specHash } from '../../../protocol/compute/spec.ts'
import { ruleName, unitsOf } from '../../../protocol/compute/units.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, histogram, SECONDS } from '../../runtime/metrics.ts'
import type { Access, Bearer } from './access.ts'
import { type Backend, BackendError, type BackendResponse, type Endpoint } from './backends/backend.ts'
import { ApiError, unavailable, upstreamFailed } from './errors.ts'
import type { Journal } from './journal.ts'
import { bounded, type LimitOptions } from './limits.ts'
import type { Models } from './models.ts'
import { Outlet } from './outlet.ts'
import { type Job, understand } from './question.ts'
import type { Claim, Replay, Replays } from './replays.ts'
import type { Slots } from './slots.ts'
import type { Spender } from './spend.ts'
import type { Price, Terms } from './terms.ts'

export interface CompletionOptions extends LimitOptions {
  access: Access
  backend: Backend
  models: Models
  journal: Journal
  replays: Replays
  slots: Slots
  terms: Terms
  provider: string
  /** Why requests can't be taken now, or undefined. */
  problem: () => string | undefined
  deadlineMs: number
  /** How long a client may take nothing of its answer. */
  stallMs: number
  /** Read from the backend after the client has gone. */
  drainBytes: number
  idempotencyMs: number
  log: Log
  metrics: Registry
}

/** What an answer is charged by. */
interface Deal {
  /** Unix seconds, by the chain's clock. */
  createdAt: number
  price: Price
}

type Agreed = Deal & Spender

/** Sends the end of an answer. */
type Finish = () => FastifyReply | undefined

/** What the client is to get last, and may have only once the answer is on record. */
interface Held {
  last: Uint8Array
  responseHash: string
  body: Uint8Array | undefined
}

/** Longer answers are not kept for repetitions. */
const MAX_REPLAY_BYTES = 4 * 1024 * 1024
const DONE = Buffer.from('data: [DONE]')
const LF = 10

/** From a request to its answer: admitted, worked on, metered, signed, recorded, and only then complete for the client. */
export class Completions {
  readonly #options: CompletionOptions
  readonly #outcomes
  readonly #duration

  constructor(options: CompletionOptions) {
    this.#options = options
    const { metrics } = options
    this.#outcomes = counter(metrics, {
      name: 'answers_total',
      help: 'Requests let in, by how they ended: answered, abandoned (by the client, and charged), failed (by the backend, and free), replayed',
      labelNames: ['endpoint', 'outcome'],
    })
    this.#duration = histogram(metrics, {
      name: 'answer_duration_seconds',
      help: 'From admission to the last byte',
      labelNames: ['endpoint'],
      buckets: SECONDS,
    })
  }

  /** @throws ApiError while nothing was sent */
  async answer(endpoint: Endpoint, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    const { access, replays, stallMs } = this.#options
    const bearer = access.authenticate(request.headers.authorization)
    const reason = this.#options.problem()
    if (reason !== undefined) throw unavailable(`this provider can't answer now: ${reason}`, 5)
    const job = await understand(endpoint, request, this.#options)
    const outlet = new Outlet(reply.raw, stallMs)

    let claim: Claim | undefined
    if (job.idempotencyKey !== undefined) {
      await access.check(bearer)
      const found = await replays.claim(bearer.address, job.idempotencyKey, job.requestHash, outlet.left)
      if ('body' in found) return this.#replay(job, found, reply)
      claim = found
    }
    // What was set aside is given back before the client can know that it has its answer, and ask the next question.
    let finish: Finish
    try {
      finish = await this.#admitted(job, bearer, outlet, reply)
    } finally {
      claim?.release()
    }
    return finish()
  }

  async #admitted(job: Job, bearer: Bearer, outlet: Outlet, reply: FastifyReply): Promise<Finish> {
    const { access, slots } = this.#options
    // Before the chain is asked: what it then says of the account is at least as new.
    const deal = this.#deal()
    const { release, ...spender } = await access.admit(bearer, job.model.id, feeOf(job.most, deal.price))
    try {
      const leave = await slots.enter(bearer.address, outlet.left)
      const stop = this.#duration.startTimer({ endpoint: job.endpoint })
      try {
        return await this.#work(job, { ...deal, ...spender }, outlet, reply)
      } finally {
        stop()
        leave()
      }
    } finally {
      release()
    }
  }

  #deal(): Deal {
    const { terms } = this.#options
    const { price } = terms
    if (!price) throw unavailable('no price is in force', 5)
    return { createdAt: terms.now(), price }
  }

  async #work(job: Job, terms: Agreed, outlet: Outlet, reply: FastifyReply): Promise<Finish> {
    const { backend, deadlineMs, log } = this.#options
    const giveUp = new AbortController()
    const late = () => giveUp.abort(new ApiError(504, 'deadline_exceeded', `no answer within ${deadlineMs} ms; you are not charged`))
    const deadline = setTimeout(late, deadlineMs)
    try {
      const { endpoint, model, contentType, body, json, stream } = job
      const response = await backend.complete({ endpoint, model: model.id, contentType, body, json, stream }, giveUp.signal)
      const held = await this.#deliver(job, response, outlet, reply, giveUp)
      await this.#record(job, terms, response, held)
      this.#outcomes.inc({ endpoint, outcome: outlet.left.aborted ? 'abandoned' : 'answered' })
      if (!job.stream) return () => reply.headers(this.#headers(job, response.contentType)).send(held.last)
      return () => outlet.end(held.last)
    } catch (cause) {
      const error = toApiError(giveUp.signal.aborted ? giveUp.signal.reason : cause)
      this.#outcomes.inc({ endpoint: job.endpoint, outcome: 'failed' })
      if (error.status >= 500) log.warn({ err: error.cause ?? error, id: job.id, model: job.model.id }, 'an answer failed')
      if (!reply.sent) throw error
      // Too late for a status: the stream says it, and ends without [DONE].
      return () => outlet.end(Buffer.from(`data: ${JSON.stringify(error.body)}\n\n`))
    } finally {
      clearTimeout(deadline)
    }
  }

  /** Passes a stream on, up to its end mark; gathers anything else. */
  async #deliver(job: Job, response: BackendResponse, outlet: Outlet, reply: FastifyReply, giveUp: AbortController): Promise<Held> {
    const hash = createHash('sha256')
    const kept: Uint8Array[] = []
    const { drainBytes } = this.#options
    const keepsAll = !job.stream || job.idempotencyKey !== undefined
    let last: Uint8Array = new Uint8Array()
    let drained = 0
    for await (const piece of response.body) {
      hash.update(piece)
      if (keepsAll) kept.push(piece)
      if (!job.stream) continue
      if (!outlet.begun && !reply.sent) {
        reply.hijack()
        outlet.begin({ ...(reply.getHeaders() as Record<string, string>), ...this.#headers(job, response.contentType) })
      }
      await outlet.write(last)
      const end = endMark(piece)
      last = piece.subarray(end)
      await outlet.write(piece.subarray(0, end))
      if (!outlet.left.aborted) continue
      drained += piece.length
      if (drained > drainBytes) {
        giveUp.abort(new ApiError(502, 'abandoned', `the client has gone, and the answer has more than ${drainBytes} further bytes`))
        giveUp.signal.throwIfAborted()
      }
    }
    const body = keepsAll ? Buffer.concat(kept) : undefined
    return { last: job.stream ? last : body!, responseHash: `0x${hash.digest('hex')}`, body }
  }

  async #record(job: Job, { user, tokenId, epoch, createdAt, price }: Agreed, response: BackendResponse, { responseHash, body }: Held): Promise<void> {
    const { journal, idempotencyMs } = this.#options
    const { id, model, rule, most, requestHash, idempotencyKey } = job
    const units = bounded(unitsOf(rule, response.usage()), most)
    const replay =
      idempotencyKey !== undefined && body !== undefined && body.length <= MAX_REPLAY_BYTES
        ? { key: idempotencyKey, content_type: response.contentType, body, expires_at: Date.now() + idempotencyMs }
        : undefined
    await journal.append({
      ...units,
      id,
      createdAt,
      price,
      user,
      tokenId,
      epoch,
      requestHash,
      responseHash,
      model: model.id,
      specHash: specHash(model.spec),
      seed: response.seed,
      unitsRule: ruleName(rule),
      replay,
    })
  }

  #replay(job: Job, { answer, contentType, body }: Replay, reply: FastifyReply): FastifyReply {
    this.#outcomes.inc({ endpoint: job.endpoint, outcome: 'replayed' })
    return reply.headers({ ...this.#headers({ ...job, id: answer }, contentType), 'idempotent-replayed': 'true' }).send(Buffer.from(body))
  }

  #headers({ id, stream }: Job, contentType: string): Record<string, string> {
    return {
      'content-type': contentType,
      'zg-res-key': id,
      provider: this.#options.provider,
      // The bytes are hashed: nothing on the way may change them.
      'cache-control': 'no-cache, no-transform',
      ...(stream && { 'x-accel-buffering': 'no' }),
    }
  }
}

/** Where the mark at which clients take a stream for complete begins in a piece; its length without one. */
function endMark(piece: Uint8Array): number {
  const at = Buffer.from(piece.buffer, piece.byteOffset, piece.length).lastIndexOf(DONE)
  return at === 0 || (at > 0 && piece[at - 1] === LF) ? at : piece.length
}

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  if (!(error instanceof BackendError)) return upstreamFailed('the answer could not be made', error)
  const { status, code, message, retryAfter, forClient } = error
  if (code === 'rejected') return new ApiError(status, 'invalid_request', message)
  if (code === 'unsupported') return new ApiError(status, 'endpoint_not_supported', message)
  if (code === 'overloaded') return unavailable(message, retryAfter ?? 5)
  const told = forClient ? message : `the model failed (${code})`
  return new ApiError(status, `upstream_${code.replaceAll('-', '_')}`, `${told}; you are not charged`, {
    cause: error,
    ...(status === 503 && { retryAfter: 30 }),
  })
}
