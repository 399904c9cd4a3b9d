import { randomUUID } from 'node:crypto'
import type { Registry } from 'prom-client'
import type { Dispatcher } from 'undici'
import { bodyHash } from '../../../protocol/compute/receipt-text.ts'
import { counter, histogram, SECONDS } from '../../runtime/metrics.ts'
import { type Answer, AttemptFailed, attempt, type Call, Refused } from './attempt.ts'
import type { Config } from './config.ts'
import type { AttemptRecord, Decision, Decisions } from './decisions.ts'
import type { Directory } from './directory.ts'
import { GatewayError } from './errors.ts'
import type { Health } from './health.ts'
import type { Idempotency } from './idempotency.ts'
import { type Provider, type Ranking, rank } from './ranking.ts'
import type { Sessions } from './sessions.ts'
import type { User } from './users.ts'

/** A request as its client made it. */
export interface Request extends Call {
  user: User
  model: string
  /** Most units of output that it may take, as far as it says. */
  maxOutput: number | undefined
  /** Idempotency-Key. */
  key: string | undefined
}

/** An answer, and where it comes from. */
export interface Relayed {
  provider: Provider
  answer: Answer
}

export interface RelayOptions {
  config: Pick<Config, 'attempts' | 'firstByteMs' | 'answerMs' | 'stallMs' | 'latencyWeight' | 'maxInputPrice' | 'maxOutputPrice'>
  directory: Directory
  health: (address: string) => Health
  sessions: Sessions
  idempotency: Idempotency
  decisions: Decisions
  dispatcher: Dispatcher
  metrics: Registry
}

/** Bytes of a request that make a unit, and units that an answer has that is not limited: good enough to compare prices. */
const BYTES_A_UNIT = 4
const USUAL_OUTPUT = 512

/** Takes a request to the best provider, and to the next ones while no answer has begun. */
export class Relay {
  readonly #options: RelayOptions
  readonly #attempts
  readonly #firstByte

  constructor(options: RelayOptions) {
    this.#options = options
    const { metrics } = options
    this.#attempts = counter(metrics, {
      name: 'gateway_attempts_total',
      help: 'Requests to providers, by what came of them',
      labelNames: ['provider', 'outcome'],
    })
    this.#firstByte = histogram(metrics, {
      name: 'gateway_first_byte_seconds',
      help: 'From a request to a provider to the first byte of its answer',
      labelNames: ['provider'],
      buckets: SECONDS,
    })
  }

  /** Looks at who could answer, and writes down why. */
  decide(request: Request): { decision: Decision; ranking: Ranking } {
    const { directory, health, decisions, config } = this.#options
    const ranking = rank(directory.providers, health, {
      ...config,
      model: request.model,
      inputUnits: Math.ceil(request.body.length / BYTES_A_UNIT),
      outputUnits: request.maxOutput ?? USUAL_OUTPUT,
      time: directory.time(),
      now: performance.now(),
    })
    const decision: Decision = {
      id: randomUUID(),
      at: new Date().toISOString(),
      user: request.user.name,
      model: request.model,
      path: request.path,
      stream: request.stream,
      candidates: ranking.candidates.map(({ provider, score, expectedFee, latencyMs, resting }) => ({
        provider: provider.address,
        score,
        expectedFee: expectedFee.toString(),
        latencyMs: latencyMs ?? null,
        resting,
      })),
      passedOver: ranking.passedOver,
      attempts: [],
      outcome: 'pending',
    }
    return { decision: decisions.add(decision), ranking }
  }

  /**
   * @param gone aborts when the client has gone
   * @throws Refused when the request is at fault, GatewayError when nobody answers
   */
  async relay(request: Request, { decision, ranking }: { decision: Decision; ranking: Ranking }, gone: AbortSignal): Promise<Relayed> {
    const { config, idempotency } = this.#options
    if (ranking.candidates.length === 0) throw this.#nobody(request, decision)
    const requestHash = bodyHash(request.body)
    const id = request.key === undefined ? undefined : idempotency.idOf(request.user.name, request.path, request.key)
    const before = id === undefined ? undefined : await idempotency.find(id, requestHash)
    const order = ranking.candidates.map(({ provider }) => provider)
    // Where a repeated request was before, it may have been answered, and is charged only once.
    order.sort((a, b) => Number(b.address === before) - Number(a.address === before))

    const failures: AttemptFailed[] = []
    for (const provider of order.slice(0, config.attempts)) {
      if (id !== undefined) await idempotency.note(id, requestHash, provider.address)
      const outcome = await this.#tryProvider(provider, request, id ?? decision.id, decision, gone)
      if (!(outcome instanceof AttemptFailed)) return { provider, answer: outcome }
      failures.push(outcome)
    }
    decision.outcome = 'failed'
    throw exhausted(failures, decision)
  }

  /** Asks one provider, a second time if the connection broke or the session had ended. */
  async #tryProvider(provider: Provider, request: Request, idempotencyKey: string, decision: Decision, gone: AbortSignal): Promise<Answer | AttemptFailed> {
    const health = this.#options.health(provider.address)
    const first = await this.#tryOnce(provider, request, idempotencyKey, decision, gone)
    if (!(first instanceof AttemptFailed)) return first
    let last = first
    if (first.broken || first.status === 401) {
      const current = first.status === 401 ? await this.#newSession(provider, request.user) : provider
      const second = await this.#tryOnce(current, request, idempotencyKey, decision, gone)
      if (!(second instanceof AttemptFailed)) return second
      last = second
    }
    health.failed(performance.now(), last.retryAfter)
    return last
  }

  async #newSession(provider: Provider, { tokenId }: User): Promise<Provider> {
    const { directory, sessions } = this.#options
    sessions.forget(provider, tokenId)
    await directory.refresh()
    return directory.providers.find(({ address }) => address === provider.address) ?? provider
  }

  async #tryOnce(provider: Provider, request: Request, idempotencyKey: string, decision: Decision, gone: AbortSignal): Promise<Answer | AttemptFailed> {
    const { config, dispatcher, sessions, health } = this.#options
    const begun = performance.now()
    const note = (outcome: AttemptRecord['outcome'], reason?: string): number => {
      const ms = performance.now() - begun
      decision.attempts.push({ provider: provider.address, ms: Math.round(ms), outcome, ...(reason === undefined ? {} : { reason }) })
      this.#attempts.inc({ provider: provider.address, outcome })
      return ms
    }
    try {
      const authorization = await sessions.header(provider, request.user.tokenId)
      const answer = await attempt(provider, request, { ...config, authorization, idempotencyKey, dispatcher, signal: gone })
      const ms = note('answered')
      health(provider.address).answered(ms)
      this.#firstByte.observe({ provider: provider.address }, ms / 1000)
      return answer
    } catch (error) {
      if (error instanceof AttemptFailed) {
        note('failed', error.message)
        return error
      }
      if (error instanceof Refused) {
        note('refused', error.message)
        decision.outcome = 'refused'
        decision.provider = provider.address
      } else if (gone.aborted) decision.outcome = 'cancelled'
      throw error
    }
  }

  #nobody({ model }: Request, decision: Decision): GatewayError {
    decision.outcome = 'failed'
    const { directory } = this.#options
    const problem = directory.problem()
    const isServed = directory.providers.some(({ models }) => models.includes(model))
    if (!isServed && problem === undefined && directory.providers.every((provider) => provider.problem === undefined)) {
      return new GatewayError(404, 'model_not_found', `no provider serves ${model.slice(0, 100)}: see /v1/models`)
    }
    const reasons = decision.passedOver.map(({ provider, reason }) => `${provider}: ${reason}`)
    return new GatewayError(
      503,
      'no_provider',
      `no provider can be asked for ${model.slice(0, 100)}: ${[...(problem ? [problem] : []), ...reasons].join('; ') || 'there is none'}`,
      5,
    )
  }
}

/** What the client is told when every provider that was tried failed. */
function exhausted(failures: AttemptFailed[], decision: Decision): GatewayError {
  const reasons = decision.attempts.map(({ provider, reason }) => `${provider}: ${reason}`).join('; ')
  const wait = failures.flatMap(({ retryAfter }) => retryAfter ?? []).sort((a, b) => a - b)[0]
  const all = (status: number) => failures.every((failure) => failure.status === status)
  if (all(429)) return new GatewayError(429, 'rate_limit_exceeded', `every provider asks to wait: ${reasons}`, wait ?? 5)
  if (all(402)) return new GatewayError(402, 'insufficient_quota', `the sub-accounts at the providers do not suffice: ${reasons}`)
  return new GatewayError(502, 'providers_failed', `no provider answered: ${reasons}`, wait ?? 5)
}
