import type { Kysely } from 'kysely'
import PQueue from 'p-queue'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import type { FileStore } from './file-store.ts'
import type { Finality } from './finality.ts'
import type { Leases } from './leases.ts'
import type { Receipts } from './receipts.ts'
import type { Replication } from './replication.ts'
import type { StateTable, Tables } from './schema.ts'
import type { Scrub } from './scrub.ts'
import type { Submission, Submissions } from './submissions.ts'
import type { Round } from './upkeep.ts'
import type { Uploads } from './uploads.ts'

export interface RoundsOptions {
  db: Kysely<Tables>
  config: Pick<Config, 'replicateMs' | 'replicateAfterMs' | 'scrubMs' | 'scrubBytes' | 'leaseMs'>
  submissions: Submissions
  store: FileStore
  uploads: Uploads
  finality: Finality
  replication: Replication
  scrub: Scrub
  leases: Leases
  receipts: Receipts
  now(): number
  log: Logger
}

/** Submissions read, and files fetched, at once. */
const BATCH = 100
const FETCHES = 4
/** Longest pause between two attempts at a file that no peer has. */
const MAX_PAUSE_MS = 60_000

/** What a node does by itself: fetch what it lacks, look for damage, follow leases. */
export function createRounds(options: RoundsOptions): Record<'replicate' | 'scrub' | 'leases', Round> {
  const { db, config, uploads, scrub, leases, receipts, log } = options
  const fetches = new Fetches(options)

  return {
    replicate: {
      everyMs: config.replicateMs,
      async run(signal) {
        await checkFolder(options)
        await fetches.run(signal)
      },
    },
    scrub: {
      everyMs: config.scrubMs,
      async run(signal) {
        const after = await readState(db, 'scrubbed')
        const result = await scrub.round(after, config.scrubBytes, signal)
        await writeState(db, 'scrubbed', result.reached ?? '')
        if (result.damaged > 0 || result.removed > 0) log.info(result, 'scrubbed')
      },
    },
    leases: {
      everyMs: config.leaseMs,
      async run() {
        await leases.learn()
        await receipts.issue()
        await leases.prune()
        await uploads.expire(Date.now())
      },
    },
  }
}

/** A data folder that is not the one the tables speak of holds nothing, whatever they say. */
export async function checkFolder({ db, store, submissions, log }: Pick<RoundsOptions, 'db' | 'store' | 'submissions' | 'log'>): Promise<void> {
  const identity = await store.identity()
  const known = await readState(db, 'folder')
  if (identity === known) return
  if (known) log.warn({ folder: store.folder }, 'the data folder was deleted or replaced: looking at what is there, fetching the rest from peers')
  await submissions.setNothingStored()
  await writeState(db, 'folder', identity)
}

/** Attempts at what is missing: often while a submission is young, ever rarer for a file that no peer can give. */
class Fetches {
  readonly #options: RoundsOptions
  readonly #attempted = new Map<number, number>()

  constructor(options: RoundsOptions) {
    this.#options = options
  }

  async run(signal: AbortSignal): Promise<void> {
    const { submissions, now } = this.#options
    const queue = new PQueue({ concurrency: FETCHES })
    const seen = new Set<number>()
    for (let after = -1; ; ) {
      signal.throwIfAborted()
      const batch = await submissions.unfinished(after, now(), BATCH)
      for (const submission of batch) {
        seen.add(submission.seq)
        if (this.#isDue(submission)) void queue.add(() => this.#attempt(submission, signal))
      }
      await queue.onIdle()
      if (batch.length < BATCH) break
      after = batch.at(-1)!.seq
    }
    for (const seq of this.#attempted.keys()) if (!seen.has(seq)) this.#attempted.delete(seq)
  }

  #isDue({ seq, seenAt }: Submission): boolean {
    const last = this.#attempted.get(seq)
    return last === undefined || Date.now() - last >= Math.min(MAX_PAUSE_MS, (last - seenAt) / 4)
  }

  async #attempt(submission: Submission, signal: AbortSignal): Promise<void> {
    const { uploads, finality, replication, config, log } = this.#options
    if (signal.aborted) return
    this.#attempted.set(submission.seq, Date.now())
    try {
      await finality.settle(submission)
      const quiet = Date.now() - Math.max(submission.seenAt, uploads.lastWrite(submission) ?? 0)
      await replication.fetch(submission, { partial: quiet >= config.replicateAfterMs })
    } catch (error) {
      log.warn({ seq: submission.seq, err: error }, 'a file could not be fetched')
    }
  }
}

async function readState(db: Kysely<Tables>, key: StateTable['key']): Promise<string | undefined> {
  return (await db.selectFrom('state').select('value').where('key', '=', key).executeTakeFirst())?.value
}

async function writeState(db: Kysely<Tables>, key: StateTable['key'], value: string): Promise<void> {
  await db
    .insertInto('state')
    .values({ key, value })
    .onConflict((on) => on.column('key').doUpdateSet({ value }))
    .execute()
}
