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

/**
 * The provider's service as the chain has it, and what time it is there. Answers are dated by the block that was the newest one when their
 * request was let in: the price version and the key limits in force are then the same for whoever judges them on chain, however long
 * the answer takes, and also where this machine's clock is wrong.
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
    return this.price === undefined ? `no price of ${this.#provider} is in force on chain` : undefined
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

  /** Unix seconds by which answers to requests of now are dated. */
  now(): number {
    return this.#head
  }

  /** Whether `time` (unix seconds) is over, by this machine's clock or the chain's. */
  isOver(time: number): boolean {
    return Math.max(Date.now() / 1000, this.#head) >= time
  }

  /** What requests of now pay; undefined while no price is in force. */
  get price(): Price | undefined {
    return this.#prices.findLast(({ effectiveAt }) => effectiveAt <= this.#head)
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
    // The version before the current one as well: the newest block that is known here may be a little older than the one that says which is current.
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
