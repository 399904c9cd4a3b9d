import { createChance } from './chance.ts'
import { type Churn, churnOf } from './churn.ts'
import { BLOBS, epochOf, type Load, loadOf, SIGNERS, type SimulatedEpoch } from './epoch.ts'
import { type Failures, failuresOf } from './failures.ts'
import type { Plot } from './plot.ts'
import { type Seats, seatsOfParts } from './seats.ts'
import { type PermutationTest, permutationOf, type Soundness, soundnessOf } from './soundness.ts'
import { DISTRIBUTIONS, type Distribution } from './stake.ts'
import { type Throughput, throughputOf } from './throughput.ts'

export interface Simulation {
  loads: Load[]
  soundness: Soundness[]
  failures: Failures[]
  seats: Seats[]
  permutation: PermutationTest[]
  churn: Churn[]
  throughput: Throughput[]
}

const CHURN = { signers: [28, 111, 442], leaving: [0.001, 0.01, 0.03] }
/** Signers that no code has room for. */
const COMMITTEES = [600, 1000]
/** Blobs over which the permutation of each code is looked at, for as many members as that code has; and rows at once. */
const PERMUTATION = { blobs: { 7: 4000, 28: 1000, 111: 250, 442: 60 }, drawn: 8 }

/** Everything, from the functions that the network itself runs (protocol/da); the same in every run. */
export function simulate(progress: (what: string) => void): Simulation {
  const chance = createChance('da')
  const epochs: SimulatedEpoch[] = (Object.keys(DISTRIBUTIONS) as Distribution[]).flatMap((distribution) =>
    SIGNERS.map((signers) => epochOf(distribution, signers)),
  )
  progress('rows and bytes')
  const loads = epochs.flatMap((epoch) => BLOBS.map((blob) => loadOf(epoch, blob)))
  progress('members that refuse, lie and collude')
  const failures = epochs.flatMap((epoch) => failuresOf(epoch, chance))
  progress('seats of committees')
  const seats = (Object.keys(DISTRIBUTIONS) as Distribution[]).flatMap((distribution) =>
    COMMITTEES.flatMap((signers) => seatsOfParts(distribution, signers, chance)),
  )
  progress('rows of members, next to rows drawn at random')
  const permutation = Object.entries(PERMUTATION.blobs).flatMap(([signers, blobs]) =>
    permutationOf(epochOf('equal', Number(signers)), blobs, PERMUTATION.drawn, chance),
  )
  progress('members that come and go')
  const churn = CHURN.signers.flatMap((signers) => CHURN.leaving.map((leaving) => churnOf(signers, leaving, chance)))
  progress('throughput')
  const throughput = BLOBS.flatMap((blob) => throughputOf(blob))
  return { loads, soundness: epochs.flatMap(soundnessOf), failures, seats, permutation, churn, throughput }
}

const MARKS = '·o+x'

/** What the network carries as it grows. */
export const plotOf = ({ throughput }: Simulation): Plot => ({
  title: 'What the network carries, with dispersers enough',
  x: 'signers of equal stake',
  y: 'MB of blobs per second',
  series: BLOBS.map((blob, i) => ({
    name: `blobs of ${sizeOf(blob)}`,
    mark: MARKS[i]!,
    points: throughput.filter((each) => each.blob === blob).map(({ signers, signerLimit }) => [signers, signerLimit] as const),
  })),
})

export const sizeOf = (bytes: number): string => (bytes < 2 ** 20 ? `${bytes / 2 ** 10} KiB` : `${bytes / 2 ** 20} MiB`)
