import { setTimeout as sleep } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import type { Registry } from 'prom-client'
import { counter, gauge } from '../../runtime/metrics.ts'
import type { Reading } from './reading.ts'
import type { Tables } from './schema.ts'
import type { Holding } from './store.ts'

export interface ScrubOptions {
  db: Kysely<Tables>
  reading: Reading
  /** Bytes of rows and paths that are read in a second, on average. */
  rate: number
  metrics: Registry
}

/** Bytes read at once: what is checked without a pause. */
const PORTION = 262_144
/** Holdings looked up at once. */
const PAGE = 64
/** Bytes after which the place is noted: what a crash has read again. */
const NOTED = 67_108_864

/** Reads all rows, slowly, and finds those that are damaged before anybody asks for them. */
export class Scrub {
  readonly #options: ScrubOptions
  readonly #bytes
  #finishedAt = 0

  constructor(options: ScrubOptions) {
    this.#options = options
    const { metrics } = options
    this.#bytes = counter(metrics, { name: 'da_signer_scrubbed_bytes_total', help: 'Bytes of rows that were read again and checked' })
    const finishedAt = () => this.#finishedAt
    gauge(metrics, {
      name: 'da_signer_scrubbed_timestamp_seconds',
      help: 'When all rows had been read again, unix seconds; 0 if not yet since the start',
      collect() {
        this.set(finishedAt())
      },
    })
  }

  /** Goes on where it was stopped, or from the beginning, to the end of all rows. */
  async round(signal: AbortSignal): Promise<void> {
    const { db } = this.#options
    const pace = new Pace(this.#options.rate)
    let { position } = await db.selectFrom('scrub').select('position').executeTakeFirstOrThrow()
    let noted = 0
    const note = (at: number) => db.updateTable('scrub').set({ position: at }).execute()
    for (;;) {
      const page = await db.selectFrom('holdings').selectAll().where('id', '>', position).where('damaged', '=', false).orderBy('id').limit(PAGE).execute()
      for (const holding of page) {
        noted += await this.#read(holding, pace, signal)
        if (signal.aborted) return void (await note(position))
        position = holding.id
        if (noted < NOTED) continue
        noted = 0
        await note(position)
      }
      if (page.length < PAGE) break
    }
    await note(0)
    this.#finishedAt = Math.floor(Date.now() / 1000)
  }

  /** How many bytes it took. */
  async #read(holding: Holding, pace: Pace, signal: AbortSignal): Promise<number> {
    let size = 0
    for await (const run of this.#options.reading.scan(holding, PORTION)) {
      const bytes = run.reduce((sum, { row, path }) => sum + row.length + path.length, 0)
      size += bytes
      this.#bytes.inc(bytes)
      await pace.spend(bytes, signal)
      if (signal.aborted) break
    }
    return size
  }
}

/** Milliseconds that are not worth a pause of their own: small files are read in groups. */
const SHORTEST = 20

/** Takes as long as the rate says, on average. */
class Pace {
  readonly #rate: number
  #due = performance.now()

  constructor(rate: number) {
    this.#rate = rate
  }

  async spend(bytes: number, signal: AbortSignal): Promise<void> {
    // Time that went by otherwise is not made up for.
    this.#due = Math.max(this.#due, performance.now() - SHORTEST) + (1000 * bytes) / this.#rate
    const pause = this.#due - performance.now()
    if (pause > SHORTEST) await sleep(pause, undefined, { signal }).catch(() => {})
  }
}
