import { setTimeout as sleep, setImmediate as yieldToOthers } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import type { Histogram, Registry } from 'prom-client'
import { feeOf } from '../../../protocol/compute/receipt.ts'
import type { Log } from '../../runtime/log.ts'
import { histogram, SECONDS } from '../../runtime/metrics.ts'
import { unavailable } from './errors.ts'
import type { ReceiptRow } from './signing.ts'
import type { SigningThread } from './signing-thread.ts'
import type { Spend, Spender } from './spend.ts'
import type { AnswerTable, ReplayTable, Tables } from './tables.ts'
import type { Price } from './terms.ts'

/** A complete answer whose last byte has not been sent. Hashes are 0x hex. */
export interface Draft extends Spender {
  id: string
  /** Unix seconds: when the request was let in, by the chain's clock. */
  createdAt: number
  /** In force then. */
  price: Price
  inputUnits: bigint
  outputUnits: bigint
  requestHash: string
  responseHash: string
  model: string
  specHash: string
  seed: bigint
  unitsRule: string
  /** Kept for another request with the same Idempotency-Key. */
  replay?: Omit<ReplayTable, 'user' | 'answer' | 'request_hash'> | undefined
}

/** A row as it is written: the defaults (`metered`, no batch) are the database's. */
export type AnswerRow = Omit<AnswerTable, 'state' | 'batch'>

interface Waiting {
  draft: Draft
  resolve: (row: AnswerRow) => void
  reject: (error: Error) => void
}

export interface JournalOptions {
  db: Kysely<Tables>
  spend: Spend
  signing: SigningThread
  log: Log
  metrics: Registry
  /** Ends the attempts to reach a database that is away. */
  signal: AbortSignal
}

/** Answers in one transaction at most. */
const GROUP = 128
const RECOVERY_MS = 1000
const COLUMNS = sql.join(
  (
    [
      ...['id', 'user', 'sequence', 'created_at', 'token_id', 'price_version', 'input_units', 'output_units', 'fee', 'cumulative_fee', 'key_spend'],
      ...['request_hash', 'response_hash', 'model', 'spec_hash', 'seed', 'units_rule', 'key_epoch', 'signer', 'signature', 'state'],
    ] as const
  ).map((name) => sql.ref(name)),
)

/**
 * Counts, prices, signs and stores answers, in groups: while one group is written the next one gathers. An answer is acknowledged after its
 * group is in the database, so whoever has the last byte of an answer can prove what it cost.
 */
export class Journal {
  readonly #options: JournalOptions
  readonly #sizes: Histogram
  readonly #duration: Histogram
  #waiting: Waiting[] = []
  #writing: Promise<void> | undefined
  #trouble: string | undefined

  constructor(options: JournalOptions) {
    this.#options = options
    const { metrics } = options
    this.#sizes = histogram(metrics, { name: 'journal_group_answers', help: 'Answers written in one transaction', buckets: [1, 2, 4, 8, 16, 32, 64, 128] })
    this.#duration = histogram(metrics, { name: 'journal_commit_seconds', help: 'Time to write one group', buckets: SECONDS })
  }

  /** Why answers can't be stored now, or undefined. */
  problem(): string | undefined {
    return this.#trouble
  }

  /** @throws ApiError 503 when it could not be stored: it is not charged then */
  append(draft: Draft): Promise<AnswerRow> {
    if (this.#trouble !== undefined) return Promise.reject(unavailable('answers cannot be recorded now', 5))
    const { promise, resolve, reject } = Promise.withResolvers<AnswerRow>()
    this.#waiting.push({ draft, resolve, reject })
    this.#writing ??= this.#write()
    return promise
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    // One turn of the loop, in which answers that are complete together come together.
    await yieldToOthers()
    while (this.#waiting.length > 0) await this.#writeGroup(this.#waiting.splice(0, GROUP))
    this.#writing = undefined
  }

  async #writeGroup(group: Waiting[]): Promise<void> {
    try {
      const { signing } = this.#options
      const counted = group.map(({ draft }) => this.#count(draft))
      const signatures = await signing.sign(counted.map(({ row }) => row))
      const rows = counted.map(({ row, key_epoch }, index) => ({ ...row, key_epoch, signer: signing.address, signature: signatures[index]! }))
      const stop = this.#duration.startTimer()
      await this.#insert(group, rows)
      stop()
      this.#sizes.observe(rows.length)
      for (const [index, { resolve }] of group.entries()) resolve(rows[index]!)
    } catch (error) {
      this.#trouble = `answers cannot be stored: ${(error as Error).message}`
      this.#options.log.error({ err: error, answers: group.length }, 'answers could not be stored: nobody is charged for them, and no others are taken')
      for (const { reject } of [...group, ...this.#waiting.splice(0)]) reject(unavailable('the answer could not be recorded; you are not charged', 5))
      await this.#recover(group.map(({ draft }) => draft))
    }
  }

  #count(draft: Draft): { row: ReceiptRow; key_epoch: string } {
    const { spend } = this.#options
    const { createdAt, price } = draft
    const fee = feeOf(draft, price)
    const count = spend.count(draft, fee)
    const row = {
      id: draft.id,
      user: draft.user,
      sequence: count.sequence,
      created_at: createdAt,
      token_id: draft.tokenId,
      price_version: price.version,
      input_units: Number(draft.inputUnits),
      output_units: Number(draft.outputUnits),
      fee: fee.toString(),
      cumulative_fee: count.cumulativeFee.toString(),
      key_spend: count.keySpend.toString(),
      request_hash: draft.requestHash,
      response_hash: draft.responseHash,
      model: draft.model,
      spec_hash: draft.specHash,
      seed: draft.seed.toString(),
      units_rule: draft.unitsRule,
    }
    return { row, key_epoch: draft.epoch }
  }

  async #insert(group: readonly Waiting[], rows: readonly AnswerRow[]): Promise<void> {
    const { db } = this.#options
    const replays = group.flatMap(({ draft: { replay, user, id, requestHash } }) =>
      replay ? [{ ...replay, user, answer: id, request_hash: requestHash }] : [],
    )
    const insert = (on: Kysely<Tables>) =>
      // One parameter, whatever the number of rows: three times as fast as a list of values.
      sql`insert into answers (${COLUMNS}) select ${COLUMNS} from json_populate_recordset(null::answers, ${JSON.stringify(rows.map((row) => ({ ...row, state: 'metered' })))}::json)`.execute(
        on,
      )
    if (replays.length === 0) return void (await insert(db))
    await db.transaction().execute(async (trx) => {
      await insert(trx)
      await trx.deleteFrom('replays').where('expires_at', '<', Date.now()).execute()
      await trx
        .insertInto('replays')
        .values(replays)
        .onConflict((on) =>
          on.columns(['user', 'key']).doUpdateSet((from) => ({
            answer: from.ref('excluded.answer'),
            request_hash: from.ref('excluded.request_hash'),
            content_type: from.ref('excluded.content_type'),
            body: from.ref('excluded.body'),
            expires_at: from.ref('excluded.expires_at'),
          })),
        )
        .execute()
    })
  }

  /** The database may or may not have taken the group: whatever is there was never acknowledged, so it goes, and the totals are read again. */
  async #recover(drafts: readonly Draft[]): Promise<void> {
    const { db, spend, log, signal } = this.#options
    while (!signal.aborted) {
      try {
        await db
          .deleteFrom('answers')
          .where(
            'id',
            'in',
            drafts.map(({ id }) => id),
          )
          .where('state', '=', 'metered')
          .execute()
        await spend.reload()
        this.#trouble = undefined
        log.info('answers can be stored again')
        return
      } catch (error) {
        this.#trouble = `answers cannot be stored: ${(error as Error).message}`
        await sleep(RECOVERY_MS, undefined, { signal }).catch(() => {})
      }
    }
  }
}
