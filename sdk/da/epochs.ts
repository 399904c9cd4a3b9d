import type { AssignmentEpoch } from '../../protocol/da/assignment.ts'
import type { MemberShare } from '../../protocol/da/shares.ts'
import { chainError } from '../contracts.ts'
import { PerigeeError } from '../errors.ts'
import type { AvailabilityContract } from './contracts.ts'

/** A signer in an epoch. */
export interface EpochMember extends MemberShare {
  /** Its place in the epoch. */
  index: number
  /** Of its registration. */
  id: number
  account: string
  /** BLS, in G1. */
  key: { x: bigint; y: bigint }
}

/** An epoch as the contract has it, in the shape that assignments are made from. */
export interface DaEpoch extends AssignmentEpoch {
  epoch: number
  /** Unix seconds. */
  startedAt: number
  aggregateKey: { x: bigint; y: bigint }
  members: EpochMember[]
}

/** Members read in one call. */
const PAGE = 128
/** Epochs kept: those whose certificates can still be made, and some that are read from. */
const KEPT = 8
/** Milliseconds for which an epoch is not looked at again: it changes only where the chain was reorganised. */
const FRESH = 5_000
/** Milliseconds for which a signer's address is believed. */
const URL_FRESH = 60_000

/** Reads epochs, each once, and where their signers serve. */
export class EpochReader {
  readonly #contracts: Pick<AvailabilityContract, 'epochs' | 'signers'>
  readonly #kept = new Map<number, { checkedAt: number; epoch: Promise<DaEpoch> }>()
  readonly #urls = new Map<number, { readAt: number; url: Promise<string> }>()

  constructor(contracts: Pick<AvailabilityContract, 'epochs' | 'signers'>) {
    this.#contracts = contracts
  }

  /** The epoch that certificates are made in now. @throws PerigeeError NOT_FOUND before the first */
  async current(): Promise<DaEpoch> {
    const number = Number(await asked(this.#contracts.epochs.currentEpoch()))
    if (number > 0) return this.epoch(number)
    throw new PerigeeError('NOT_FOUND', 'no epoch has begun', { wayOut: 'It begins when enough signers have registered and one of them advances it.' })
  }

  /** @throws PerigeeError NOT_FOUND for one that the contract does not know, or no longer */
  async epoch(number: number): Promise<DaEpoch> {
    const kept = this.#kept.get(number)
    if (kept && Date.now() - kept.checkedAt < FRESH) return kept.epoch
    const entry = { checkedAt: Date.now(), epoch: this.#look(number, kept?.epoch) }
    this.#kept.delete(number)
    this.#kept.set(number, entry)
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    entry.epoch.catch(() => this.#kept.get(number) === entry && this.#kept.delete(number))
    return entry.epoch
  }

  /** Where a signer serves, host:port. */
  async urlOf({ id }: Pick<EpochMember, 'id'>): Promise<string> {
    const kept = this.#urls.get(id)
    if (kept && Date.now() - kept.readAt < URL_FRESH) return kept.url
    const entry = { readAt: Date.now(), url: asked(this.#contracts.signers.getFunction('signer')(id)).then(({ url }) => url) }
    this.#urls.set(id, entry)
    entry.url.catch(() => this.#urls.get(id) === entry && this.#urls.delete(id))
    return entry.url
  }

  async #look(number: number, before: Promise<DaEpoch> | undefined): Promise<DaEpoch> {
    const { epochs } = this.#contracts
    const info = await asked(epochs.epochInfo(number))
    if (info.members === 0n) throw new PerigeeError('NOT_FOUND', `epoch ${number} is unknown, or so old that it is forgotten`)
    const known = await before?.catch(() => undefined)
    if (known && known.seed === info.seed && known.startedAt === Number(info.startedAt)) return known
    const pages = Array.from({ length: Math.ceil(Number(info.members) / PAGE) }, (_, page) => asked(epochs.members(number, page * PAGE, PAGE)))
    const members = (await Promise.all(pages)).flat().map(
      ({ id, account, weight, key, firstSlot }, index): EpochMember => ({
        index,
        id: Number(id),
        account,
        weight,
        key: { x: key.x, y: key.y },
        firstSlot: firstSlot.map(Number),
      }),
    )
    return {
      epoch: number,
      startedAt: Number(info.startedAt),
      seed: info.seed,
      totalWeight: info.totalWeight,
      codes: Number(info.codes),
      aggregateKey: { x: info.aggregateKey.x, y: info.aggregateKey.y },
      members,
    }
  }
}

const asked = <T>(call: Promise<T>): Promise<T> =>
  call.catch((error) => {
    throw chainError('reading epochs', error)
  })
