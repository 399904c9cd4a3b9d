import { rowsOfShare } from '../../../protocol/da/shares.ts'
import type { Chance } from './chance.ts'
import { assignmentOf, codesOf, type SimulatedEpoch } from './epoch.ts'
import { log2AllGood, log2WronglyAccepts } from './probability.ts'
import type { Distribution } from './stake.ts'

export interface Soundness {
  signers: number
  distribution: Distribution
  k: number
  /** What the member with fewest rows holds. */
  rows: number
  /** log2 of the probability that it accepts a blob of which too few rows are valid; −∞ if it holds enough to decode. */
  log2Accepts: number
}

/** How sure the least of the members can be on its own, by code. */
export const soundnessOf = ({ shares, signers, distribution }: SimulatedEpoch): Soundness[] =>
  codesOf(shares).map((code) => {
    const { members, totalWeight } = shares
    const rows = Math.min(...members.map(({ weight }) => rowsOfShare(code, weight, totalWeight)))
    return { signers, distribution, k: code.k, rows, log2Accepts: log2WronglyAccepts(code.k, rows) }
  })

/** Which five eighths of the rows are valid. */
type Valid = 'random' | 'lower' | 'even first' | 'even halves'

export interface PermutationTest {
  k: number
  valid: Valid
  /** Rows that are looked at together. */
  drawn: number
  samples: number
  /** How often all of them were valid, and how often a random permutation would let them be. */
  measured: number
  expected: number
  /** Standard deviations in between. */
  deviation: number
}

/**
 * Whether the rows of members are like rows drawn at random: how often `drawn` of them are all valid, for sets of valid rows of several shapes, one of which
 * a small network might favour.
 */
export function permutationOf({ shares }: SimulatedEpoch, blobs: number, drawn: number, chance: Chance): PermutationTest[] {
  const code = codesOf(shares)[0]!
  const good = (5 * code.t) / 8
  const tests = Object.entries(validRows(code.t, chance)).map(([valid, rows]) => {
    const isValid = new Uint8Array(code.t)
    for (const row of rows.slice(0, good)) isValid[row] = 1
    return { valid: valid as Valid, isValid, hits: 0 }
  })
  let samples = 0
  for (let blob = 0; blob < blobs; blob++) {
    const { rowsOf } = assignmentOf(shares, chance, code)
    for (let member = 0; member < shares.members.length; member++) {
      const rows = rowsOf(member)
      for (let at = 0; at + drawn <= rows.length; at += drawn, samples++)
        for (const test of tests) if (rows.subarray(at, at + drawn).every((row) => test.isValid[row])) test.hits++
    }
  }
  const expected = 2 ** log2AllGood(code.t, good, drawn)
  return tests.map(({ valid, hits }) => ({
    ...{ k: code.k, valid, drawn, samples, measured: hits / samples, expected },
    deviation: (hits - samples * expected) / Math.sqrt(samples * expected * (1 - expected)),
  }))
}

/** All rows, the valid ones first. */
function validRows(t: number, chance: Chance): Record<Valid, number[]> {
  const half = Math.sqrt(t)
  const rows = Array.from({ length: t }, (_, row) => row)
  const by = (order: (row: number) => number) => [...rows].sort((a, b) => order(a) - order(b))
  return {
    random: chance.order(t),
    lower: rows,
    'even first': by((row) => row % 2),
    'even halves': by((row) => (row ^ Math.floor(row / half)) % 2),
  }
}
