import { isEnoughWeight } from '../../../protocol/da/certificate.ts'

/** A blob that enough members have stored. Members are indices in the epoch. */
export interface Stored {
  epoch: number
  blobId: string
  /** By member, each that has stored it; the slower ones still come. */
  answers: ReadonlyMap<number, unknown>
}

/** What of an epoch says how much its members weigh. */
export interface Weighing {
  members: readonly { weight: bigint }[]
  totalWeight: bigint
}

/** Weight of some members together. */
export function weightOf(members: Iterable<number>, { members: all }: Pick<Weighing, 'members'>): bigint {
  let sum = 0n
  for (const member of members) sum += all[member]!.weight
  return sum
}

/** Batches that are signed or on their way to the chain together. */
export const MOST_UNDERWAY = 2
/** How long after another a batch may be sealed beside it, in ms: one that takes longer only waits for its block. */
const BESIDE_MS = 1000

/** What waits for a batch. Times in ms. */
export interface Queue {
  ready: number
  /** Since when the oldest blob is ready. */
  oldestAt: number
  /** Batches under way, and when the last of them was sealed. */
  underway: number
  sealedAt: number
}

/**
 * When the next batch is sealed, in ms. A blob waits a little for company; and while a batch is under way all wait for that, as signatures, transaction and
 * records cost the same for one blob and for many: so batches grow with the load. A full one waits for nothing.
 */
export function sealingTime({ ready, oldestAt, underway, sealedAt }: Queue, { batchMs, batchBlobs }: { batchMs: number; batchBlobs: number }): number {
  if (ready >= batchBlobs) return 0
  return Math.max(oldestAt + batchMs, underway > 0 ? sealedAt + BESIDE_MS : 0)
}

export interface Choice<S extends Stored> {
  blobs: S[]
  /** Those that have stored every blob of them: they can sign. */
  members: ReadonlySet<number>
}

/**
 * The next batch: the oldest blob, and of those behind it, up to `most` together, each that leaves signers enough that hold all. Equal blobs are in it
 * once, and all are of one epoch.
 * @param ready oldest first, not empty
 */
export function chooseBatch<S extends Stored>(ready: readonly S[], weighing: Weighing, most: number): Choice<S> {
  const first = ready[0]!
  const choice: Choice<S> = { blobs: [first], members: new Set(first.answers.keys()) }
  for (const blob of ready.slice(1)) {
    if (choice.blobs.length === most) break
    if (blob.epoch !== first.epoch || choice.blobs.some(({ blobId }) => blobId === blob.blobId)) continue
    const common = new Set([...blob.answers.keys()].filter((member) => choice.members.has(member)))
    if (!isEnoughWeight(weightOf(common, weighing), weighing.totalWeight)) continue
    choice.blobs.push(blob)
    choice.members = common
  }
  return choice
}
