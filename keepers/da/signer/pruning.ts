import type { Kysely } from 'kysely'
import { PerigeeError } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { Batches } from './batches.ts'
import type { Membership } from './membership.ts'
import type { Tables } from './schema.ts'
import type { BlobStore, Holding } from './store.ts'

export interface PruningOptions {
  db: Kysely<Tables>
  store: BlobStore
  batches: Batches
  membership: Membership
  /** Seconds, as the contracts have them. */
  retention: number
  answerTime: number
  epochLength: number
  /** The chain's time, unix seconds. */
  now: () => number
  /** Whether all that the chain says is known. */
  upToDate: () => boolean
  log: Log
}

/** Epochs' lengths after whose beginning nothing is certified any more, and one more. */
const CERTIFIABLE_EPOCHS = 4
/** Seconds in which a promise that has ended is remembered. */
const PROMISE_MEMORY_S = 86_400
/** Blobs looked at together. */
const PAGE = 256

/** Removes what nobody can ask for any more: blobs whose retention and last challenge are over, and blobs that nobody can certify. */
export class Pruning {
  readonly #options: PruningOptions

  constructor(options: PruningOptions) {
    this.#options = options
  }

  async prune(signal: AbortSignal): Promise<void> {
    const { db, now, upToDate, log } = this.#options
    let removed = 0
    for (let after = 0; ; ) {
      const page = await db.selectFrom('holdings').selectAll().where('id', '>', after).orderBy('id').limit(PAGE).execute()
      for (const holding of page) {
        // A signer that is behind may not know of the certificate, or the challenge.
        if (signal.aborted || !upToDate()) return
        if (await this.#isDone(holding)) {
          await this.#options.store.remove(holding)
          removed++
        }
      }
      if (page.length < PAGE) break
      after = page.at(-1)!.id
    }
    if (removed > 0) log.info({ blobs: removed }, 'blobs that need not be held any more were removed')
    await this.#pruneBatches()
    await db
      .deleteFrom('promises')
      .where('deadline', '<', now() - PROMISE_MEMORY_S)
      .execute()
  }

  async #isDone({ blob_id, seed, epoch }: Holding): Promise<boolean> {
    const { db, now } = this.#options
    const { last } = await db
      .selectFrom('batches')
      .innerJoin('batch_blobs', (join) => join.onRef('batches.root', '=', 'batch_blobs.root').onRef('batches.epoch', '=', 'batch_blobs.epoch'))
      .select(({ fn }) => fn.max('batches.certified_at').as('last'))
      .where('batch_blobs.blob_id', '=', blob_id)
      .where('batches.seed', '=', seed)
      .executeTakeFirstOrThrow()
    if (last === null) return this.#isClosed(epoch)
    return now() > last + this.#keepFor()
  }

  /** Seconds from a certificate to when the last challenge of it must have been answered, and as much again for the answer to be final. */
  #keepFor(): number {
    const { retention, answerTime } = this.#options
    return retention + 2 * answerTime
  }

  /** Whether nothing is certified in the epoch any more, for some time already. */
  async #isClosed(epoch: number): Promise<boolean> {
    const { membership, epochLength, now } = this.#options
    const startOf = (number: number) =>
      membership.epoch(number).then(
        ({ startedAt }) => startedAt,
        (error) => {
          if (error instanceof PerigeeError && error.code === 'NOT_FOUND') return undefined
          throw error
        },
      )
    const current = await membership.current()
    const [began, currentBegan] = [await startOf(epoch), await startOf(current)]
    if (began !== undefined && now() > began + (CERTIFIABLE_EPOCHS + 1) * epochLength) return true
    return current >= epoch + 2 && currentBegan !== undefined && now() > currentBegan + epochLength / 2
  }

  /** Batches none of whose blobs is held any more, or need be. */
  async #pruneBatches(): Promise<void> {
    const { db, batches, now } = this.#options
    const done = await db
      .selectFrom('batches')
      .select(['root', 'epoch'])
      .where(({ eb, or }) => or([eb('certified_at', 'is', null), eb('certified_at', '<', now() - this.#keepFor())]))
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('batch_blobs')
              .innerJoin('holdings', 'holdings.blob_id', 'batch_blobs.blob_id')
              .select('holdings.id')
              .whereRef('batch_blobs.root', '=', 'batches.root')
              .whereRef('batch_blobs.epoch', '=', 'batches.epoch')
              .whereRef('holdings.seed', '=', 'batches.seed'),
          ),
        ),
      )
      .execute()
    for (const batch of done) await batches.remove(batch)
  }
}
