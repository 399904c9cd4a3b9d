import { LRUCache } from 'lru-cache'
import PQueue from 'p-queue'
import type { Registry } from 'prom-client'
import { describeFault, type SignerFault } from '../../../sdk/da/locate.ts'
import type { DaReader } from '../../../sdk/da/reader.ts'
import { type RetrievedBlob, retrieve } from '../../../sdk/da/retrieve.ts'
import { type AvailabilityVerdict, verifyBlob } from '../../../sdk/da/verify.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge, histogram, SECONDS } from '../../runtime/metrics.ts'
import { SharedFetches } from './shared-fetches.ts'

/** Blobs that wait for their turn; those beyond are refused. */
export const WAITING = 32
/** Light clients' looks at once: they take chunks only. */
const LOOKS = 16

export interface RetrievalsOptions {
  reader: DaReader
  /** Blobs fetched at once. */
  parallel: number
  /** Bytes of blobs that are kept for whoever asks next. */
  cacheBytes: number
  metrics: Registry
  log: Log
}

export interface RetrievalOptions {
  /** The epoch of the certificate, where the caller knows it. */
  epoch?: number | undefined
  signal: AbortSignal
}

/** Too many wait already. */
export class Busy extends Error {
  override readonly name = 'Busy'
}

type Served = Pick<RetrievedBlob, 'bytes' | 'certificate'>

/** Fetches blobs, a few at a time and each once for all who ask for it, keeps those asked for last, and counts what comes of it. */
export class Retrievals {
  readonly #reader: DaReader
  readonly #blobs: PQueue
  readonly #cache: LRUCache<string, Served>
  readonly #fetches = new SharedFetches<Served>()
  readonly #looks = new PQueue({ concurrency: LOOKS })
  readonly #log: Log
  readonly #seconds
  readonly #bytes
  readonly #hits
  readonly #lies

  constructor({ reader, parallel, cacheBytes, metrics, log }: RetrievalsOptions) {
    this.#reader = reader
    this.#blobs = new PQueue({ concurrency: parallel })
    // What a blob takes is the memory of its rows. Without room for any, none is kept.
    const cache = new LRUCache<string, Served>({ maxSize: Math.max(1, cacheBytes), sizeCalculation: ({ bytes }) => bytes.buffer.byteLength })
    this.#cache = cache
    this.#log = log
    this.#seconds = histogram(metrics, {
      name: 'da_retrieval_duration_seconds',
      help: 'Time to fetch and verify a blob, or to look at samples of it, by outcome: ok, or the code of the error',
      labelNames: ['what', 'outcome'],
      buckets: SECONDS,
    })
    this.#bytes = counter(metrics, { name: 'da_retrieved_bytes_total', help: 'Bytes of blobs served' })
    this.#hits = counter(metrics, { name: 'da_cache_hits_total', help: 'Blobs served from the cache' })
    gauge(metrics, {
      name: 'da_cached_bytes',
      help: 'Memory that cached blobs take',
      collect() {
        this.set(cache.calculatedSize)
      },
    })
    this.#lies = counter(metrics, { name: 'da_signer_lies_total', help: 'Times that signers sent what the blob id does not commit to' })
    const waiting = (): number => this.#blobs.size + this.#looks.size
    gauge(metrics, {
      name: 'da_retrievals_waiting',
      help: 'Callers that wait for their turn',
      collect() {
        this.set(waiting())
      },
    })
  }

  /** Exactly the bytes of the blob. @throws PerigeeError as `retrieve`, Busy */
  async blob(blobId: string, { epoch, signal }: RetrievalOptions): Promise<Served> {
    const cached = this.#cache.get(blobId)
    if (cached) this.#hits.inc()
    // A hint may find what is not found without.
    const served = cached ?? (await this.#fetches.join(`${blobId} ${epoch}`, signal, (signal) => this.#fetch(blobId, { epoch, signal })))
    this.#bytes.inc(served.bytes.length)
    return served
  }

  async #fetch(blobId: string, options: RetrievalOptions): Promise<Served> {
    const { bytes, certificate } = await this.#run('blob', this.#blobs, () => retrieve(this.#reader, blobId, options), options)
    const served = { bytes, certificate }
    this.#cache.set(blobId, served)
    return served
  }

  /** Whether the blob is available, by samples. @throws PerigeeError as `verifyBlob`, Busy */
  verdict(blobId: string, options: RetrievalOptions & { bits?: number | undefined }): Promise<AvailabilityVerdict> {
    return this.#run('samples', this.#looks, () => verifyBlob(this.#reader, blobId, options), options)
  }

  async #run<T extends { blobId: string; faults: SignerFault[] }>(
    what: string,
    queue: PQueue,
    act: () => Promise<T>,
    { signal }: RetrievalOptions,
  ): Promise<T> {
    if (queue.size >= WAITING) throw new Busy(`${queue.size} wait already: try again in a moment`)
    // Whoever is gone when it is its turn costs nothing: the first thing that is asked throws.
    return queue.add(async () => {
      signal.throwIfAborted()
      const end = this.#seconds.startTimer({ what })
      try {
        const found = await act()
        end({ outcome: 'ok' })
        this.#tell(found)
        return found
      } catch (error) {
        end({ outcome: error instanceof PerigeeError ? error.code : signal.aborted ? 'aborted' : 'fault' })
        throw error
      }
    })
  }

  #tell({ blobId, faults }: { blobId: string; faults: SignerFault[] }): void {
    for (const fault of faults.filter(({ lied }) => lied)) {
      this.#lies.inc()
      this.#log.warn({ blobId, account: fault.account, url: fault.url }, describeFault(fault))
    }
  }
}
