import { hexlify } from 'ethers'
import { type Assignment, createAssignment } from '../../protocol/da/assignment.ts'
import { type Blob, checkPadding, shapeOf } from '../../protocol/da/blob.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { type FetchedRows, fetchRows, LANES, type Piece } from './fetch-rows.ts'
import { type CertifiedInclusion, type LocatedBlob, type LocateOptions, locateBlob, type SignerFault } from './locate.ts'
import { byWeight } from './order.ts'
import type { DaReader } from './reader.ts'

export interface RetrieveOptions extends LocateOptions {
  /** Bytes of valid rows so far, of those it takes. */
  onProgress?: ((done: number, total: number) => void) | undefined
}

export interface RetrievedBlob {
  blobId: string
  blob: Blob
  /** Exactly what was put. */
  bytes: Uint8Array
  certificate: CertifiedInclusion
  /** Signers that gave rows. */
  sources: FetchedRows['sources']
  /** Signers that gave none, or something else. */
  faults: SignerFault[]
}

/**
 * Fetches a blob from its signers, verified: rows count only with their path and linear combination; what they decode to is encoded again and must give
 * the roots that the id commits to, so that no other bytes can be the blob. Holds some three times the blob in memory.
 * @throws PerigeeError NOT_FOUND for a blob that nobody knows or that has no certificate, FAILED when too few rows can be had, VERIFICATION_FAILED when the
 * rows are of no blob, NETWORK when no signer can be reached
 */
export async function retrieve(reader: DaReader, blobId: string, options: RetrieveOptions = {}): Promise<RetrievedBlob> {
  const located = await locateBlob(reader, blobId, options)
  const { blob, certificate } = located
  const total = 2 ** blob.log2K * blob.rowSize
  const onRows = (count: number): void => options.onProgress?.(count * blob.rowSize, total)
  const fetched = await fetchRows(located, await planOf(reader, located), { codec: reader.codec, signal: options.signal, onRows })
  const bytes = await decode(reader, located, fetched)
  return { blobId, blob, bytes, certificate, sources: fetched.sources, faults: [...located.faults, ...fetched.faults] }
}

/** Decodes, and proves that nothing else can be decoded. */
async function decode({ codec }: DaReader, { blobId, blob }: LocatedBlob, { indices, rows }: FetchedRows): Promise<Uint8Array> {
  const shape = shapeOf(blob)
  const original = await codec.recover(shape, indices, rows)
  let bytes: Uint8Array
  try {
    bytes = checkPadding(blob, original)
  } catch (cause) {
    throw notOneBlob(blobId, reasonOf(cause), cause)
  }
  const encoded = await codec.encode(bytes, shape)
  const same = hexlify(encoded.rowRoot) === blob.rowRoot && hexlify(encoded.rlcRoot) === blob.rlcRoot
  encoded.release()
  if (!same) throw notOneBlob(blobId, 'what its rows decode to does not encode to them')
  return bytes
}

function notOneBlob(blobId: string, reason: string, cause?: unknown): PerigeeError {
  return new PerigeeError('VERIFICATION_FAILED', `the blob ${blobId} was not encoded as blobs are, and stands for no bytes`, { details: [reason], cause })
}

/**
 * Whom to ask for what, in this order. Where every original row has an owner, and few own them, originals come first: together they are the blob, and
 * nothing need be decoded. Else, in random order by weight, as many as can be asked at once are asked for a part that together is the blob, then for the
 * rest of their rows, and then the others: where hundreds of small members are away, few of them are waited for.
 */
async function planOf({ epochs, signerAt }: DaReader, { blobId, blob, epoch, faults }: LocatedBlob): Promise<Piece[]> {
  const assignment = createAssignment(epoch, blobId, blob.log2K)
  const k = 2 ** blob.log2K
  const owners = epoch.members.map((member) => ({ member, rows: assignment.rowsOf(member.index) })).filter(({ rows }) => rows.length > 0)
  const holders = byWeight(owners, ({ member }) => member.weight)
  const urls = await Promise.all(holders.map(({ member }) => epochs.urlOf(member)))
  const systematic = systematicHolders(assignment, k) <= LANES
  const held = holders.slice(0, LANES).reduce((sum, { rows }) => sum + rows.length, 0)
  const [first, rest, others]: [Piece[], Piece[], Piece[]] = [[], [], []]
  holders.forEach(({ member, rows }, i) => {
    const url = urls[i]!
    try {
      const source = { member, url, client: signerAt(url) }
      const ordered = systematic ? rows.toSorted() : rows
      const split = systematic ? ordered.filter((row) => row < k).length : Math.min(rows.length, Math.ceil((rows.length * k) / held))
      if (!systematic && i >= LANES) {
        others.push({ ...source, rows })
        return
      }
      if (split > 0) first.push({ ...source, rows: ordered.subarray(0, split) })
      if (split < ordered.length) rest.push({ ...source, rows: ordered.subarray(split) })
    } catch (error) {
      faults.push({ account: member.account, url, reason: reasonOf(error), lied: false })
    }
  })
  return [...first, ...rest, ...others]
}

/** How many members own the original rows together; infinitely many where one of the rows has no owner. */
function systematicHolders(assignment: Assignment, k: number): number {
  const owners = new Set<number>()
  for (let row = 0; row < k; row++) {
    const owner = assignment.ownerOf(row)
    if (owner === undefined) return Number.POSITIVE_INFINITY
    owners.add(owner)
  }
  return owners.size
}
