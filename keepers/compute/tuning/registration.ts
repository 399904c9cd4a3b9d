import { id } from 'ethers'
import type { CollateralSource } from '../../../sdk/attestation/collateral-source.ts'
import { ensureRegistered } from '../../../sdk/attestation/register.ts'
import type { Tee } from '../../../sdk/attestation/tee.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { decodeRevert } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Serving } from './serving.ts'

/** What a service says of itself on chain. */
export interface ServiceTerms {
  url: string
  /** Wei. */
  pricePerToken: bigint
  /** Names. */
  models: readonly string[]
}

export interface RegistrationOptions {
  chain: Chain
  tee: Tee
  serving: Serving
  /** Address of the TeeSignerRegistry. */
  registry: string
  source: CollateralSource
  sender: Sender
  /** What to register on chain; undefined when the operator does that. */
  service: (() => ServiceTerms) | undefined
  log: Log
}

/** What this machine trains on is said by the models; the quota of the public SDK is not used by anyone. */
const QUOTA = { cpuCount: 0, nodeMemory: 0, gpuCount: 0, nodeStorage: 0, gpuType: '' }

/** Arguments of addOrUpdateService. */
type ServiceArguments = [url: string, quota: typeof QUOTA, pricePerToken: bigint, occupied: boolean, models: string[], signer: string]

/** Sees to it that the chain attests the signer, before and again before that ends, and that it knows the service. */
export class Registration {
  readonly #options: RegistrationOptions
  #trouble: string | undefined = 'not registered yet'

  constructor(options: RegistrationOptions) {
    this.#options = options
  }

  /** Why the chain may not know the service: the last attempt failed, or there was none yet. */
  problem(): string | undefined {
    return this.#trouble
  }

  /** Does what is missing; harmless to repeat. */
  async ensure(): Promise<void> {
    const { tee, serving, registry, chain, source, sender, service, log } = this.#options
    try {
      const { signer } = serving
      const { until, renewed } = await ensureRegistered({ tee, signer, registry, provider: chain.provider, send: (call) => sender.send(call), source })
      if (renewed) log.info({ signer, until: new Date(until * 1000).toISOString() }, 'the registry attests the signer')
      if (service) await this.#ensureService(service())
      this.#trouble = undefined
    } catch (error) {
      this.#trouble = `registering failed: ${shortMessage(error)}`
      log.warn({ err: error }, 'registering on chain failed: trying again')
    }
  }

  async #ensureService({ url, pricePerToken, models }: ServiceTerms): Promise<void> {
    const { serving, sender, chain, log } = this.#options
    const current = await serving.service()
    const same =
      current?.url === url && current.pricePerToken === pricePerToken && current.teeSignerAddress === serving.signer && current.models.join() === models.join()
    if (same) return
    const args: ServiceArguments = [url, QUOTA, pricePerToken, false, [...models], serving.signer]
    const to = await serving.contract.getAddress()
    const data = serving.contract.interface.encodeFunctionData('addOrUpdateService', args)
    const value = current ? 0n : await this.#missingStake(args)
    const { number } = await chain.head()
    await sender.send({ key: `service ${id(data)} at ${number}`, to, data, value })
    log.info({ url, pricePerToken: pricePerToken.toString(), models }, 'the service is registered')
  }

  /** Wei that the bond lacks: what an earlier service left in it still counts, and the contract knows it. */
  async #missingStake(args: ServiceArguments): Promise<bigint> {
    const { serving, sender } = this.#options
    try {
      await serving.contract.addOrUpdateService.staticCall(...args, { from: sender.address })
      return 0n
    } catch (cause) {
      const { error, args: found } = decodeRevert(cause, [serving.contract.interface])
      if (error !== 'InsufficientStake') throw cause
      const [provided, required] = found as [bigint, bigint]
      return required - provided
    }
  }
}
