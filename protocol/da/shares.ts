import { CODES, type Code } from './codes.ts'
import { DaFormatError } from './format-error.ts'

/** How the rows of blobs are shared in an epoch. */
export interface Shares {
  totalWeight: bigint
  /** Bit j: the code of index j fits. */
  codes: number
  members: MemberShare[]
}

export interface MemberShare {
  /** wei of bonded stake; in a committee, seats */
  weight: bigint
  /** By index of the code: its first slot. Where a code does not fit, nothing is meant by it. */
  firstSlot: number[]
}

/**
 * Rows of each blob that a member holds: three times its part of the K, so that any third of the weight holds K, but no fewer than the code's minimum;
 * K rows at most, as more say nothing more.
 */
export function rowsOfShare({ k, minRows }: Code, weight: bigint, totalWeight: bigint): number {
  const share = Number((3n * BigInt(k) * weight + totalWeight - 1n) / totalWeight)
  return Math.min(k, Math.max(minRows, share))
}

/** The shares of members of such weights, in their order; of no code, where they are too many. @throws DaFormatError when there are none, or one has no weight */
export function sharesOf(weights: readonly bigint[]): Shares {
  if (weights.length === 0) throw new DaFormatError('an epoch has no members: expected at least one')
  const without = weights.findIndex((weight) => weight <= 0n)
  if (without >= 0) throw new DaFormatError(`the weight of member ${without} is ${weights[without]}: expected more than 0`)
  const totalWeight = weights.reduce((sum, weight) => sum + weight)
  const nextSlot = CODES.map(() => 0)
  const members = weights.map((weight) => {
    const member = { weight, firstSlot: [...nextSlot] }
    for (const code of CODES) nextSlot[code.index]! += rowsOfShare(code, weight, totalWeight)
    return member
  })
  const codes = CODES.filter(({ index, t }) => nextSlot[index]! <= t).reduce((mask, { index }) => mask | (1 << index), 0)
  return { totalWeight, codes, members }
}
