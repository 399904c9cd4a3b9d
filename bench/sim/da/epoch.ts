import { type Assignment, createAssignment } from '../../../protocol/da/assignment.ts'
import { CODES, type Code, codeOf, shapeFor } from '../../../protocol/da/codes.ts'
import { type EpochShares, epochSharesOf } from '../../../protocol/da/committee.ts'
import { rowsOfShare, type Shares } from '../../../protocol/da/shares.ts'
import type { Chance } from './chance.ts'
import { type Distribution, stakesOf } from './stake.ts'

export const SIGNERS = [4, 7, 16, 28, 64, 111, 200, 442, 600, 1000]
export const BLOBS = [128 * 2 ** 10, 2 ** 20, 8 * 2 ** 20, 32 * 2 ** 20]

/** An epoch as the contract would build it of these signers. */
export interface SimulatedEpoch {
  signers: number
  distribution: Distribution
  shares: EpochShares
}

/** Seats of a committee are drawn by the same seed in every run. */
const SEED = `0x${'5e'.repeat(32)}`

export const epochOf = (distribution: Distribution, signers: number): SimulatedEpoch => ({
  signers,
  distribution,
  shares: epochSharesOf(stakesOf(distribution, signers), SEED),
})

/** The codes that the epoch allows, smallest first. */
export const codesOf = ({ codes }: Pick<Shares, 'codes'>): Code[] => CODES.filter(({ index }) => codes & (1 << index))

/** Who holds which rows of a blob that has some id. */
export const assignmentOf = (shares: Shares, chance: Chance, code: Code): Assignment =>
  createAssignment({ ...shares, seed: chance.hash() }, chance.hash(), code.log2K)

/** How many rows each member holds. */
const rowCounts = ({ members, totalWeight }: Shares, code: Code): number[] => members.map(({ weight }) => rowsOfShare(code, weight, totalWeight))

export interface Load {
  signers: number
  distribution: Distribution
  /** Bytes of the blob. */
  blob: number
  k: number
  rowSize: number
  rows: { min: number; median: number; max: number }
  /** All members' rows, as a part of the T. */
  filled: number
  /** What a member receives of a byte of the blob: rows, paths, and the combinations of the K rows. */
  received: { mean: number; max: number }
  /** What the disperser sends, and all members together keep, of a byte of the blob. */
  sent: number
}

/** What a blob of so many bytes costs the network; where there is a committee, signers without a seat count as well. */
export function loadOf(epoch: SimulatedEpoch, blob: number): Load {
  const { k, t, rowSize, log2K } = shapeFor(blob, epoch.shares.codes)
  const members = rowCounts(epoch.shares, codeOf(log2K))
  const counts = [...Array<number>(epoch.signers - members.length).fill(0), ...members.sort((a, b) => a - b)]
  const bytes = (rows: number) => storeBytes(rows, k, rowSize) / blob
  const total = counts.reduce((sum, rows) => sum + bytes(rows), 0)
  return {
    signers: epoch.signers,
    distribution: epoch.distribution,
    blob,
    k,
    rowSize,
    rows: { min: counts[0]!, median: counts[counts.length >> 1]!, max: counts.at(-1)! },
    filled: counts.reduce((sum, rows) => sum + rows, 0) / t,
    received: { mean: total / epoch.signers, max: bytes(counts.at(-1)!) },
    sent: total,
  }
}

/** Header, roots and payment of a message, with the lengths of its fields. */
const MESSAGE = 300
const HASH = 32
const COMBINATION = 16

/** Bytes of the message that brings a member its rows (sdk/da/wire/signer.proto); none if it holds none. */
export function storeBytes(rows: number, k: number, rowSize: number): number {
  return rows === 0 ? 0 : rows * (rowSize + HASH * Math.log2(4 * k)) + COMBINATION * k + MESSAGE
}
