import type { Kysely } from 'kysely'
import PQueue from 'p-queue'
import type { Registry } from 'prom-client'
import type { EncodedRows } from '../../../codec/rows/index.ts'
import { type Blob, shapeOf } from '../../../protocol/da/blob.ts'
import { locateBlob } from '../../../sdk/da/locate.ts'
import type { DaReader } from '../../../sdk/da/reader.ts'
import { retrieve } from '../../../sdk/da/retrieve.ts'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge } from '../../runtime/metrics.ts'
import { fileSize } from './blob-file.ts'
import { listCertified } from './chain-log.ts'
import { type Membership, ownRows, type Place } from './membership.ts'
import type { MissedBatches } from './missed-batches.ts'
import type { Reading } from './reading.ts'
import { Retries } from './retries.ts'
import type { Tables } from './schema.ts'
import type { BlobStore } from './store.ts'

export interface RepairOptions {
  db: Kysely<Tables>
  store: BlobStore
  reading: Reading
  membership: Membership
  missed: MissedBatches
  /** Made when there is something to fetch, and closed after it. */
  openReader: () => DaReader
  /** Time of the oldest certificates that matter, unix seconds. */
  oldest: () => number
  /** Milliseconds after which what failed is tried again, for the first time. */
  retryMs: number
  /** Whether all that the chain says is known. */
  upToDate: () => boolean
  /** Aborts when the keeper closes. */
  signal: AbortSignal
  metrics: Registry
  log: Log
}

/** Blobs that can't be had one after another, after which the rest waits for the next time: it is not for them alone. */
const FAILURES = 8
const MOST_RETRY_MS = 3_600_000
/** Where a challenge waits. */
const URGENT_RETRY_MS = 1000
const MOST_URGENT_RETRY_MS = 60_000

/**
 * Fetches rows back that should be here and are not whole: those of blobs with a certificate of an epoch that we are a member of. The blob is retrieved from
 * the other members, and proved by its id; encoded, it gives our rows. One blob at a time, and beside it one that a challenge asks for.
 */
export class Repair {
  readonly #options: RepairOptions
  readonly #count: (bytes: number) => void
  readonly #retries: Retries
  readonly #urgentRetries = new Retries(URGENT_RETRY_MS, MOST_URGENT_RETRY_MS)
  readonly #urgent = new Set<string>()
  readonly #lane = new PQueue({ concurrency: 1 })

  constructor(options: RepairOptions) {
    this.#options = options
    this.#retries = new Retries(options.retryMs, MOST_RETRY_MS)
    this.#count = this.#observe(options.metrics)
  }

  /** Looks for what is missing, and fetches all of it that can be had. */
  async run(signal: AbortSignal): Promise<void> {
    const { db, missed, openReader, upToDate } = this.#options
    // A signer that is behind may fetch what need not be held any more.
    if (!upToDate()) return
    let opened: DaReader | undefined
    const reader = () => (opened ??= openReader())
    try {
      // First what is known, so that it does not wait for others to tell the rest.
      await this.#restoreAll(reader, signal)
      await missed.learnAll(reader, signal)
      await listCertified(db)
      await this.#restoreAll(reader, signal)
    } finally {
      await opened?.close()
    }
  }

  /** A challenge asks for rows of this blob: it does not wait for its turn. */
  urge(blobId: string): void {
    const { signal, log } = this.#options
    if (signal.aborted || this.#urgent.has(blobId) || this.#urgentRetries.waits(blobId)) return
    this.#urgent.add(blobId)
    void this.#lane.add(async () => {
      try {
        const restored = await this.#rescue(blobId)
        this.#urgentRetries.succeeded(blobId)
        if (restored > 0) log.info({ blobId }, 'rows that a challenge asks for were fetched back from the other members')
      } catch (error) {
        if (!signal.aborted && this.#urgentRetries.failed(blobId))
          log.error({ blobId, reason: reasonOf(error) }, 'rows that a challenge asks for could not be fetched back: trying again until its deadline')
      } finally {
        this.#urgent.delete(blobId)
      }
    })
  }

  /** Waits for what is underway, which the signal ends. */
  async close(): Promise<void> {
    await this.#lane.onIdle()
  }

  async #rescue(blobId: string): Promise<number> {
    const { db, missed, openReader, signal } = this.#options
    const reader = openReader()
    try {
      // The batch may be unknown as well.
      const { certificate } = await locateBlob(reader, blobId, { signal })
      await missed.learn(reader, { root: certificate.batchRoot, epoch: certificate.epoch }, signal)
      const restored = await this.#restore(reader, blobId, certificate.epoch, signal)
      await listCertified(db)
      return restored
    } finally {
      await reader.close()
    }
  }

  async #restoreAll(reader: () => DaReader, signal: AbortSignal): Promise<void> {
    const { db, log } = this.#options
    const lacking = await this.#lacking().select(['batch_blobs.blob_id', 'batches.epoch']).orderBy('batches.certified_at', 'desc').execute()
    this.#retries.keep(new Set(lacking.map(({ blob_id }) => blob_id)))
    let [blobs, failures] = [0, 0]
    for (const { blob_id, epoch } of lacking) {
      if (failures === FAILURES || signal.aborted) break
      if (this.#retries.waits(blob_id)) continue
      try {
        blobs += await this.#restore(reader(), blob_id, epoch, signal)
        this.#retries.succeeded(blob_id)
        failures = 0
      } catch (error) {
        if (signal.aborted) break
        failures++
        const facts = { blobId: blob_id, reason: reasonOf(error) }
        if (this.#retries.failed(blob_id)) log.warn(facts, 'rows that should be here could not be fetched back: trying again')
      }
    }
    if (lacking.length > 0) await listCertified(db)
    if (blobs > 0) log.info({ blobs }, 'rows were fetched back from the other members')
  }

  /** Makes our rows of a blob whole, those of each epoch that it was certified in. Returns how many had to be fetched. */
  async #restore(reader: DaReader, blobId: string, epoch: number, signal: AbortSignal): Promise<number> {
    const { store, reading, membership } = this.#options
    const lacking = await this.#lacking().select(['batches.epoch', 'batches.seed']).distinct().where('batch_blobs.blob_id', '=', blobId).execute()
    const places: Place[] = []
    for (const { epoch, seed } of lacking) {
      const before = await store.find(blobId, seed!)
      if (before && (await reading.isWhole(before))) {
        await store.clear(before)
        continue
      }
      const place = await membership.findPlace(epoch)
      if (place?.epoch.seed !== seed) throw new PerigeeError('NOT_FOUND', `epoch ${epoch} is another since the chain was reorganised`)
      places.push(place!)
    }
    if (places.length === 0) return 0
    const { blob, bytes } = await retrieve(reader, blobId, { epoch, signal })
    const encoded = await reader.codec.encode(bytes, shapeOf(blob))
    try {
      for (const place of places) await this.#store(blobId, blob, encoded, place)
    } finally {
      encoded.release()
    }
    return places.length
  }

  async #store(blobId: string, blob: Blob, encoded: EncodedRows, place: Place): Promise<void> {
    const { store } = this.#options
    const { epoch, seed } = place.epoch
    const indices = ownRows(place, blobId, blob.log2K)
    const bytes = fileSize(blob, indices.length)
    await store.exclusively(blobId, seed, async () => {
      const before = await store.find(blobId, seed)
      if (before && !before.damaged) return
      const rows = { rlc: encoded.rlc, indices, rows: encoded.rows(indices), paths: encoded.paths(indices) }
      // The room of what is damaged was never given back.
      const giveBack = before ? () => {} : store.reserve(bytes)
      try {
        await store.put({ blobId, epoch, seed, member: place.member, blob, ...rows }, undefined, before !== undefined)
      } finally {
        giveBack()
      }
      this.#count(bytes)
    })
  }

  /** Blobs of batches with a certificate that may still be asked for, whose rows are not here or are damaged. */
  #lacking() {
    return this.#options.db
      .selectFrom('batches')
      .innerJoin('batch_blobs', (join) => join.onRef('batch_blobs.root', '=', 'batches.root').onRef('batch_blobs.epoch', '=', 'batches.epoch'))
      .leftJoin('holdings', (join) => join.onRef('holdings.blob_id', '=', 'batch_blobs.blob_id').onRef('holdings.seed', '=', 'batches.seed'))
      .where('batches.seed', 'is not', null)
      .where('batches.certified_at', '>', this.#options.oldest())
      .where(({ eb, or }) => or([eb('holdings.id', 'is', null), eb('holdings.damaged', '=', true)]))
  }

  #observe(metrics: Registry): (bytes: number) => void {
    const blobs = counter(metrics, { name: 'da_signer_repaired_blobs_total', help: 'Blobs whose rows were fetched back from the other members' })
    const written = counter(metrics, { name: 'da_signer_repaired_bytes_total', help: 'Bytes of the files that they were written to' })
    const lacking = () =>
      this.#lacking()
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow()
    const retries = this.#retries
    gauge(metrics, {
      name: 'da_signer_missing_blobs',
      help: 'Blobs with a certificate whose rows should be here, and are damaged or gone',
      async collect() {
        this.set(Number((await lacking()).count))
      },
    })
    gauge(metrics, {
      name: 'da_signer_unrepairable_blobs',
      help: 'Those of them that could not be fetched back the last time',
      collect() {
        this.set(retries.size)
      },
    })
    return (bytes) => {
      blobs.inc()
      written.inc(bytes)
    }
  }
}
