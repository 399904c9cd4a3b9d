import { createHash } from 'node:crypto'
import { getBytes, hexlify } from 'ethers'
import { verifyInclusion } from '../../protocol/da/batch-tree.ts'
import { type Blob, blobIdOf } from '../../protocol/da/blob.ts'
import { chainError } from '../contracts.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import type { DaEpoch, EpochMember } from './epochs.ts'
import { blobFromWire, type Inclusion, inclusionFromWire } from './messages.ts'
import { byWeight } from './order.ts'
import type { DaReader } from './reader.ts'
import type { BlobDescription } from './wire/types.ts'

/** A signer that was no help. `lied`: what it sent is not what the blob id commits to; all else may be bad luck. */
export interface SignerFault {
  account: string
  url: string
  reason: string
  lied: boolean
}

/** A batch with its certificate on chain, and the blob's place in it. */
export interface CertifiedInclusion extends Inclusion {
  /** Unix seconds. */
  certifiedAt: number
}

/** A blob that the chain says is available, with what it takes to check its rows. */
export interface LocatedBlob {
  blobId: string
  blob: Blob
  /** The linear combinations of the K original rows. */
  rlc: Uint8Array
  certificate: CertifiedInclusion
  /** That of the certificate. */
  epoch: DaEpoch
  faults: SignerFault[]
}

export interface LocateOptions {
  /** The epoch it was certified in, where that is known. Other signers are asked too. */
  epoch?: number | undefined
  signal?: AbortSignal | undefined
}

/** Signers asked at once. */
const LANES = 8
/** Epochs whose members are asked, from the current one back: those who left since still serve what they signed. */
const EPOCHS_BACK = 4
/** Milliseconds for a signer to describe a blob. */
const TIMEOUT = 5_000
/** Batches of one blob that are looked up for one signer. */
const MAX_INCLUSIONS = 4

/**
 * Finds a blob: asks signers for its header until one gives that of this id, in a batch that is certified on chain. Nothing is taken on trust.
 * @throws PerigeeError NOT_FOUND when no signer knows it or it has no certificate, NETWORK when none can be reached
 */
export async function locateBlob(reader: DaReader, blobId: string, { epoch, signal }: LocateOptions = {}): Promise<LocatedBlob> {
  if (!/^0x[0-9a-f]{64}$/.test(blobId)) throw new PerigeeError('USAGE', `not a blob id: ${blobId}`, { wayOut: 'It is 0x and 64 lower-case hex digits.' })
  const search: Search = { reader, blobId, signal, faults: [], asked: 0, unknown: 0, uncertified: false, forgotten: false }
  const seen = new Set<number>()
  for await (const members of memberLists(reader, epoch)) {
    const fresh = byWeight(
      members.filter(({ id }) => !seen.has(id)),
      ({ weight }) => weight,
    )
    for (const { id } of fresh) seen.add(id)
    const found = await firstOf(fresh, (member) => ask(search, member))
    signal?.throwIfAborted()
    if (found) return { blobId, ...found, faults: search.faults }
  }
  throw notLocated(search)
}

interface Search {
  reader: DaReader
  blobId: string
  signal: AbortSignal | undefined
  faults: SignerFault[]
  asked: number
  /** How many said that they hold nothing of it. */
  unknown: number
  uncertified: boolean
  /** Whether there is a certificate of an epoch that the contract knows no more. */
  forgotten: boolean
}

async function* memberLists({ epochs }: DaReader, hint: number | undefined): AsyncGenerator<EpochMember[]> {
  const hinted = hint === undefined ? undefined : await known(epochs.epoch(hint))
  if (hinted) yield hinted.members
  const current = await epochs.current()
  yield current.members
  for (let back = 1; back < EPOCHS_BACK && current.epoch - back > 0; back++) {
    const epoch = await known(epochs.epoch(current.epoch - back))
    if (!epoch) return
    yield epoch.members
  }
}

const known = (epoch: Promise<DaEpoch>): Promise<DaEpoch | undefined> =>
  epoch.catch((error) => {
    if (error instanceof PerigeeError && error.code === 'NOT_FOUND') return undefined
    throw error
  })

/** The first result that is not undefined, asking a few at once. */
async function firstOf<Item, Result>(items: Item[], look: (item: Item) => Promise<Result | undefined>): Promise<Result | undefined> {
  let found: Result | undefined
  const queue = items.values()
  const lane = async (): Promise<void> => {
    for (const item of queue) {
      if (found !== undefined) return
      const result = await look(item)
      found ??= result
    }
  }
  // Whoever finds it first ends the search; the others' answers are not waited for.
  const lanes = Array.from({ length: LANES }, lane)
  await Promise.race([Promise.all(lanes), ...lanes.map((lane) => lane.then(() => (found === undefined ? new Promise<never>(() => {}) : undefined)))])
  return found
}

async function ask(search: Search, member: EpochMember): Promise<Pick<LocatedBlob, 'blob' | 'rlc' | 'certificate' | 'epoch'> | undefined> {
  const { reader, blobId, signal, faults } = search
  search.asked++
  const url = await reader.epochs.urlOf(member)
  let described: Described
  try {
    const description = await reader.signerAt(url).getBlob({ blobId: getBytes(blobId) }, { timeout: TIMEOUT, signal })
    described = checkDescription(blobId, description)
  } catch (error) {
    signal?.throwIfAborted()
    const { code } = error as Partial<PerigeeError>
    if (code === 'NOT_FOUND') search.unknown++
    else faults.push({ account: member.account, url, reason: reasonOf(error), lied: code === 'VERIFICATION_FAILED' })
    return undefined
  }
  for (const inclusion of described.inclusions) {
    const certificate = await certificateOf(reader, inclusion.batchRoot)
    const epoch = certificate && (await known(reader.epochs.epoch(certificate.epoch)))
    if (epoch) return { blob: described.blob, rlc: described.rlc, certificate: { ...inclusion, ...certificate }, epoch }
    if (certificate) search.forgotten = true
  }
  search.uncertified = true
  return undefined
}

interface Described {
  blob: Blob
  rlc: Uint8Array
  inclusions: Inclusion[]
}

/** @throws PerigeeError VERIFICATION_FAILED */
function checkDescription(blobId: string, description: BlobDescription): Described {
  const blob = formed(() => blobFromWire(description.blob))
  if (blobIdOf(blob) !== blobId) throw lie(`it describes another blob, ${blobIdOf(blob)}`)
  const { rlc } = description
  if (rlc.length !== 16 * 2 ** blob.log2K || hexlify(rlcRootOf(rlc)) !== blob.rlcRoot) throw lie('its linear combinations are not those that the id commits to')
  // Signers name those with a certificate first. Of these the newest first: for those before, rows need not be held any more.
  const inclusions = description.inclusions
    .slice(0, MAX_INCLUSIONS)
    .map((wire) => formed(() => inclusionFromWire(wire)))
    .toSorted((a, b) => b.epoch - a.epoch)
  const elsewhere = inclusions.find(({ batchRoot, index, proof }) => !verifyInclusion(batchRoot, blobId, index, proof))
  if (elsewhere) throw lie(`the batch ${elsewhere.batchRoot} does not have the blob at ${elsewhere.index}`)
  // A copy: the view would keep the whole message.
  return { blob, rlc: Uint8Array.from(rlc), inclusions }
}

/** A batch's certificate on chain; undefined if it has none. */
export async function certificateOf(
  { contracts }: Pick<DaReader, 'contracts'>,
  batchRoot: string,
): Promise<{ epoch: number; certifiedAt: number } | undefined> {
  const { epoch, certifiedAt } = await contracts.certificates.certificateOf(batchRoot).catch((error) => {
    throw chainError('reading the certificate', error)
  })
  return epoch === 0n ? undefined : { epoch: Number(epoch), certifiedAt: Number(certifiedAt) }
}

/** Root over the linear combinations: SHA-256, leaves 0x00 ‖ 16 bytes. Their number is a power of two. */
function rlcRootOf(rlc: Uint8Array): Uint8Array {
  let level = Array.from({ length: rlc.length / 16 }, (_, i) => sha256(0, rlc.subarray(16 * i, 16 * i + 16)))
  while (level.length > 1) level = Array.from({ length: level.length / 2 }, (_, i) => sha256(1, level[2 * i]!, level[2 * i + 1]!))
  return level[0]!
}

function sha256(prefix: number, ...parts: Uint8Array[]): Uint8Array {
  const hash = createHash('sha256').update(Uint8Array.of(prefix))
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** Reads what a server sent. @throws PerigeeError VERIFICATION_FAILED for what has not the form it must have */
export function formed<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw lie(reasonOf(error))
  }
}

const lie = (reason: string): PerigeeError => new PerigeeError('VERIFICATION_FAILED', reason)

export const describeFault = ({ account, url, reason, lied }: SignerFault): string => `${url || account} ${lied ? 'LIED' : 'was no help'}: ${reason}`

const ANCHORED = 'If it was anchored in storage, it is still there (--from-storage).'

function notLocated({ blobId, asked, unknown, uncertified, forgotten, faults }: Search): PerigeeError {
  const details = faults.map(describeFault)
  if (forgotten)
    return new PerigeeError('NOT_FOUND', `the certificate of the blob ${blobId} is so old that nobody need hold it any more`, { details, wayOut: ANCHORED })
  if (uncertified)
    return new PerigeeError('NOT_FOUND', `the blob ${blobId} has no certificate`, { details, wayOut: 'If it was put just now, wait for its certificate.' })
  if (unknown === 0) return new PerigeeError('NETWORK', `none of ${asked} signers tells whether it has the blob ${blobId}`, { details })
  return new PerigeeError('NOT_FOUND', `nobody has the blob ${blobId}: ${unknown} of ${asked} signers say so`, {
    details,
    wayOut: `Is the id right? Blobs are kept for the time of retention only. ${ANCHORED}`,
  })
}
