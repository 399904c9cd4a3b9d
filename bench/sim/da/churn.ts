import { epochSharesOf } from '../../../protocol/da/committee.ts'
import type { Chance } from './chance.ts'
import { codesOf } from './epoch.ts'
import { afterAnEpoch, stakesOf } from './stake.ts'

/** Epochs of eight hours in which a blob must be held: fourteen days. */
const RETENTION = 42

export interface Churn {
  signers: number
  /** Part of the signers that leaves in each epoch. */
  leaving: number
  epochs: number
  /** By K of the smallest code allowed: in how many epochs. */
  smallest: Record<number, number>
  /** In how many epochs other codes were allowed than in the one before. */
  changes: number
  /** Part of an epoch's stake that is still there when its blobs may be dropped, if who leaves takes the rows along at once: less than a third is too little. */
  kept: number
}

/** What comes and goes: which codes epochs allow one after another, and how much of one epoch is there in the end. */
export function churnOf(signers: number, leaving: number, chance: Chance): Churn {
  let stakes = stakesOf('Zipf', signers)
  let original = stakes.map((_, i) => i)
  const first = stakes
  const masks: number[] = []
  for (let epoch = 0; epoch < RETENTION; epoch++) {
    masks.push(epochSharesOf(stakes, chance.hash()).codes)
    original = original.filter(() => chance.uniform() >= leaving)
    stakes = afterAnEpoch(stakes, leaving, signers, chance)
  }
  const smallest: Record<number, number> = {}
  for (const codes of masks) {
    const { k } = codesOf({ codes })[0]!
    smallest[k] = (smallest[k] ?? 0) + 1
  }
  const sum = (weights: readonly bigint[]) => Number(weights.reduce((total, weight) => total + weight, 0n))
  return {
    ...{ signers, leaving, epochs: RETENTION, smallest },
    changes: masks.filter((mask, epoch) => epoch > 0 && mask !== masks[epoch - 1]).length,
    kept: sum(original.map((i) => first[i]!)) / sum(first),
  }
}
