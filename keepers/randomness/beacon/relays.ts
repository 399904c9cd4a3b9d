import type { Registry } from 'prom-client'
import { z } from 'zod'
import { SIGNATURE_BYTES, verifyRound } from '../../../protocol/randomness/drand.ts'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import { type HttpResponse, http } from '../../../sdk/http.ts'
import { counter } from '../../runtime/metrics.ts'

/** An answer is some 300 bytes. */
const MAX_BYTES = 4096
/** For connecting, answering and all of the answer. */
const TIMEOUT_MS = 5000

/** Whose round it is, the signature shows. */
const Answer = z.object({ signature: z.string().regex(new RegExp(`^[0-9a-f]{${2 * SIGNATURE_BYTES}}$`, 'i')) })

export interface RelaysOptions {
  urls: readonly string[]
  /** Hash of the network, hex. */
  network: string
  /** Of the network, as the contract has it: hex of 128 bytes. */
  publicKey: string
  metrics: Registry
}

/** Relays of a drand network: any of them may be dead, late, or lie. */
export class Relays {
  readonly #options: RelaysOptions
  readonly #answers

  constructor(options: RelaysOptions) {
    this.#options = options
    this.#answers = counter(options.metrics, {
      name: 'relay_answers_total',
      help: 'Answers of relays by what they were worth',
      labelNames: ['relay', 'outcome'],
    })
  }

  /**
   * The signature of a round, hex of 64 bytes: all are asked, and the first that is right counts.
   * @throws PerigeeError NETWORK with what each of them answered when none is
   */
  async signatureOf(round: bigint, stop: AbortSignal): Promise<string> {
    const enough = new AbortController()
    const signal = AbortSignal.any([stop, enough.signal, AbortSignal.timeout(TIMEOUT_MS)])
    try {
      return await Promise.any(this.#options.urls.map((url) => this.#ask(url, round, signal)))
    } catch (error) {
      stop.throwIfAborted()
      throw new PerigeeError('NETWORK', `no relay has round ${round}`, { details: (error as AggregateError).errors.map((each) => reasonOf(each)) })
    } finally {
      enough.abort()
    }
  }

  async #ask(relay: string, round: bigint, signal: AbortSignal): Promise<string> {
    const { network, publicKey } = this.#options
    const count = (outcome: 'right' | 'wrong' | 'none') => this.#answers.inc({ relay, outcome })
    let text: string
    try {
      const response = await http(`${relay.replace(/\/$/, '')}/${network}/public/${round}`, { signal, retries: 0 })
      text = await boundedText(response)
      if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}`)
    } catch (error) {
      count('none')
      throw new Error(`${relay}: ${reasonOf(error)}`, { cause: error })
    }
    const signature = signatureIn(text)
    const isRight = signature !== undefined && verifyRound(publicKey, round, signature)
    count(isRight ? 'right' : 'wrong')
    if (!isRight) throw new Error(`${relay}: its answer is not the network's signature of this round`)
    return signature
  }
}

/** The signature that an answer has, or undefined. */
function signatureIn(text: string): string | undefined {
  try {
    return `0x${Answer.parse(JSON.parse(text)).signature}`
  } catch {
    return undefined
  }
}

async function boundedText({ body }: HttpResponse): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    size += part.length
    if (size > MAX_BYTES) throw new Error(`its answer is longer than ${MAX_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}
