import { advertisedRule, TOKENS, type UnitsRule } from '../../../protocol/compute/units.ts'
import type { ServiceStructOutput as Service } from '../../../typechain-types/contracts/compute/IInferenceServing.ts'
import type { IInferenceServing } from '../../../typechain-types/index.ts'

/** Wei a unit, from `effectiveAt` (unix seconds) until the next version takes effect. */
export interface Price {
  version: number
  inputPrice: bigint
  outputPrice: bigint
  effectiveAt: number
}

/** How far beyond the newest block (seconds) an answer may be dated: blocks of busy chains are never that old. */
const MAX_AHEAD = 120

/**
 * The provider's service as the chain has it, and what time it is there. Answers are dated by this clock, so that the price version and
 * the key limits in force are the same ones for whoever judges them on chain, also where this machine's clock is wrong.
 */
export class Terms {
  readonly #serving: IInferenceServing
  readonly #provider: string
  #head = 0
  #prices: Price[] = []
  #service: Service | undefined
  #rule: UnitsRule = TOKENS
  #loading: Promise<void> | undefined

  constructor(serving: IInferenceServing, provider: string) {
    this.#serving = serving
    this.#provider = provider
  }

  /** Why there is nothing to sell, or undefined. */
  problem(): string | undefined {
    if (this.#service === undefined) return `${this.#provider} has no service on chain: register one, or set autoRegister`
    return this.#prices.length === 0 ? `the service of ${this.#provider} has no price on chain` : undefined
  }

  /** How usage becomes units, as the service advertises it. */
  get rule(): UnitsRule {
    return this.#rule
  }

  get service(): Service | undefined {
    return this.#service
  }

  /** The newest block is of this time (unix seconds). A reorganisation may take it back. */
  at(timestamp: number): void {
    this.#head = timestamp
  }

  /** Unix seconds by which answers are dated. */
  now(): number {
    return Math.min(Math.max(Math.floor(Date.now() / 1000), this.#head), this.#head + MAX_AHEAD)
  }

  /** Whether `time` (unix seconds) is over, by this machine's clock or the chain's. */
  isOver(time: number): boolean {
    return Math.max(Date.now() / 1000, this.#head) >= time
  }

  /** @throws RangeError when no price was in force then */
  priceAt(time: number): Price {
    const price = this.#prices.findLast(({ effectiveAt }) => effectiveAt <= time)
    if (!price) throw new RangeError(`no price was in force at ${time}`)
    return price
  }

  /** The most that an answer to a request of now may cost: a price that is announced may be in force when it is complete. */
  mostExpensive(): Pick<Price, 'inputPrice' | 'outputPrice'> {
    const current = this.priceAt(this.now())
    const most = { inputPrice: 0n, outputPrice: 0n }
    for (const { inputPrice, outputPrice } of this.#prices.slice(this.#prices.indexOf(current))) {
      if (inputPrice > most.inputPrice) most.inputPrice = inputPrice
      if (outputPrice > most.outputPrice) most.outputPrice = outputPrice
    }
    return most
  }

  /** Asks the chain again; one question at a time. */
  load(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #load(): Promise<void> {
    const [serving, provider] = [this.#serving, this.#provider]
    if (!(await serving.serviceExists(provider))) {
      this.#service = undefined
      return
    }
    const [service, { current, latest }] = await Promise.all([serving.getService(provider), serving.priceVersion(provider)])
    // The version before the current one as well: this clock may be a little behind the one that says which is current.
    const first = current > 1n ? Number(current) - 1 : Number(current)
    const versions = Array.from({ length: Number(latest) - first + 1 }, (_, index) => first + index)
    const prices = await Promise.all(versions.map((version) => serving.priceOf(provider, version)))
    this.#prices = prices
      .map(({ inputPrice, outputPrice, effectiveAt }, index) => ({ version: versions[index]!, inputPrice, outputPrice, effectiveAt: Number(effectiveAt) }))
      .filter(({ effectiveAt }) => effectiveAt > 0)
    this.#rule = ruleOf(service.additionalInfo)
    this.#service = service
  }
}

/** What is no JSON advertises nothing: a token is a unit. */
function ruleOf(additionalInfo: string): UnitsRule {
  try {
    return advertisedRule(JSON.parse(additionalInfo || '{}'))
  } catch {
    return TOKENS
  }
}
