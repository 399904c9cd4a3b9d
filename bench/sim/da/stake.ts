import type { Chance } from './chance.ts'

/** How stake lies among signers. */
export const DISTRIBUTIONS = {
  equal: () => 1,
  /** The n-th has 1/√n of the first one's. */
  Zipf: (index: number) => 1 / Math.sqrt(index + 1),
  /** One has three tenths of all, the others are equal. */
  whale: (index: number, signers: number) => (index === 0 ? (3 / 7) * (signers - 1) : 1),
}

export type Distribution = keyof typeof DISTRIBUTIONS

const COIN = 10n ** 18n

/** wei of each signer; the smallest have some thousand coins. */
export function stakesOf(distribution: Distribution, signers: number): bigint[] {
  return Array.from({ length: signers }, (_, i) => weiOf(DISTRIBUTIONS[distribution](i, signers)))
}

const weiOf = (part: number): bigint => BigInt(Math.round(part * 1e6)) * (COIN / 100n)

/** One epoch later: each signer has left with probability `leaving`, as many as left on average have joined with the stake of one who is there, and stakes have moved by up to 5 %. */
export function afterAnEpoch(stakes: readonly bigint[], leaving: number, signers: number, chance: Chance): bigint[] {
  const stay = stakes.filter(() => chance.uniform() >= leaving)
  const join = Array.from({ length: signers }, () => chance.uniform() < leaving).filter(Boolean)
  const joined = join.map(() => stakes[chance.below(stakes.length)]!)
  return [...stay, ...joined].map((wei) => (wei * BigInt(950 + chance.below(101))) / 1000n)
}
