import { setTimeout as sleep } from 'node:timers/promises'
import { getAddress, hexlify } from 'ethers'
import PQueue from 'p-queue'
import pRetry from 'p-retry'
import type { Registry } from 'prom-client'
import { pickedChunk, qualityOf } from '../../../protocol/da/sampling.ts'
import { connectSigner, type SignerClient } from '../../../sdk/da/wire.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge } from '../../runtime/metrics.ts'
import type { Answers, Winner } from './answers.ts'
import type { HeldBlob, HeldBlobs } from './held-blobs.ts'
import type { Listing } from './listing.ts'
import type { Round } from './round.ts'

export interface SignerReaderOptions {
  url: string
  /** Most chunks to read in a second. */
  chunksPerSecond: number
  held: HeldBlobs
  listing: Listing
  answers: Answers
  log: Log
  metrics: Registry
}

/** Chunks of a call: some 300 KiB with their paths. */
const CHUNKS_PER_CALL = 256
/** Calls of a signer under way at once. */
const CALLS = 4
/** Winners that wait for their turn before reading waits too. */
const MAX_WAITING = 16

/** Plays the rounds of one signer: reads the chunks that the seed picks of its rows, and answers with those that win. */
export class SignerReader {
  readonly #options: SignerReaderOptions
  readonly #client: SignerClient
  readonly #read
  readonly #missing
  readonly #blobs
  #problem: string | undefined

  constructor(options: SignerReaderOptions) {
    const { metrics, url } = options
    this.#options = options
    this.#client = connectSigner(url)
    this.#read = counter(metrics, { name: 'chunks_read_total', help: 'Chunks read from signers', labelNames: ['signer'] })
    this.#missing = counter(metrics, { name: 'chunks_missing_total', help: 'Chunks that a signer must hold and does not give', labelNames: ['signer'] })
    this.#blobs = gauge(metrics, { name: 'held_blobs', help: 'Blobs that a signer can be rewarded for', labelNames: ['signer'] })
  }

  /** Why this signer can't be played for, or undefined. */
  problem(): string | undefined {
    return this.#problem
  }

  close(): void {
    this.#client.close()
  }

  /** Reads everything, or until `round` ends. `over` is called when no answer of anyone counts any more. @throws the reason of `signal` */
  async play(round: Round, signal: AbortSignal, over: () => void): Promise<void> {
    const { held, listing, answers, url, chunksPerSecond } = this.#options
    const account = await this.#insist(signal, async () => {
      const account = getAddress(hexlify((await this.#client.getStatus({ signal })).account))
      await listing.update(this.#client, account, signal)
      return account
    })
    this.#blobs.set({ signer: url }, await held.count(account))
    const enough = new AbortController()
    const reading = AbortSignal.any([signal, enough.signal])
    const calls = new PQueue({ concurrency: CALLS })
    let nextAt = performance.now()
    const giving = new PQueue({ concurrency: 1 })
    const give = async (winner: Winner): Promise<void> => {
      if (reading.aborted) return
      const outcome = await answers.give(round, winner)
      if (outcome === 'enough') enough.abort()
      else if (outcome === 'over') over()
    }
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => {}) // one of the waits below reports it
    const inTime = <T>(wait: Promise<T>): Promise<T> => Promise.race([wait, failed.promise])
    for await (const blob of held.walk(account, round.seed)) {
      for (let from = 0; from < blob.rows.length && !reading.aborted; from += CHUNKS_PER_CALL) {
        await inTime(calls.onSizeLessThan(CALLS))
        await inTime(giving.onSizeLessThan(MAX_WAITING))
        const rows = blob.rows.subarray(from, from + CHUNKS_PER_CALL)
        const wait = nextAt - performance.now()
        if (wait > 0) await sleep(wait, undefined, { signal: reading }).catch(() => {})
        nextAt = Math.max(nextAt, performance.now()) + (1000 * rows.length) / chunksPerSecond
        const read = async () => {
          for (const winner of await this.#winners(round, account, blob, rows, reading)) void giving.add(() => give(winner))
        }
        calls.add(read).catch((error: unknown) => {
          if (!reading.aborted) failed.reject(error)
        })
      }
      if (reading.aborted) break
    }
    await inTime(calls.onIdle())
    await giving.onIdle()
    signal.throwIfAborted()
  }

  /** The chunks of some rows that win. Rows that the signer does not give are passed over. */
  async #winners(round: Round, account: string, held: HeldBlob, rows: Uint32Array, signal: AbortSignal): Promise<Winner[]> {
    const { log, url } = this.#options
    const { blobId, blob } = held
    const positions = Array.from(rows, (row) => ({ row, chunk: pickedChunk(round.seed, blobId, row, blob.rowSize) }))
    const chunks = await this.#insist(signal, async () => {
      try {
        return (await this.#client.getChunks({ blobId: Buffer.from(blobId.slice(2), 'hex'), positions }, { signal })).chunks
      } catch (error) {
        if (error instanceof PerigeeError && error.code === 'NOT_FOUND') return []
        throw error
      }
    })
    if (chunks.length !== positions.length) {
      this.#missing.inc({ signer: url }, positions.length)
      log.warn({ signer: url, blobId, asked: positions.length, given: chunks.length }, 'a signer does not give the rows that it must hold')
      return []
    }
    this.#read.inc({ signer: url }, chunks.length)
    return positions.flatMap(({ row, chunk }, i) => {
      const { data, path } = chunks[i]!
      const quality = qualityOf(round.seed, account, blobId, row, data)
      return quality <= round.target ? [{ account, held, row, chunk, data, path, quality }] : []
    })
  }

  /** Asks until there is an answer, or the round is over. */
  async #insist<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    const { log, url } = this.#options
    const answer = await pRetry(ask, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 250,
      maxTimeout: 10_000,
      signal,
      onFailedAttempt: ({ error }) => {
        signal.throwIfAborted()
        const problem = `${url}: ${shortMessage(error)}`
        if (problem !== this.#problem) log.warn({ signer: url, reason: shortMessage(error) }, 'a signer could not be asked')
        this.#problem = problem
      },
    })
    this.#problem = undefined
    return answer
  }
}
