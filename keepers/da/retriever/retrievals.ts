import PQueue from 'p-queue'
import type { Registry } from 'prom-client'
import { describeFault, type SignerFault } from '../../../sdk/da/locate.ts'
import type { DaReader } from '../../../sdk/da/reader.ts'
import { type RetrievedBlob, retrieve } from '../../../sdk/da/retrieve.ts'
import { type AvailabilityVerdict, verifyBlob } from '../../../sdk/da/verify.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge, histogram, SECONDS } from '../../runtime/metrics.ts'

/** Callers that wait for their turn; those beyond are refused. */
const WAITING = 64
/** Light clients' looks at once: they take chunks only. */
const LOOKS = 16

export interface RetrievalsOptions {
  reader: DaReader
  /** Blobs fetched at once. */
  parallel: number
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

/** Fetches blobs, a few at a time, and counts what comes of it. */
export class Retrievals {
  readonly #reader: DaReader
  readonly #blobs: PQueue
  readonly #looks = new PQueue({ concurrency: LOOKS })
  readonly #log: Log
  readonly #seconds
  readonly #bytes
  readonly #lies

  constructor({ reader, parallel, metrics, log }: RetrievalsOptions) {
    this.#reader = reader
    this.#blobs = new PQueue({ concurrency: parallel })
    this.#log = log
    this.#seconds = histogram(metrics, {
      name: 'da_retrieval_duration_seconds',
      help: 'Time to fetch and verify a blob, or to look at samples of it, by outcome: ok, or the code of the error',
      labelNames: ['what', 'outcome'],
      buckets: SECONDS,
    })
    this.#bytes = counter(metrics, { name: 'da_retrieved_bytes_total', help: 'Bytes of blobs served' })
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
  async blob(blobId: string, options: RetrievalOptions): Promise<RetrievedBlob> {
    const found = await this.#run('blob', this.#blobs, () => retrieve(this.#reader, blobId, options), options)
    this.#bytes.inc(found.bytes.length)
    return found
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
