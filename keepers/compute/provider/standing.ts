import type { ITeeSignerRegistry } from '../../../typechain-types/index.ts'
import type { Terms } from './terms.ts'

/** Whether the chain takes what this provider signs: it is in the service's record, and attested. */
export class Standing {
  readonly #terms: Terms
  readonly #registry: ITeeSignerRegistry
  readonly #signer: string
  #attestedUntil = 0
  #refreshing: Promise<void> | undefined

  constructor({ terms, registry, signer }: { terms: Terms; registry: ITeeSignerRegistry; signer: string }) {
    this.#terms = terms
    this.#registry = registry
    this.#signer = signer
  }

  /** Unix seconds; 0 while it is not. */
  get attestedUntil(): number {
    return this.#attestedUntil
  }

  problem(): string | undefined {
    const unsold = this.#terms.problem()
    if (unsold !== undefined) return unsold
    const registered = this.#terms.service?.teeSignerAddress
    if (registered !== this.#signer)
      return `the service on chain names signer ${registered}, this enclave is ${this.#signer}: update the service, or set autoRegister`
    if (this.#terms.isOver(this.#attestedUntil)) return `the registry does not attest signer ${this.#signer}`
    return undefined
  }

  /** Asks the chain again; one question at a time. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const [until] = await Promise.all([this.#registry.attestedUntil(this.#signer), this.#terms.load()])
    this.#attestedUntil = Number(until)
  }
}
