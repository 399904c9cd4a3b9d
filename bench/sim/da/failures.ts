import type { Chance } from './chance.ts'
import { assignmentOf, codesOf, type SimulatedEpoch } from './epoch.ts'
import type { Distribution } from './stake.ts'

/** Blobs of each epoch. */
const TRIALS = 20

/** In which order an adversary's members are taken until their weight would be a third; `holders` looks at the blob's rows and takes those with most rows to their weight. */
const ORDERS = ['random', 'largest', 'smallest', 'holders'] as const
export type Order = (typeof ORDERS)[number]

/** What members do. Each set has less than a third of the weight, or as much as a certificate can do without. */
export type Adversary =
  /** Some don't answer: nothing is lied about. */
  | 'refuse'
  /** Some sign and store nothing. */
  | 'lie'
  /** Some sign and store nothing, and a disperser of theirs leaves out honest members as well, as many as a certificate can do without. */
  | 'collude'

export interface Failures {
  signers: number
  distribution: Distribution
  k: number
  adversary: Adversary
  order: Order
  trials: number
  /** Blobs with a certificate whose honest signers hold fewer than K distinct rows. */
  failed: number
  /** Distinct rows of the honest signers, of the K it takes, in the worst trial. */
  least: number
}

/**
 * Whether a certificate stands for a blob that can be recovered: in the smallest code that the epoch allows, over some blobs. Members that hold rows for a
 * third of the weight hold K rows by counting: the bound is zero.
 */
export function failuresOf(epoch: SimulatedEpoch, chance: Chance): Failures[] {
  const { shares, signers, distribution } = epoch
  const code = codesOf(shares)[0]!
  const cases = (['refuse', 'lie', 'collude'] as const).flatMap((adversary) =>
    ORDERS.map((order) => ({ adversary, order, least: Number.POSITIVE_INFINITY, failed: 0 })),
  )
  for (let trial = 0; trial < TRIALS; trial++) {
    const assignment = assignmentOf(shares, chance, code)
    const rows = shares.members.map((_, member) => assignment.rowsOf(member))
    for (const each of cases) {
      const honest = honestSigners(epoch, each, rows, chance)
      const held = distinct(rows, honest, code.t)
      each.least = Math.min(each.least, held / code.k)
      if (held < code.k) each.failed++
    }
  }
  return cases.map((each) => ({ signers, distribution, k: code.k, trials: TRIALS, ...each }))
}

/** Members that signed and hold what they signed for. */
function honestSigners(epoch: SimulatedEpoch, { adversary, order }: { adversary: Adversary; order: Order }, rows: Uint32Array[], chance: Chance): number[] {
  const { totalWeight } = epoch.shares
  const everyone = epoch.shares.members.map((_, i) => i)
  const without = (members: readonly number[], by: Order, most: bigint) => leaveOut(epoch, ordered(epoch, members, by, rows, chance), most)
  if (adversary === 'refuse') return without(everyone, order, totalWeight / 3n)
  // Who lies was settled before there was a blob.
  const honest = without(everyone, order === 'holders' && adversary === 'collude' ? 'random' : order, (totalWeight - 1n) / 3n)
  return adversary === 'lie' ? honest : without(honest, order, totalWeight / 3n)
}

/** All but the first ones, of which as many are left out as have a weight of `most` together. */
function leaveOut({ shares }: SimulatedEpoch, members: readonly number[], most: bigint): number[] {
  let left = most
  return members.filter((member) => {
    const { weight } = shares.members[member]!
    if (weight > left) return true
    left -= weight
    return false
  })
}

function ordered({ shares }: SimulatedEpoch, members: readonly number[], order: Order, rows: Uint32Array[], chance: Chance): number[] {
  const weight = (member: number) => Number(shares.members[member]!.weight)
  const density = (member: number) => rows[member]!.length / weight(member)
  const shuffled = chance.order(members.length).map((i) => members[i]!)
  if (order === 'random') return shuffled
  if (order === 'holders') return shuffled.sort((a, b) => density(b) - density(a))
  return shuffled.sort((a, b) => (order === 'largest' ? weight(b) - weight(a) : weight(a) - weight(b)))
}

function distinct(rows: readonly Uint32Array[], members: readonly number[], t: number): number {
  const held = new Uint8Array(t)
  for (const member of members) for (const row of rows[member]!) held[row] = 1
  return held.reduce((sum, one) => sum + one, 0)
}
