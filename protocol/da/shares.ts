import { CODES, type Code } from './codes.ts'
import { DaFormatError } from './format-error.ts'

/** Seats of a blob in an epoch of committees, and the slots of each: 442·148 ≤ T. */
export const COMMITTEE_SEATS = 442
export const COMMITTEE_CODE: Code = CODES.at(-1)!
export const SLOTS_PER_SEAT: number = COMMITTEE_CODE.minRows

/** How the rows of blobs are shared in an epoch. */
export interface Shares {
  totalWeight: bigint
  /** Bit j: the code of index j fits. */
  codes: number
  /** No code gives every member its share: seats are drawn for each blob, in the largest code only. */
  committees: boolean
  members: MemberShare[]
}

export interface MemberShare {
  /** wei of bonded stake */
  weight: bigint
  /** Sum of the weights of those before it. */
  firstWeight: bigint
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

/** The shares of an epoch's members, in their order. @throws DaFormatError when there are none, or one has no weight */
export function sharesOf(weights: readonly bigint[]): Shares {
  if (weights.length === 0) throw new DaFormatError('an epoch has no members: expected at least one')
  const without = weights.findIndex((weight) => weight <= 0n)
  if (without >= 0) throw new DaFormatError(`the weight of member ${without} is ${weights[without]}: expected more than 0`)
  const totalWeight = weights.reduce((sum, weight) => sum + weight)
  const nextSlot = CODES.map(() => 0)
  let nextWeight = 0n
  const members = weights.map((weight) => {
    const member = { weight, firstWeight: nextWeight, firstSlot: [...nextSlot] }
    for (const code of CODES) nextSlot[code.index]! += rowsOfShare(code, weight, totalWeight)
    nextWeight += weight
    return member
  })
  const fitting = CODES.filter(({ index, t }) => nextSlot[index]! <= t).reduce((mask, { index }) => mask | (1 << index), 0)
  const committees = fitting === 0
  return { totalWeight, codes: committees ? 1 << COMMITTEE_CODE.index : fitting, committees, members }
}
