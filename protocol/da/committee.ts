import { getBytes, hexlify } from 'ethers'
import { threadKernel } from '../../codec/keccak/index.ts'
import { checkHash } from './format-error.ts'
import { type Shares, sharesOf } from './shares.ts'

/** Seats of a committee: members of one each hold the least rows of the largest code, and so many fit. */
export const COMMITTEE_SEATS = 442

/** An epoch as it follows from the stakes of its signers. */
export interface EpochShares extends Shares {
  /** Seats were drawn: weights are seats. */
  committee: boolean
  /** For each member, which of the signers it is. */
  signers: number[]
}

/** The shares of an epoch of signers with such stakes (wei): all of them, if a code has room, otherwise a committee that `seed` draws. @throws DaFormatError as `sharesOf` */
export function epochSharesOf(stakes: readonly bigint[], seed: string): EpochShares {
  const all = sharesOf(stakes)
  if (all.codes !== 0) return { ...all, committee: false, signers: stakes.map((_, signer) => signer) }
  const seats = seatsOf(stakes, seed)
  const signers = seats.flatMap((count, signer) => (count > 0 ? [signer] : []))
  return { ...sharesOf(signers.map((signer) => BigInt(seats[signer]!))), committee: true, signers }
}

/**
 * Seats of each signer: all stakes in a row are cut into as many equal parts as there are seats, and a point is drawn in each part: whose stake it falls
 * into has the seat. As contracts/da/Committee.sol, which does it signer by signer.
 */
export function seatsOf(stakes: readonly bigint[], seed: string): number[] {
  const total = stakes.reduce((sum, stake) => sum + stake)
  const seats = stakes.map(() => 0)
  let [signer, end] = [0, stakes[0]! * BigInt(COMMITTEE_SEATS)]
  for (let part = 0; part < COMMITTEE_SEATS; part++) {
    const point = BigInt(part) * total + (drawnBy(seed, part) % total)
    while (point >= end) end += stakes[++signer]! * BigInt(COMMITTEE_SEATS)
    seats[signer]!++
  }
  return seats
}

const drawnBy = (seed: string, part: number): bigint =>
  BigInt(hexlify(threadKernel().keccak256(Uint8Array.of(...getBytes(checkHash(seed, 'the seed of the epoch')), part >> 8, part & 0xff))))
