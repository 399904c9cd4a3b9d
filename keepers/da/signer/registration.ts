import { type BlsKey, provePossession } from '../../../protocol/da/bls.ts'
import type { CertificateDomain } from '../../../protocol/da/certificate.ts'
import type { DaContracts } from '../../../sdk/da/contracts.ts'
import type { IBonds } from '../../../typechain-types/index.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import type { Sender } from '../../runtime/sender.ts'

export interface RegistrationOptions {
  chain: Chain
  signers: DaContracts['signers']
  /** Address of DataAvailability. */
  contract: string
  /** Address of AvailabilityChallenges. */
  challenges: string
  bonds: IBonds
  /** Address of Bonds. */
  bondsAddress: string
  sender: Sender
  bls: BlsKey
  domain: CertificateDomain
  /** Wei to have bonded; the least that is allowed when undefined. */
  stake: bigint | undefined
  /** Where we serve, host:port; known once we listen. */
  url: () => string
  log: Log
}

/** Sees to it that the chain knows us: stake, registration, where we serve, and that we take part. */
export class Registration {
  readonly #options: RegistrationOptions
  #id = 0
  #looked = false
  #trouble: string | undefined = 'not registered yet'

  constructor(options: RegistrationOptions) {
    this.#options = options
  }

  /** Of our registration; 0 before. */
  get id(): number {
    return this.#id
  }

  problem(): string | undefined {
    return this.#trouble
  }

  /** Does what is missing; harmless to repeat. */
  async ensure(): Promise<void> {
    try {
      await this.#ensure()
      this.#trouble = undefined
    } catch (error) {
      const reason = shortMessage(error)
      if (this.#trouble !== `registering failed: ${reason}`) this.#options.log.warn({ err: error }, 'registering on chain failed: trying again')
      this.#trouble = `registering failed: ${reason}`
    }
  }

  async #ensure(): Promise<void> {
    const { signers, sender, bls, domain, url } = this.#options
    this.#id = Number(await signers.signerIdOf(sender.address))
    const known = this.#id === 0 ? undefined : await signers.getFunction('signer')(this.#id)
    // Stake that was taken is not replaced while it still suffices: the operator should hear of it first.
    if (!this.#looked || !known?.active) await this.#ensureStake()
    this.#looked = true
    if (!known) {
      const { key, keyG2, proof, counter, y } = provePossession(bls, domain, sender.address)
      await this.#send('register', signers.interface.encodeFunctionData('register', [key, keyG2, proof, counter, y, url()]))
      this.#id = Number(await signers.signerIdOf(sender.address))
      return
    }
    if (known.url !== url()) await this.#send('change the url', signers.interface.encodeFunctionData('setUrl', [url()]))
    if (!known.active) await this.#send('join', signers.interface.encodeFunctionData('join'))
  }

  async #ensureStake(): Promise<void> {
    const { chain, signers, challenges, bonds, bondsAddress, sender, stake, log } = this.#options
    const [id, delay, least] = await Promise.all([signers.bondIdOf(sender.address), signers.bondDelay(), signers.minStake()])
    const [bonded, wanted] = [await bonds.bonded(id), stake ?? least]
    if (bonded >= wanted) return
    const value = wanted - bonded
    // By the day, so that a crash does not bond twice and what is taken later can still be replaced.
    const day = Math.floor((await chain.head()).timestamp / 86_400)
    const data = bonds.interface.encodeFunctionData('bond', [sender.address, [challenges], delay])
    await sender.send({ key: `bond ${value} on ${bonded} on day ${day}`, to: bondsAddress, data, value })
    log.info({ wei: String(wanted) }, 'stake is bonded')
  }

  async #send(what: string, data: string): Promise<void> {
    const { chain, contract, sender, url, log } = this.#options
    const { number } = await chain.head()
    await sender.send({ key: `${what} at block ${number}`, to: contract, data })
    log.info({ account: sender.address, url: url() }, `${what}: done`)
  }
}
