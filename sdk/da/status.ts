import { getBytes, hexlify } from 'ethers'
import { verifyInclusion } from '../../protocol/da/batch-tree.ts'
import type { Blob } from '../../protocol/da/blob.ts'
import { PerigeeError } from '../errors.ts'
import { type CertifiedInclusion, certificateOf, formed } from './locate.ts'
import { blobFromWire, type Inclusion, inclusionFromWire, weightFromWire } from './messages.ts'
import type { DaReader } from './reader.ts'
import type { CallOptions, DispersalState, DispersalStatus, DisperserClient } from './wire.ts'

/** How far a blob is, as its disperser says; the certificate as the chain says. */
export interface BlobProgress {
  state: DispersalState
  /** Why it failed. */
  reason?: string
  blobId?: string
  blob?: Blob
  /** Present once it is on chain, in a batch that has the blob. */
  certificate?: CertifiedInclusion
  /** Wei of stake. */
  signedWeight: bigint
  totalWeight: bigint
  transaction?: string
  block?: number
  /** Milliseconds from acceptance to the certificate. */
  elapsed?: number
}

/** A request's id as text (dispersers give it in ASCII), or a blob's id. */
export type StatusSubject = { requestId: string } | { blobId: string }

/**
 * How far a blob is. What the disperser says of the certificate is checked on chain.
 * @throws PerigeeError NOT_FOUND for what the disperser does not know, VERIFICATION_FAILED when it names a batch without the blob
 */
export async function blobStatus(
  reader: Pick<DaReader, 'contracts'>,
  disperser: DisperserClient,
  subject: StatusSubject,
  options?: CallOptions,
): Promise<BlobProgress> {
  const status = await disperser.getStatus(
    {
      requestId: 'requestId' in subject ? requestBytes(subject.requestId) : new Uint8Array(),
      blobId: 'blobId' in subject ? getBytes(subject.blobId) : new Uint8Array(),
    },
    options,
  )
  if (status.state === 'STATE_UNKNOWN') throw new PerigeeError('NOT_FOUND', `${disperser.url} does not know ${Object.values(subject)[0]}`)
  const progress = formed(() => progressOf(status))
  const { inclusion } = status
  if (!inclusion || !progress.blobId) return progress
  const certificate = await verifyCertificate(
    reader,
    progress.blobId,
    formed(() => inclusionFromWire(inclusion)),
  )
  return { ...progress, ...(certificate && { certificate }) }
}

/**
 * A blob's certificate on chain; undefined if its batch has none (yet).
 * @throws PerigeeError VERIFICATION_FAILED when the batch does not have the blob
 */
export async function verifyCertificate(reader: Pick<DaReader, 'contracts'>, blobId: string, inclusion: Inclusion): Promise<CertifiedInclusion | undefined> {
  const { batchRoot, index, proof } = inclusion
  if (!verifyInclusion(batchRoot, blobId, index, proof))
    throw new PerigeeError('VERIFICATION_FAILED', `the batch ${batchRoot} does not have the blob ${blobId} at ${index}`)
  const certificate = await certificateOf(reader, batchRoot)
  return certificate && { ...inclusion, ...certificate }
}

function progressOf({ state, reason, blobId, blob, signedWeight, totalWeight, transactionHash, blockNumber, elapsedMs }: DispersalStatus): BlobProgress {
  return {
    state,
    ...(reason && { reason }),
    ...(blobId.length > 0 && { blobId: hexlify(blobId) }),
    ...(blob && { blob: blobFromWire(blob) }),
    signedWeight: weightFromWire(signedWeight),
    totalWeight: weightFromWire(totalWeight),
    ...(transactionHash.length > 0 && { transaction: hexlify(transactionHash), block: blockNumber }),
    ...(elapsedMs > 0 && { elapsed: elapsedMs }),
  }
}

// One byte a character, so that every id comes back as it was given.
export const requestBytes = (requestId: string): Uint8Array => Buffer.from(requestId, 'latin1')
export const requestText = (requestId: Uint8Array): string => Buffer.from(requestId).toString('latin1')
