import { id, isCallException, type Result } from 'ethers'
import type { CollateralSource } from '../../../sdk/attestation/collateral-source.ts'
import { ensureRegistered } from '../../../sdk/attestation/register.ts'
import type { Tee } from '../../../sdk/attestation/tee.ts'
import type { IInferenceServing } from '../../../typechain-types/index.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import type { Sender } from '../../runtime/sender.ts'

/** What a service says of itself on chain. */
export interface ServiceParams {
  serviceType: string
  url: string
  model: string
  verifiability: string
  /** wei a unit */
  inputPrice: bigint
  outputPrice: bigint
  /** JSON text. */
  additionalInfo: string
  teeSignerAddress: string
}

export interface RegistrationOptions {
  chain: Chain
  tee: Tee
  signer: string
  /** Address of the TeeSignerRegistry. */
  registry: string
  serving: IInferenceServing
  /** Address of InferenceServing. */
  inference: string
  source: CollateralSource | undefined
  sender: Sender
  /** What to register on chain; undefined when the operator does that. Asked each time: the backend may not have been up before. */
  service: (() => Promise<ServiceParams>) | undefined
  log: Log
}

/** Sees to it that the chain attests the signer, before and again before that ends, and that it knows the service. */
export class Registration {
  readonly #options: RegistrationOptions
  #trouble: string | undefined

  constructor(options: RegistrationOptions) {
    this.#options = options
  }

  /** Why the last attempt failed, or undefined. */
  problem(): string | undefined {
    return this.#trouble
  }

  /** Does what is missing; harmless to repeat. */
  async ensure(): Promise<void> {
    const { tee, signer, registry, chain, source, sender, service, log } = this.#options
    try {
      const { until, renewed } = await ensureRegistered({ tee, signer, registry, provider: chain.provider, send: (call) => sender.send(call), source })
      if (renewed) log.info({ signer, until: new Date(until * 1000).toISOString() }, 'the registry attests the signer')
      if (service) await this.#ensureService(await service())
      this.#trouble = undefined
    } catch (error) {
      this.#trouble = `registering failed: ${shortMessage(error)}`
      log.warn({ err: error }, 'registering on chain failed: trying again')
    }
  }

  async #ensureService(params: ServiceParams): Promise<void> {
    const { serving, inference, sender, log } = this.#options
    const exists = await serving.serviceExists(sender.address)
    const current = exists ? await serving.getService(sender.address) : undefined
    if (current && !(await this.#differs(params, current))) return
    const value = exists ? 0n : await this.#missingStake(params)
    const data = serving.interface.encodeFunctionData('addOrUpdateService', [params])
    await sender.send({ key: `service ${id(data)} after ${current?.updatedAt ?? 'none'}`, to: inference, data, value })
    log.info({ ...params, inputPrice: params.inputPrice.toString(), outputPrice: params.outputPrice.toString() }, 'the service is registered')
  }

  /** A rise of the price that was announced and is not yet in force is no difference. */
  async #differs(params: ServiceParams, current: Awaited<ReturnType<IInferenceServing['getService']>>): Promise<boolean> {
    const { serving, sender } = this.#options
    const texts = ['serviceType', 'url', 'model', 'verifiability', 'additionalInfo', 'teeSignerAddress'] as const
    if (texts.some((name) => params[name] !== current[name])) return true
    const { latest } = await serving.priceVersion(sender.address)
    const { inputPrice, outputPrice } = await serving.priceOf(sender.address, latest)
    return params.inputPrice !== inputPrice || params.outputPrice !== outputPrice
  }

  /** Wei that the bond lacks: one that an earlier service left still counts, and the contract knows it. */
  async #missingStake(params: ServiceParams): Promise<bigint> {
    const { serving, sender } = this.#options
    try {
      await serving.addOrUpdateService.staticCall(params, { from: sender.address })
      return 0n
    } catch (error) {
      if (!isCallException(error) || error.revert?.name !== 'InsufficientStake') throw error
      const { provided, required } = (error.revert.args as unknown as Result).toObject() as { provided: bigint; required: bigint }
      return required - provided
    }
  }
}
