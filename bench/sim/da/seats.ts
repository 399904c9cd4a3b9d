import { COMMITTEE_SEATS, seatsOf } from '../../../protocol/da/committee.ts'
import type { Chance } from './chance.ts'
import { log2AtLeast } from './probability.ts'
import { type Distribution, stakesOf } from './stake.ts'

/** Committees drawn for each row of the table. */
const TRIALS = 400
/** Parts of the stake that an adversary has. */
const PARTS = [1 / 3, 0.3, 0.25, 0.2]
/** A third of the seats; and so many that those who are honest may not hold K rows, after a disperser left out as many of them as it can. */
export const THIRD = Math.ceil(COMMITTEE_SEATS / 3)
export const TOO_MANY = COMMITTEE_SEATS - Math.floor(COMMITTEE_SEATS / 3) - 110

/** How many seats a part of the stake has in the committees of an epoch. */
export interface Seats {
  signers: number
  distribution: Distribution
  /** Of the stake, at most: who lies was settled before seats were drawn. */
  part: number
  trials: number
  mean: number
  most: number
  /** log2 of the probability, in one epoch, of a third of the seats: then a certificate can count as two thirds what less than two thirds of the honest hold. */
  log2Third: number
  /** log2 of the probability, in one epoch, that a certificate may stand for a blob that the honest hold too few rows of. */
  log2TooMany: number
}

/** The bounds are those of independent draws with the same chance (Hoeffding 1956): a draw in each part of the stake spreads less. */
export function seatsOfParts(distribution: Distribution, signers: number, chance: Chance): Seats[] {
  const stakes = stakesOf(distribution, signers)
  const total = stakes.reduce((sum, stake) => sum + stake)
  const draws = Array.from({ length: TRIALS }, () => seatsOf(stakes, chance.hash()))
  return PARTS.map((part) => {
    const counts = draws.map((seats) => seatsOfSome(stakes, seats, (total * BigInt(Math.round(part * 1e9))) / 10n ** 9n, chance))
    return {
      ...{ signers, distribution, part, trials: TRIALS },
      mean: counts.reduce((sum, count) => sum + count, 0) / TRIALS,
      most: Math.max(...counts),
      log2Third: log2AtLeast(COMMITTEE_SEATS, part, THIRD),
      log2TooMany: log2AtLeast(COMMITTEE_SEATS, part, TOO_MANY),
    }
  })
}

/** Seats of signers taken at random, until their stake would be more than `most`. */
function seatsOfSome(stakes: readonly bigint[], seats: readonly number[], most: bigint, chance: Chance): number {
  let [left, count] = [most, 0]
  for (const signer of chance.order(stakes.length)) {
    if (stakes[signer]! > left) continue
    left -= stakes[signer]!
    count += seats[signer]!
  }
  return count
}
