import { getAddress, hexlify, type Signer } from 'ethers'
import { type Blob, blobIdOf, blobOf } from '../../protocol/da/blob.ts'
import { MAX_BLOB_BYTES, type Shape, shapeFor } from '../../protocol/da/codes.ts'
import type { IBlobPayments } from '../../typechain-types/index.ts'
import { PerigeeError } from '../errors.ts'
import { waitFor } from '../wait.ts'
import type { CertifiedInclusion } from './locate.ts'
import { paymentToWire } from './messages.ts'
import { promisePayment } from './payments.ts'
import type { DaReader } from './reader.ts'
import { type BlobProgress, blobStatus, requestText } from './status.ts'
import type { DispersalState, DisperserClient, Terms } from './wire.ts'

/** Milliseconds from sending to the certificate. */
const TIMEOUT = 120_000

export interface PutOptions {
  /** Who pays by promise, from its balance in `payments`; its provider is the chain. Without, the disperser pays, if it is willing. */
  payment?: { payer: Signer; payments: IBlobPayments } | undefined
  /** Milliseconds that the certificate may take. */
  timeout?: number
  signal?: AbortSignal | undefined
  onProgress?: ((state: DispersalState | 'SENDING') => void) | undefined
}

export interface PutResult {
  blobId: string
  blob: Blob
  requestId: string
  certificate: CertifiedInclusion
  /** Wei of stake that signed, of all. */
  signedWeight: bigint
  totalWeight: bigint
  /** Wei promised; 0 when the disperser pays. */
  fee: bigint
  transaction?: string
  /** Milliseconds the disperser took. */
  elapsed?: number
}

/**
 * Publishes a blob and waits for its certificate. The blob is encoded here too, and its certificate read from the chain: the disperser is not trusted.
 * @throws PerigeeError USAGE for what is too large or empty, REMOTE when the disperser refuses it, FAILED when too few signers signed,
 * VERIFICATION_FAILED when what it had certified is not this blob, TIMEOUT, NETWORK, CHAIN
 */
export async function putBlob(reader: DaReader, disperser: DisperserClient, data: Uint8Array, options: PutOptions = {}): Promise<PutResult> {
  const { timeout = TIMEOUT, signal, onProgress } = options
  const terms = checkTerms(reader, disperser, await disperser.getTerms({ signal }), data.length)
  const { codes } = await reader.epochs.current()
  const encoding = encode(reader, data, shapeFor(data.length, codes))
  const payment = options.payment && (await promiseFor(options.payment, terms, await encoding))
  onProgress?.('SENDING')
  const sending = disperser.put({ data, payment: payment ? paymentToWire(payment) : null }, { timeout, signal })
  const [blob, { requestId: bytes }] = await Promise.all([encoding, sending])
  const requestId = requestText(bytes)
  const { certificate, ...status } = await certified(reader, disperser, requestId, { timeout, signal, onProgress })
  const certifiedBlob = await checkBlob(reader, data, blob, status)
  return {
    blobId: blobIdOf(certifiedBlob),
    blob: certifiedBlob,
    requestId,
    certificate,
    signedWeight: status.signedWeight,
    totalWeight: status.totalWeight,
    fee: payment?.promise.fee ?? 0n,
    ...(status.transaction && { transaction: status.transaction }),
    ...(status.elapsed && { elapsed: status.elapsed }),
  }
}

function checkTerms({ contracts }: DaReader, { url }: DisperserClient, terms: Terms, length: number): Terms {
  const contract = getAddress(hexlify(terms.contract))
  if (contract !== getAddress(contracts.address))
    throw new PerigeeError('USAGE', `${url} disperses for the contract ${contract}, not for ${contracts.address}`, {
      wayOut: 'Name a disperser of this network.',
    })
  const most = Math.min(MAX_BLOB_BYTES, terms.maxBytes)
  if (length === 0 || length > most)
    throw new PerigeeError(
      'USAGE',
      length === 0 ? 'an empty blob cannot be published' : `the blob has ${length} bytes, more than the ${most} that a blob may have`,
    )
  return terms
}

/** The blob that the data is, in a shape. */
export async function encode({ codec }: Pick<DaReader, 'codec'>, data: Uint8Array, shape: Shape): Promise<Blob> {
  const encoded = await codec.encode(data, shape)
  const blob = blobOf(shape, data.length, hexlify(encoded.rowRoot), hexlify(encoded.rlcRoot))
  encoded.release()
  return blob
}

const promiseFor = ({ payer, payments }: NonNullable<PutOptions['payment']>, { disperser }: Terms, blob: Blob) =>
  promisePayment({ payments }, payer, { blobId: blobIdOf(blob), shape: blob, disperser: getAddress(hexlify(disperser)) })

type Certified = BlobProgress & { certificate: CertifiedInclusion }

/** Waits until the chain has the certificate. */
async function certified(
  reader: DaReader,
  disperser: DisperserClient,
  requestId: string,
  { timeout, signal, onProgress }: Required<Pick<PutOptions, 'timeout'>> & PutOptions,
): Promise<Certified> {
  let state: DispersalState | undefined
  const look = async (): Promise<Certified | undefined> => {
    const status = await blobStatus(reader, disperser, { requestId }, { signal })
    if (status.state !== state) onProgress?.(status.state)
    state = status.state
    if (state === 'REFUSED') throw new PerigeeError('REMOTE', `${disperser.url} refused the blob: ${status.reason ?? 'it does not say why'}`)
    if (state === 'NOT_ENOUGH_SIGNATURES')
      throw new PerigeeError('FAILED', `too few signers signed: ${status.signedWeight} of ${status.totalWeight} wei of stake`, {
        details: status.reason ? [status.reason] : [],
        wayOut: 'Two thirds of it are needed. Put the blob again when more signers can be reached.',
      })
    return status.certificate && { ...status, certificate: status.certificate }
  }
  const late = (): PerigeeError =>
    new PerigeeError('TIMEOUT', `there is no certificate after ${timeout / 1000} s`, {
      details: [`request ${requestId}, ${state ?? 'unknown'}`],
      wayOut: 'It may still come: `perigee da status <request>`.',
    })
  return waitFor(look, { timeout, signal, late })
}

/** That what was certified is this data: in the shape we chose, or in that of another epoch that has begun meanwhile. */
async function checkBlob(reader: DaReader, data: Uint8Array, ours: Blob, { blobId, blob }: BlobProgress): Promise<Blob> {
  if (blobId === blobIdOf(ours)) return ours
  const again =
    blob && blob.log2K !== ours.log2K && blob.length === data.length ? await encode(reader, data, shapeFor(data.length, 1 << ((blob.log2K - 6) / 2))) : ours
  if (blobId === blobIdOf(again)) return again
  throw new PerigeeError('VERIFICATION_FAILED', 'the disperser had another blob certified than the one it was given', {
    details: [`given ${blobIdOf(ours)}`, `certified ${blobId}`],
    wayOut: 'Put the blob through another disperser.',
  })
}
