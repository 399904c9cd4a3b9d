import { setTimeout as sleep } from 'node:timers/promises'
import { isCallException } from 'ethers'
import { type Dispatcher, request } from 'undici'
import { z } from 'zod'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import type { IInferenceServing, ITeeSignerRegistry } from '../../../typechain-types/index.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import type { Health } from './health.ts'
import type { Provider } from './ranking.ts'

/** Services that the contract lists at once, at most. */
const PAGE = 50
const PROBE_MS = 5000

const Models = z.object({ data: z.array(z.looseObject({ id: z.string().min(1).max(256) })).max(10_000) })

export interface DirectoryOptions {
  chain: Chain
  inference: IInferenceServing
  registry: ITeeSignerRegistry
  /** Whose sub-accounts pay. */
  account: string
  /** Providers to look at; all when empty. */
  only: readonly string[]
  refreshMs: number
  health: (address: string) => Health
  /** @throws when the registry's word is not to be taken */
  trusted: () => Promise<void>
  /** Connects to providers. */
  dispatcher: Dispatcher
  log: Log
  signal: AbortSignal
}

type OnChain = Omit<Provider, 'models' | 'problem'>

/** The providers there are: what the chain says of each (price, standing, funds) and what each says itself (models). */
export class Directory {
  readonly #options: DirectoryOptions
  #providers: readonly Provider[] = []
  #trouble: string | undefined = 'the services are not read yet'
  #running = Promise.resolve()
  /** What has to be added to the clock of this machine to have the chain's, in seconds. */
  #offset = 0

  constructor(options: DirectoryOptions) {
    this.#options = options
  }

  get providers(): readonly Provider[] {
    return this.#providers
  }

  /** Unix seconds by the chain's clock, which is the one that attestations end by. */
  time(): number {
    return Date.now() / 1000 + this.#offset
  }

  /** Why what is known may be out of date, or undefined. */
  problem(): string | undefined {
    return this.#trouble
  }

  async start(): Promise<void> {
    await this.refresh()
    this.#running = this.#loop()
  }

  /** Resolves when nothing is asked any more, once the signal has said to stop. */
  stopped(): Promise<void> {
    return this.#running
  }

  async refresh(): Promise<void> {
    const { log, signal } = this.#options
    let onChain: OnChain[]
    try {
      await this.#options.trusted()
      onChain = await this.#readChain()
      if (this.#trouble !== undefined) log.info({ providers: onChain.length }, 'the services are read')
      this.#trouble = undefined
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof PerigeeError) {
        this.#providers = []
        this.#trouble = reasonOf(error)
        return
      }
      // What was known still helps: prices change with notice, and a provider refuses what the chain no longer allows.
      const reason = `the services can't be read: ${shortMessage(error)}`
      if (this.#trouble !== reason) log.warn({ err: error }, 'the services could not be read')
      this.#trouble = reason
      onChain = [...this.#providers]
    }
    const before = new Map(this.#providers.map((provider) => [provider.address, provider]))
    this.#providers = await Promise.all(onChain.map((provider) => this.#ask(provider, before.get(provider.address))))
  }

  async #loop(): Promise<void> {
    const { refreshMs, signal } = this.#options
    while (!signal.aborted) {
      await sleep(refreshMs, undefined, { signal }).catch(() => {})
      if (!signal.aborted) await this.refresh()
    }
  }

  async #readChain(): Promise<OnChain[]> {
    const { chain, inference, only } = this.#options
    this.#offset = (await chain.head()).timestamp - Date.now() / 1000
    const services = []
    for (let offset = 0, total = 1; offset < total; offset += PAGE) {
      const page = await inference.getAllServices(offset, PAGE)
      services.push(...page.services)
      total = Number(page.total)
    }
    const wanted = only.length === 0 ? services : services.filter(({ provider }) => only.includes(provider))
    return Promise.all(
      wanted.map(async ({ provider, url, inputPrice, outputPrice, teeSignerAddress, teeSignerAcknowledged }) => {
        const [attestedUntil, funds] = await Promise.all([this.#options.registry.attestedUntil(teeSignerAddress), this.#funds(provider)])
        const base = url.replace(/\/+$/, '')
        const standing = { signer: teeSignerAddress, attestedUntil: Number(attestedUntil), acknowledged: teeSignerAcknowledged }
        return { address: provider, url: base, inputPrice, outputPrice, ...standing, ...funds }
      }),
    )
  }

  async #funds(provider: string): Promise<{ free: bigint | undefined; generation: number }> {
    try {
      const { balance, pendingRefund, generation } = await this.#options.inference.getAccount(this.#options.account, provider)
      return { free: balance - pendingRefund, generation: Number(generation) }
    } catch (error) {
      // The contract refuses to describe a sub-account that is not there.
      if (isCallException(error)) return { free: undefined, generation: 0 }
      throw error
    }
  }

  /** Asks a provider for its models, which also shows whether and how fast it answers. */
  async #ask(provider: OnChain, before: Provider | undefined): Promise<Provider> {
    const { dispatcher, health, signal } = this.#options
    const state = health(provider.address)
    const begun = performance.now()
    try {
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)])
      const { statusCode, body } = await request(`${provider.url}/v1/models`, { dispatcher, signal: timeout })
      const answer = await body.json()
      if (statusCode !== 200) throw new Error(`HTTP ${statusCode}`)
      const models = Models.parse(answer).data.map(({ id }) => id)
      // A probe is no answer: it counts only until there is one.
      state.latencyMs ??= performance.now() - begun
      return { ...provider, models, problem: undefined }
    } catch (error) {
      const reason = error instanceof z.ZodError ? 'its list of models is none' : reasonOf(error)
      return { ...provider, models: before?.models ?? [], problem: `it does not answer: ${reason}` }
    }
  }
}
