/** Gets the files of submissions from the storage network into the database, every segment verified against the root. */
import PQueue from 'p-queue'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import { fetchSegments } from '../../../sdk/storage/fetch.ts'
import { findHolders, type HolderOptions } from '../../../sdk/storage/holders.ts'
import { IndexerClient } from '../../../sdk/storage/indexer-client.ts'
import { StorageNodeClient } from '../../../sdk/storage/node-client.ts'
import type { Log } from '../../runtime/log.ts'
import type { KvDatabase } from './schema.ts'

/** `absent`: the storage network answers, and does not have the file. `unreachable`: it does not answer, which says nothing about the file. */
export type Outcome = 'stored' | 'absent' | 'unreachable'

/** Files fetched at once, and files queued before the queue says it is full. */
const PARALLEL = 4
const FULL = 64
/** Milliseconds until a file that was not got is asked for again: doubling between these. */
const RETRY_FIRST = 500
const RETRY_LAST = 30_000

interface Attempt {
  outcome: Outcome
  retryAt: number
  delay: number
}

export interface DownloadsOptions {
  db: KvDatabase
  /** Where files are found: an indexer, or the nodes themselves. */
  source: Omit<HolderOptions, 'signal'>
  log: Log
  signal: AbortSignal
  /** Called after each attempt. */
  settled(root: string, outcome: Outcome): Promise<void>
}

export class Downloads {
  readonly #options: DownloadsOptions
  readonly #queue = new PQueue({ concurrency: PARALLEL })
  readonly #queued = new Set<string>()
  readonly #attempts = new Map<string, Attempt>()

  constructor(options: DownloadsOptions) {
    this.#options = options
  }

  get full(): boolean {
    return this.#queued.size >= FULL
  }

  /** Milliseconds until the next file may be asked for again; Infinity when none is waiting. */
  get nextRetry(): number {
    const waits = [...this.#attempts.values()].map(({ retryAt }) => retryAt - Date.now())
    return Math.min(...waits.filter((wait) => wait > 0), Number.POSITIVE_INFINITY)
  }

  /** What the last attempt came to; undefined before the first. */
  outcome(root: string): Outcome | undefined {
    return this.#attempts.get(root)?.outcome
  }

  /** Forgets the attempts at a file that nobody waits for any more. */
  forget(root: string): void {
    this.#attempts.delete(root)
  }

  /** Has the file fetched, unless it is being fetched or was asked for a moment ago. */
  want(root: string): void {
    const last = this.#attempts.get(root)
    if (this.#queued.has(root) || (last && last.retryAt > Date.now())) return
    this.#queued.add(root)
    void this.#queue.add(() => this.#attempt(root))
  }

  async #fetch(root: string): Promise<Outcome> {
    const { db, source, log, signal } = this.#options
    if (await this.stored(root)) return 'stored'
    try {
      const file = await findHolders(root, { ...source, signal })
      await fetchSegments(file, Array(file.shape.segments).keys(), {
        ...source,
        signal,
        deliver: async (part, bytes) => {
          const row = { root, part, bytes: bytes.slice() }
          await db
            .insertInto('kv_data')
            .values(row)
            .onConflict((on) => on.columns(['root', 'part']).doUpdateSet({ bytes: row.bytes }))
            .execute()
        },
      })
      // Last: a file counts only when every part of it is there.
      await db
        .insertInto('kv_file')
        .values({ root, size: file.shape.size })
        .onConflict((on) => on.column('root').doNothing())
        .execute()
      return 'stored'
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof PerigeeError)) throw error
      const missing = (error.code === 'NOT_FOUND' || error.code === 'VERIFICATION_FAILED') && (await this.#networkAnswers())
      log.debug({ root, reason: reasonOf(error) }, missing ? 'the storage network does not have the file yet' : 'the storage network cannot be reached')
      return missing ? 'absent' : 'unreachable'
    }
  }

  async stored(root: string): Promise<boolean> {
    return (await this.#options.db.selectFrom('kv_file').select('root').where('root', '=', root).executeTakeFirst()) !== undefined
  }

  /** Waits for the downloads under way to stop. */
  async stop(): Promise<void> {
    this.#queue.clear()
    await this.#queue.onIdle()
  }

  async #attempt(root: string): Promise<void> {
    const { log, signal, settled } = this.#options
    let outcome: Outcome = 'unreachable'
    try {
      outcome = await this.#fetch(root)
    } catch (error) {
      if (signal.aborted) return
      log.error({ root, error }, 'could not store a file')
    }
    const delay = Math.min((this.#attempts.get(root)?.delay ?? RETRY_FIRST / 2) * 2, RETRY_LAST)
    this.#attempts.set(root, { outcome, delay, retryAt: outcome === 'stored' ? Number.POSITIVE_INFINITY : Date.now() + delay })
    this.#queued.delete(root)
    await settled(root, outcome).catch((error) => log.error({ root, error }, 'could not note the outcome of a download'))
  }

  /** Whether the answer "nobody has it" comes from a network that is there. An indexer without live nodes answers so about every file. */
  async #networkAnswers(): Promise<boolean> {
    const { source, signal } = this.#options
    try {
      if (!source.nodes) return (await new IndexerClient(source.indexer!).nodes({ signal, retries: 0 })).length > 0
      await Promise.any(source.nodes.map((url) => new StorageNodeClient(url).status({ signal, retries: 0 })))
      return true
    } catch {
      return false
    }
  }
}
