import { createAssignment } from '../../../protocol/da/assignment.ts'
import type { DaContracts } from '../../../sdk/da/contracts.ts'
import { type DaEpoch, EpochReader } from '../../../sdk/da/epochs.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'

/** Our place in an epoch. */
export interface Place {
  epoch: DaEpoch
  member: number
}

/** For so long the number of the current epoch is believed, in ms. */
const FRESH_MS = 1000

/** Which epochs work is done for, and what is ours in them. */
export class Membership {
  readonly #contracts: Pick<DaContracts, 'epochs' | 'signers'>
  readonly #account: string
  #reader: EpochReader
  #current = 0
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<number> | undefined

  constructor(contracts: Pick<DaContracts, 'epochs' | 'signers'>, account: string) {
    this.#contracts = contracts
    this.#account = account
    this.#reader = new EpochReader(contracts)
  }

  /** @throws PerigeeError NOT_FOUND for one that did not begin */
  epoch(number: number): Promise<DaEpoch> {
    return this.#reader.epoch(number)
  }

  /** The number of the current epoch; 0 before the first. */
  async current(): Promise<number> {
    if (Date.now() - this.#readAt < FRESH_MS) return this.#current
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** Something happened on chain: the next look is at the chain itself. */
  forget(): void {
    this.#readAt = Number.NEGATIVE_INFINITY
  }

  /** The chain was reorganised: epochs may be others than they were. */
  forgetAll(): void {
    this.forget()
    this.#reader = new EpochReader(this.#contracts)
  }

  /** Our place in the current epoch or the one before. @throws GrpcError FAILED_PRECONDITION for others, and where we have none */
  async placeIn(number: number): Promise<Place> {
    if (number > (await this.current())) this.forget()
    const current = await this.current()
    if (number < 1 || number > current || number < current - 1)
      throw GrpcError.failedPrecondition(`the epoch is ${number}: blobs are stored and signed in the current one, ${current}, and the one before`)
    const epoch = await this.epoch(number).catch((error: unknown) => {
      if (error instanceof PerigeeError && error.code === 'NOT_FOUND') throw GrpcError.failedPrecondition(error.message)
      throw error
    })
    const place = this.#placeAmong(epoch)
    if (!place) throw GrpcError.failedPrecondition(`${this.#account} is no member of epoch ${number}`)
    return place
  }

  /** Our place in an epoch, however old, if it is known and we have one. */
  async findPlace(number: number): Promise<Place | undefined> {
    const epoch = await this.epoch(number).catch((error: unknown) => {
      if (error instanceof PerigeeError && error.code === 'NOT_FOUND') return undefined
      throw error
    })
    return epoch && this.#placeAmong(epoch)
  }

  #placeAmong(epoch: DaEpoch): Place | undefined {
    const member = epoch.members.findIndex(({ account }) => account === this.#account)
    return member < 0 ? undefined : { epoch, member }
  }

  /** The same, with a look at the chain whether the epoch is still the one we know: for what can't be taken back. */
  async surePlaceIn(number: number): Promise<Place> {
    const place = await this.placeIn(number)
    const { seed } = await this.#contracts.epochs.epochInfo(number)
    if (place.epoch.seed === seed) return place
    this.forgetAll()
    return this.placeIn(number)
  }

  async #read(): Promise<number> {
    this.#current = Number(await this.#contracts.epochs.currentEpoch())
    this.#readAt = Date.now()
    return this.#current
  }
}

/** The rows of a blob that are ours, in the order of their slots. @throws DaFormatError for a code that the epoch does not allow */
export const ownRows = ({ epoch, member }: Place, blobId: string, log2K: number): Uint32Array => createAssignment(epoch, blobId, log2K).rowsOf(member)
