import { randomInt } from 'node:crypto'
import { getBytes } from 'ethers'
import { createAssignment } from '../../protocol/da/assignment.ts'
import type { Blob } from '../../protocol/da/blob.ts'
import { chunksOfRow, verifyChunk } from '../../protocol/da/row-path.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { type CertifiedInclusion, type LocatedBlob, type LocateOptions, locateBlob, type SignerFault } from './locate.ts'
import type { DaReader } from './reader.ts'
import type { ChunkPosition } from './wire.ts'

/** Samples unless told: all answered, a chance of 2^-40 where every row has an owner, and of some 2^-32 where three quarters have. */
const SAMPLES = 20
/** Signers asked at once. */
const LANES = 8
/** Milliseconds for a signer to answer its samples. */
const TIMEOUT = 10_000

export interface VerifyOptions extends LocateOptions {
  /** How many rows are looked at. */
  samples?: number | undefined
}

export interface AvailabilityVerdict {
  blobId: string
  blob: Blob
  certificate: CertifiedInclusion
  /** Most samples were answered. */
  available: boolean
  samples: number
  answered: number
  /** Rows that have an owner, of which the samples are drawn. */
  rows: number
  /** With which so many would be answered, at most, if fewer than K rows could be had: the blob's own. */
  chance: number
  faults: SignerFault[]
}

/**
 * A light client's look at a blob: that its header is that of the id, in a certified batch on chain, and that random chunks of random rows can be had from
 * those who must hold them, each checked against the row root. If fewer than K rows could be had, each of n samples would be answered with a chance of
 * less than K of the rows dealt: 4^-n where all are.
 * @throws PerigeeError as `locateBlob`
 */
export async function verifyBlob(reader: DaReader, blobId: string, options: VerifyOptions = {}): Promise<AvailabilityVerdict> {
  const { samples = SAMPLES, signal } = options
  const located = await locateBlob(reader, blobId, options)
  const { blob, certificate, faults } = located
  const { owners, rows } = drawSamples(located, samples)
  const queue = owners.entries()
  let answered = 0
  const lane = async (): Promise<void> => {
    for (const [member, positions] of queue) {
      const right = await sample(reader, located, member, positions, signal)
      answered += right
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  const drawn = Math.min(samples, rows)
  return {
    blobId,
    blob,
    certificate,
    available: 2 * answered > drawn,
    samples: drawn,
    answered,
    rows,
    chance: chanceOf(drawn, answered, 2 ** blob.log2K - 1, rows),
    faults,
  }
}

/** Different rows at random of those that have an owner, by their owner, each with a random chunk. */
function drawSamples({ blobId, blob, epoch }: LocatedBlob, samples: number): { owners: Map<number, ChunkPosition[]>; rows: number } {
  const assignment = createAssignment(epoch, blobId, blob.log2K)
  const dealt = epoch.members.flatMap(({ index }) => Array.from(assignment.rowsOf(index), (row) => ({ row, member: index })))
  const chunks = chunksOfRow(blob.rowSize)
  const owners = new Map<number, ChunkPosition[]>()
  for (let i = 0; i < Math.min(samples, dealt.length); i++) {
    const drawn = randomInt(i, dealt.length)
    ;[dealt[i], dealt[drawn]] = [dealt[drawn]!, dealt[i]!]
    const { row, member } = dealt[i]!
    owners.set(member, [...(owners.get(member) ?? []), { row, chunk: randomInt(chunks) }])
  }
  return { owners, rows: dealt.length }
}

/** Asks a member for its chunks; says how many are right. One that lies has none that count. */
async function sample(
  { epochs, signerAt }: DaReader,
  { blobId, blob, epoch, faults }: LocatedBlob,
  index: number,
  positions: ChunkPosition[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const member = epoch.members[index]!
  const url = await epochs.urlOf(member)
  try {
    const { chunks } = await signerAt(url).getChunks({ blobId: getBytes(blobId), positions }, { timeout: TIMEOUT, signal })
    const wrong = positions.find(({ row, chunk }, i) => !chunks[i] || !verifyChunk(blob, row, chunk, chunks[i].data, chunks[i].path))
    if (wrong) throw new PerigeeError('VERIFICATION_FAILED', `chunk ${wrong.chunk} of row ${wrong.row} is not what the blob id commits to`)
    return positions.length
  } catch (error) {
    signal?.throwIfAborted()
    faults.push({ account: member.account, url, reason: reasonOf(error), lied: error instanceof PerigeeError && error.code === 'VERIFICATION_FAILED' })
    return 0
  }
}

/** Chance that at least `answered` of `samples` different rows, drawn at random, are among `reachable` ones of `rows`: a hypergeometric tail. */
export function chanceOf(samples: number, answered: number, reachable: number, rows: number): number {
  const all = log2Choose(rows, samples)
  let chance = 0
  for (let hits = answered; hits <= samples; hits++) chance += 2 ** (log2Choose(reachable, hits) + log2Choose(rows - reachable, samples - hits) - all)
  return Math.min(1, chance)
}

function log2Choose(of: number, count: number): number {
  if (count > of) return Number.NEGATIVE_INFINITY
  let log2 = 0
  for (let i = 1; i <= count; i++) log2 += Math.log2((of - count + i) / i)
  return log2
}
