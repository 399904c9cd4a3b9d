import { randomInt } from 'node:crypto'
import { getBytes } from 'ethers'
import { createAssignment } from '../../protocol/da/assignment.ts'
import type { Blob } from '../../protocol/da/blob.ts'
import { chunksOfRow, verifyChunk } from '../../protocol/da/row-path.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { type CertifiedInclusion, type LocatedBlob, type LocateOptions, locateBlob, type SignerFault } from './locate.ts'
import type { DaReader } from './reader.ts'
import type { ChunkPosition } from './wire.ts'

/** How certain a verdict is unless told: wrong with a chance of 2^-40. */
const BITS = 40
const MAX_BITS = 128
/** Looks at samples, each at as many again as there were before: where signers are away, more samples show the same. */
const LOOKS = 5
/** Where fewer would show nothing, as one signer has all rows, it is no dearer to fetch the blob. */
const MAX_SAMPLES = 1024
/** Signers asked at once: for some hundred bytes each. */
const LANES = 32
/** Milliseconds for a signer to answer its samples. */
const TIMEOUT = 5_000

export interface VerifyOptions extends LocateOptions {
  /** How certain it has to be: `available` is wrong with a chance of at most 2^-bits. Default: 40. */
  bits?: number | undefined
}

export interface AvailabilityVerdict {
  blobId: string
  blob: Blob
  certificate: CertifiedInclusion
  /** So many samples were answered that `chance` is at most 2^-bits. */
  available: boolean
  bits: number
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
 * those who must hold them, each checked against the row root. As many as it takes: if fewer than K rows could be had, each sample would be answered with a
 * chance of less than K of the rows dealt, and for more that fail others are drawn.
 * @throws PerigeeError as `locateBlob`, USAGE for bits that are not 1 to 128
 */
export async function verifyBlob(reader: DaReader, blobId: string, options: VerifyOptions = {}): Promise<AvailabilityVerdict> {
  const { bits = BITS, signal } = options
  if (!Number.isInteger(bits) || bits < 1 || bits > MAX_BITS)
    throw new PerigeeError('USAGE', `how certain a verdict is to be is ${bits}: expected 1 to ${MAX_BITS} bits`)
  const located = await locateBlob(reader, blobId, options)
  const { blob, certificate, faults } = located
  const dealt = shuffledRows(located)
  const most = Math.min(dealt.length, MAX_SAMPLES)
  const tooFew = 2 ** blob.log2K - 1
  const silent = new Set<number>()
  // Who looks several times has several chances to be wrong: each look may be so with half the chance of the one before.
  let [samples, answered, chance, look] = [0, 0, 1, 0]
  do {
    look++
    const until = samples === 0 ? samplesFor(bits + 1, tooFew, dealt.length) : Math.min(2 * samples, most)
    answered += await answeredOf(reader, located, dealt.slice(samples, until), silent, signal)
    samples = until
    chance = Math.min(chance, 2 ** look * chanceOf(samples, answered, tooFew, dealt.length))
  } while (chance > 2 ** -bits && look < LOOKS && samples < most)
  return { blobId, blob, certificate, available: chance <= 2 ** -bits, bits, samples, answered, rows: dealt.length, chance, faults }
}

interface DealtRow {
  row: number
  member: number
}

/** All rows that have an owner, in random order. */
function shuffledRows({ blobId, blob, epoch }: LocatedBlob): DealtRow[] {
  const assignment = createAssignment(epoch, blobId, blob.log2K)
  const dealt = epoch.members.flatMap(({ index }) => Array.from(assignment.rowsOf(index), (row) => ({ row, member: index })))
  for (let i = dealt.length - 1; i > 0; i--) {
    const j = randomInt(i + 1)
    ;[dealt[i], dealt[j]] = [dealt[j]!, dealt[i]!]
  }
  return dealt
}

/** Asks the owners of rows for a random chunk of each; says how many were right. Who is no help joins the `silent`, who are asked no more. */
async function answeredOf(reader: DaReader, located: LocatedBlob, rows: DealtRow[], silent: Set<number>, signal: AbortSignal | undefined): Promise<number> {
  const chunks = chunksOfRow(located.blob.rowSize)
  const owners = new Map<number, ChunkPosition[]>()
  for (const { row, member } of rows) {
    if (silent.has(member)) continue
    const positions = owners.get(member) ?? []
    owners.set(member, positions)
    positions.push({ row, chunk: randomInt(chunks) })
  }
  const queue = owners.entries()
  let answered = 0
  const lane = async (): Promise<void> => {
    for (const [member, positions] of queue) {
      const right = await sample(reader, located, member, positions, signal)
      if (right === 0) silent.add(member)
      answered += right
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return answered
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

/** The fewest samples that, all answered, have a chance of at most 2^-bits where so many of the rows are reachable. */
function samplesFor(bits: number, reachable: number, rows: number): number {
  let samples = 0
  for (let log2 = 0; log2 > -bits && samples < Math.min(rows, MAX_SAMPLES); samples++) log2 += Math.log2((reachable - samples) / (rows - samples))
  return samples
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
