import { hexlify } from 'ethers'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { verifyInclusion } from '../../../protocol/da/batch-tree.ts'
import { blobIdOf } from '../../../protocol/da/blob.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'
import type { EpochReader } from '../../../sdk/da/epochs.ts'
import { blobFromWire, type Inclusion, inclusionFromWire } from '../../../sdk/da/messages.ts'
import type { BlobDescription, SignerClient } from '../../../sdk/da/wire.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import type { IDACertificates } from '../../../typechain-types/index.ts'
import type { Log } from '../../runtime/log.ts'
import type { HeldBlob, HeldBlobs } from './held-blobs.ts'

export interface ListingOptions {
  held: HeldBlobs
  certificates: IDACertificates
  epochs: EpochReader
  log: Log
}

/** Descriptions that are stored together. */
const PORTION = 64
/** What takes longer goes on from the cursor, in ms. */
const TIMEOUT_MS = 120_000

interface Certificate extends Inclusion {
  certifiedAt: number
}

/** Asks signers which blobs they hold. A blob is taken for what the chain says of it: who holds which rows follows from its certificate. */
export class Listing {
  readonly #options: ListingOptions

  constructor(options: ListingOptions) {
    this.#options = options
  }

  /** Adds what a signer has got since it was last asked. Ends before a blob of whose certificate our endpoint does not know yet. */
  async update(client: SignerClient, account: string, signal: AbortSignal): Promise<void> {
    const { held, log } = this.#options
    let cursor = await held.cursor(account)
    let portion: HeldBlob[] = []
    for await (const description of client.listBlobs({ cursor }, { signal, timeout: TIMEOUT_MS })) {
      const blob = await this.#read(description, account)
      if (blob === 'uncertified') {
        log.info({ signer: client.url, blobId: hexlify(description.blobId) }, 'a blob is not certified on our chain yet')
        break
      }
      if (blob) portion.push(blob)
      cursor = description.cursor
      if (portion.length === PORTION) {
        await held.add(account, portion, cursor)
        portion = []
      }
    }
    await held.add(account, portion, cursor)
  }

  /** Undefined for a blob that this signer can't be rewarded for. */
  async #read(description: BlobDescription, account: string): Promise<HeldBlob | 'uncertified' | undefined> {
    const { log, epochs } = this.#options
    try {
      const blob = blobFromWire(description.blob)
      const blobId = blobIdOf(blob)
      if (blobId !== hexlify(description.blobId)) throw new DaFormatError(`a blob of id ${blobId} is listed as ${hexlify(description.blobId)}`)
      const inclusions = description.inclusions.map(inclusionFromWire)
      const wrong = inclusions.find(({ batchRoot, index, proof }) => !verifyInclusion(batchRoot, blobId, index, proof))
      if (wrong) throw new DaFormatError(`blob ${blobId} is not number ${wrong.index} of batch ${wrong.batchRoot}`)
      const certificate = await this.#newestCertificate(inclusions)
      if (!certificate) return 'uncertified'
      const { epoch, certifiedAt, ...place } = certificate
      const inEpoch = await epochs.epoch(epoch)
      const member = inEpoch.members.findIndex((each) => each.account === account)
      if (member < 0) return undefined
      const rows = createAssignment(inEpoch, blobId, blob.log2K).rowsOf(member)
      return rows.length === 0 ? undefined : { blobId, blob, ...place, member, rows, certifiedAt }
    } catch (error) {
      // The chain has forgotten the epoch: too old to be rewarded.
      if (error instanceof PerigeeError && error.code === 'NOT_FOUND') return undefined
      if (!(error instanceof DaFormatError)) throw error
      log.warn({ reason: error.message }, 'a signer lists what is no blob of a batch')
      return undefined
    }
  }

  async #newestCertificate(inclusions: readonly Inclusion[]): Promise<Certificate | undefined> {
    const { certificates } = this.#options
    let newest: Certificate | undefined
    for (const { batchRoot, index, proof } of inclusions) {
      const { epoch, certifiedAt } = await certificates.certificateOf(batchRoot)
      if (Number(certifiedAt) > (newest?.certifiedAt ?? 0)) newest = { epoch: Number(epoch), batchRoot, index, proof, certifiedAt: Number(certifiedAt) }
    }
    return newest
  }
}
