import { setImmediate as othersTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Provider } from 'ethers'
import { decodeStreamData, type StreamData, StreamDataError } from '../../../protocol/storage/streams.ts'
import type { Log } from '../../runtime/log.ts'
import { accessAt } from './access.ts'
import { close, insertChanges, isOpen, type SubmissionRow } from './changes.ts'
import { decide, type Sent } from './decide.ts'
import { Downloads, type DownloadsOptions, type Outcome } from './downloads.ts'
import { rewind } from './log.ts'
import type { KvMetrics } from './metrics.ts'
import type { KvDatabase } from './schema.ts'
import { readData } from './values.ts'

/** Bytes of one submission that are replayed: a fixed part of the rules, not a setting, since nodes must agree. */
export const MAX_STREAM_DATA = 64 * 2 ** 20
export const DOWNLOAD_FAILED = 'DownloadFailed'
const SENDER_NO_WRITE_PERMISSION = 'SenderNoWritePermission'

/** Submissions read at once. */
const PAGE = 200
/** Milliseconds between two looks for work when nothing announces any, and at most between two looks for late data. */
const IDLE = 1000
const RECHECK_EVERY = 15_000
/** Submissions without data that one look for late data covers. */
const RECHECK_AT_ONCE = 32

export interface ReplayOptions {
  db: KvDatabase
  provider: Provider
  source: DownloadsOptions['source']
  watched: (stream: string) => boolean
  /** Milliseconds of continuous absence after which a submission is decided without its data. */
  dataWait: number
  /** Milliseconds, from the first absence, in which late data are still taken. */
  lateData: number
  metrics: KvMetrics
  log: Log
}

/**
 * Decides submissions in the order of the log.
 *
 * What a submission comes to depends on the streams in its tags and its reads only, so one whose data are missing holds up the
 * streams it is tagged with, and no others: the outcome is that of a strict replay by number, whatever arrives first.
 *
 * Data that nobody has must not hold up a stream for ever. After `dataWait` the submission is decided as DownloadFailed and the
 * stream goes on. That decision alone depends on the moment and not on the log, so it is provisional: when the data do appear
 * within `lateData`, replay goes back to it and decides it, and whatever depends on it, anew. Two nodes thus come to the same
 * state. Time in which the storage network does not answer counts for nothing.
 */
export class Replay {
  readonly #options: ReplayOptions
  readonly #downloads: Downloads
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #wake: () => void = () => {}
  #lastRecheck = Date.now()
  #problem: string | undefined = 'replay has not caught up with the log yet'
  #waitsFor: string | undefined

  constructor(options: ReplayOptions) {
    this.#options = options
    this.#downloads = new Downloads({ ...options, signal: this.#stopping.signal, settled: (root, outcome) => this.#settled(root, outcome) })
  }

  /** Why what is served is behind the log; undefined when only data that nobody has are missing. */
  problem(): string | undefined {
    return this.#problem
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Finishes the submission in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.wake()
    await this.#running
    await this.#downloads.stop()
  }

  /** There may be something to do: new submissions, or a file. */
  wake(): void {
    this.#wake()
  }

  async #run(): Promise<void> {
    const { log } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      try {
        this.#waitsFor = undefined
        const decided = await this.#pass()
        this.#problem = this.#waitsFor
        if (decided > 0) continue
        await this.#recheck()
      } catch (error) {
        if (signal.aborted) break
        this.#problem = `replay stopped: ${(error as Error).message}`
        log.error({ error }, 'replay stopped; trying again')
      }
      const timer = new AbortController()
      const due = Math.min(IDLE, this.#downloads.nextRetry)
      await Promise.race([woken, sleep(due, undefined, { signal: timer.signal }).catch(() => {})])
      timer.abort()
    }
  }

  /** Goes through the undecided submissions once. Returns how many it decided. */
  async #pass(): Promise<number> {
    const { db, watched } = this.#options
    const { signal } = this.#stopping
    const waiting = new Set<string>()
    let decided = 0
    for (let after = -1; !signal.aborted && !this.#downloads.full; ) {
      const rows = await db.selectFrom('kv_submission').selectAll().where('decided', '=', false).where('seq', '>', after).orderBy('seq').limit(PAGE).execute()
      if (rows.length === 0) break
      after = rows.at(-1)!.seq
      await this.#resolveSenders(rows)
      for (const row of rows) {
        // The embedded database answers without ever leaving the microtask queue: readers would wait for the end of a long replay.
        await othersTurn()
        if (signal.aborted) break
        const streams: string[] = JSON.parse(row.streams)
        if (streams.every(watched) ? await this.#tryDecide(row, streams, waiting) : await this.#skip(row)) decided++
        else for (const stream of streams) waiting.add(stream)
      }
    }
    return decided
  }

  /** Decides a submission if nothing it needs is missing. `waiting`: streams with earlier submissions that are not decided. */
  async #tryDecide(row: SubmissionRow, streams: string[], waiting: ReadonlySet<string>): Promise<boolean> {
    const { db, dataWait } = this.#options
    if (row.sender === null) return this.#wait(`the chain endpoint does not know the transaction of submission ${row.seq}`)
    const sent: Sent = { seq: row.seq, sender: row.sender, streams }
    if (streams.some((stream) => waiting.has(stream))) {
      if (row.size <= MAX_STREAM_DATA) this.#downloads.want(row.root)
      return false
    }
    // Before its data, which an account that cannot write need not even provide.
    if (!(await canWrite(db, sent))) return this.#conclude(row, sent, SENDER_NO_WRITE_PERMISSION)
    if (row.size > MAX_STREAM_DATA) return this.#conclude(row, sent, `DataParseError: ${row.size} bytes, at most ${MAX_STREAM_DATA} are replayed`)
    const bytes = await this.#bytes(row.root, row.size)
    if (!bytes) {
      const outcome = this.#downloads.outcome(row.root)
      const absentFor = row.absentSince === null ? 0 : Date.now() - row.absentSince
      if (outcome === 'absent' && absentFor >= dataWait) return this.#conclude(row, sent, DOWNLOAD_FAILED)
      this.#downloads.want(row.root)
      if (outcome === 'absent') return false
      return this.#wait(`submission ${row.seq} waits for its data${outcome === 'unreachable' ? ': the storage network cannot be reached' : ''}`)
    }
    let data: StreamData
    try {
      data = decodeStreamData(bytes)
    } catch (error) {
      if (!(error instanceof StreamDataError)) throw error
      return this.#conclude(row, sent, `DataParseError: ${error.message}`)
    }
    if (data.reads.some(({ stream }) => waiting.has(stream))) return false
    return this.#apply(row, sent, bytes, data)
  }

  #wait(reason: string): false {
    this.#waitsFor ??= reason
    return false
  }

  /** The data of a submission. One file may stand for submissions that differ in how many zeros end them within the padding. */
  async #bytes(root: string, size: number): Promise<Uint8Array | undefined> {
    const { db } = this.#options
    const file = await db.selectFrom('kv_file').select('size').where('root', '=', root).executeTakeFirst()
    if (!file) return undefined
    const bytes = new Uint8Array(size)
    bytes.set(await readData(db, root, 0, Math.min(size, file.size)))
    return bytes
  }

  async #apply(row: SubmissionRow, sent: Sent, bytes: Uint8Array, data: StreamData): Promise<boolean> {
    const depends = [...new Set([...sent.streams, ...data.reads.map(({ stream }) => stream)])]
    const decision = await this.#options.db.transaction().execute(async (trx) => {
      if (!(await isOpen(trx, row))) return undefined
      const decision = await decide(trx, sent, data, this.#options.watched)
      await insertChanges(trx, sent, decision, bytes)
      await close(trx, row, decision.result, depends)
      return decision
    })
    if (decision) this.#report(sent.seq, decision.result)
    this.#downloads.forget(row.root)
    return decision !== undefined
  }

  /** Decides a submission that changes nothing. */
  async #conclude(row: SubmissionRow, sent: Sent, result: string): Promise<boolean> {
    const concluded = await this.#options.db.transaction().execute(async (trx) => {
      if (!(await isOpen(trx, row))) return false
      await close(trx, row, result, sent.streams)
      return true
    })
    if (concluded) this.#report(sent.seq, result)
    this.#downloads.forget(row.root)
    return concluded
  }

  /** A submission to streams that are not all watched is passed over, without a result. */
  async #skip(row: SubmissionRow): Promise<boolean> {
    await this.#options.db.updateTable('kv_submission').set({ decided: true }).where('seq', '=', row.seq).where('transaction', '=', row.transaction).execute()
    return true
  }

  /** The sender is who signed the transaction: the event names whom the contract was called by, which may be another contract. */
  async #resolveSenders(rows: SubmissionRow[]): Promise<void> {
    const { db, provider, log } = this.#options
    const unknown = rows.filter(({ sender }) => sender === null)
    for (const row of unknown) {
      const transaction = await provider.getTransaction(row.transaction)
      if (!transaction) {
        log.warn({ seq: row.seq, transaction: row.transaction }, 'the chain endpoint does not know the transaction of a submission')
        continue
      }
      row.sender = transaction.from.toLowerCase()
      await db.updateTable('kv_submission').set({ sender: row.sender }).where('seq', '=', row.seq).where('transaction', '=', row.transaction).execute()
    }
  }

  async #settled(root: string, outcome: Outcome): Promise<void> {
    const { db, metrics } = this.#options
    metrics.downloads.inc({ outcome })
    if (outcome === 'absent') {
      await db.updateTable('kv_submission').set({ absentSince: Date.now() }).where('root', '=', root).where('absentSince', 'is', null).execute()
    }
    this.wake()
  }

  /** Looks for data that came too late, and goes back to the submissions whose data did. */
  async #recheck(): Promise<void> {
    const { db, dataWait, lateData, log } = this.#options
    if (Date.now() - this.#lastRecheck < Math.min(RECHECK_EVERY, dataWait)) return
    this.#lastRecheck = Date.now()
    const late = await db
      .selectFrom('kv_submission')
      .select(['seq', 'root'])
      .where('result', '=', DOWNLOAD_FAILED)
      .where('absentSince', '>', Date.now() - lateData)
      .orderBy('checkedAt', (order) => order.asc().nullsFirst())
      .limit(RECHECK_AT_ONCE)
      .execute()
    for (const { seq, root } of late) {
      await db.updateTable('kv_submission').set({ checkedAt: Date.now() }).where('seq', '=', seq).execute()
      if (!(await this.#downloads.stored(root))) {
        this.#downloads.want(root)
        continue
      }
      const again = await db.transaction().execute((trx) => rewind(trx, seq))
      log.info({ seq, again }, 'late data appeared: deciding the submission and what depends on it again')
      this.wake()
    }
  }

  #report(seq: number, result: string): void {
    const kind = result.split(':', 1)[0]!
    this.#options.metrics.decided.inc({ result: kind })
    this.#options.log.info({ seq, result }, 'submission decided')
  }
}

async function canWrite(db: KvDatabase, { seq, sender, streams }: Sent): Promise<boolean> {
  const access = accessAt(db, seq - 1)
  for (const stream of streams) if (await access.canWriteSome(sender, stream)) return true
  return false
}
