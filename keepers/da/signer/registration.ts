import type { Kysely } from 'kysely'
import { type BlsKey, provePossession } from '../../../protocol/da/bls.ts'
import type { CertificateDomain } from '../../../protocol/da/certificate.ts'
import type { DaContracts } from '../../../sdk/da/contracts.ts'
import { type IBonds, IDAEpochs__factory } from '../../../typechain-types/index.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Tables } from './schema.ts'

export interface RegistrationOptions {
  db: Kysely<Tables>
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
  /** Take part again, once, though the account resigned. */
  join: boolean
  /** The last block that was read. */
  position: () => number
  /** Where we serve, host:port; known once we listen. */
  url: () => string
  log: Log
}

const ADVANCE = IDAEpochs__factory.createInterface().getFunction('advance').selector

/** Sees to it that the chain knows us: stake, registration, where we serve, and that we take part unless the account resigned. */
export class Registration {
  readonly #options: RegistrationOptions
  #id = 0
  #looked = false
  /** Whether a resignation is still to be taken back. */
  #joins: boolean
  #active = false
  #resigned = false
  /** A block in which we did not take part. */
  #inactiveAt: number | undefined
  #trouble: string | undefined = 'not registered yet'

  constructor(options: RegistrationOptions) {
    this.#options = options
    this.#joins = options.join
  }

  /** Of our registration; 0 before. */
  get id(): number {
    return this.#id
  }

  /** Whether we take part in epochs that begin from now on. */
  get active(): boolean {
    return this.#active
  }

  problem(): string | undefined {
    return this.#trouble
  }

  /** Does what is missing; harmless to repeat. */
  async ensure(): Promise<void> {
    try {
      this.#trouble = await this.#ensure()
    } catch (error) {
      const reason = shortMessage(error)
      if (this.#trouble !== `registering failed: ${reason}`) this.#options.log.warn({ err: error }, 'registering on chain failed: trying again')
      this.#trouble = `registering failed: ${reason}`
    }
  }

  /** What is waited for, if anything is. */
  async #ensure(): Promise<string | undefined> {
    const { signers, sender, url } = this.#options
    this.#id = Number(await signers.signerIdOf(sender.address))
    if (this.#id === 0) {
      await this.#register()
      return undefined
    }
    const known = await signers.getFunction('signer')(this.#id)
    this.#active = known.active
    if (known.url !== url()) await this.#send('change the url', signers.interface.encodeFunctionData('setUrl', [url()]))
    if (known.active) {
      this.#inactiveAt = undefined
      this.#joins = this.#resigned = false
      // Stake that was taken is not replaced while it still suffices: the operator should hear of it first.
      if (!this.#looked) await this.#ensureStake()
      this.#looked = true
      return undefined
    }
    if (!this.#joins) {
      this.#inactiveAt ??= (await this.#options.chain.head()).number
      if (this.#options.position() < this.#inactiveAt) return 'whether this signer resigned is not read yet'
      if (await this.#hasResigned()) return undefined
    }
    await this.#ensureStake()
    await this.#send('join', signers.interface.encodeFunctionData('join'))
    this.#active = true
    return undefined
  }

  async #register(): Promise<void> {
    const { signers, sender, bls, domain, url } = this.#options
    await this.#ensureStake()
    const { key, keyG2, proof, counter, y } = provePossession(bls, domain, sender.address)
    await this.#send('register', signers.interface.encodeFunctionData('register', [key, keyG2, proof, counter, y, url()]))
    this.#id = Number(await signers.signerIdOf(sender.address))
    this.#active = true
  }

  /**
   * A signer leaves when its account calls `resign`, or is dropped by whoever's call of `advance` finds its stake too small: events are the same. So the
   * transaction is looked at. Where it can't be told, it stays away: that can be undone, and what it signs after it left can't.
   */
  async #hasResigned(): Promise<boolean> {
    const { db, chain, contract, log } = this.#options
    const left = await db.selectFrom('departures').select('transaction').where('signer', '=', this.#id).orderBy('block', 'desc').executeTakeFirst()
    const transaction = left && (await chain.provider.getTransaction(left.transaction))
    if (left && !transaction)
      throw new Error(`the endpoint does not have the transaction ${left.transaction}, by which this signer left: start it with --join true to take part again`)
    const dropped = transaction?.to === contract && transaction.data.startsWith(ADVANCE)
    if (!dropped && !this.#resigned)
      log.warn(
        { id: this.#id, transaction: left?.transaction },
        'this signer has resigned: it serves what it signed and takes no part; to come back, start it with --join true',
      )
    this.#resigned = !dropped
    return this.#resigned
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
