import type { Logger } from 'pino'
import { SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import type { IndexerClient } from '../../../sdk/storage/indexer-client.ts'
import { StorageNodeClient } from '../../../sdk/storage/node-client.ts'
import { type FileStore, keyId } from './file-store.ts'
import type { Finality } from './finality.ts'
import { segmentLength } from './segments.ts'
import type { StoredFile } from './stored-file.ts'
import type { Submission } from './submissions.ts'

/** Segments asked for in one request. */
const RUN = 64
/** A peer that is silent for this long is passed over. */
const PEER_TIMEOUT_MS = 30_000

export interface ReplicationOptions {
  store: FileStore
  finality: Finality
  peers: string[]
  indexer: IndexerClient | undefined
  signal: AbortSignal
  log: Logger
}

/** Fetches from other nodes what this one should hold and does not. Nothing a peer says is believed before it is verified. */
export class Replication {
  readonly #options: ReplicationOptions
  readonly #fetching = new Map<string, Promise<boolean>>()

  constructor(options: ReplicationOptions) {
    this.#options = options
  }

  /**
   * Fetches the missing segments of a submission; whether it is complete afterwards. One fetch per file at a time. With `partial`
   * also from peers that lack something themselves, which during an upload only means that it is not over.
   */
  async fetch(submission: Submission, { partial }: { partial: boolean }): Promise<boolean> {
    const id = keyId(submission)
    const running = this.#fetching.get(id)
    if (running) return running
    const mine = this.#fetch(submission, partial).finally(() => this.#fetching.delete(id))
    this.#fetching.set(id, mine)
    return mine
  }

  async #fetch(submission: Submission, partial: boolean): Promise<boolean> {
    const { finality, store, signal, log } = this.#options
    for (const url of await this.#holders(submission)) {
      signal.throwIfAborted()
      try {
        const peer = new StorageNodeClient(url)
        if (await this.#fetchFrom(peer, submission, partial)) break
      } catch (error) {
        log.info({ peer: url, seq: submission.seq, reason: (error as Error).message }, 'a peer could not give a file')
      }
    }
    await finality.settle(submission)
    return (await store.find(submission, async (file) => finality.complete(submission, file))) ?? false
  }

  /** Peers to ask: those of the configuration, then those the indexer knows to hold the file. */
  async #holders({ root }: Submission): Promise<Set<string>> {
    const { peers, indexer, log } = this.#options
    const known = indexer?.locations(root, this.#bounded()).catch((error) => {
      log.info({ reason: error.message }, 'the indexer does not answer')
      return []
    })
    return new Set([...peers, ...((await known) ?? []).map(({ url }) => url)])
  }

  /** Takes from one peer whatever it has; whether nothing is missing any more. */
  async #fetchFrom(peer: StorageNodeClient, submission: Submission, partial: boolean): Promise<boolean> {
    const { store, finality } = this.#options
    const offer = await peer.progress(submission.seq, this.#bounded())
    if (!offer || !(offer.finalized || (partial && offer.stored.some((bits) => bits !== 0)))) return false
    return store.obtain(submission, async (file) => {
      if (!file.tree()) {
        const roots = await peer.tree(String(submission.seq), this.#bounded())
        if (!roots) return false
        await file.putTree(roots)
      }
      const wanted = [...finality.missing(submission, file)].filter((i) => (offer.stored[i >> 3] ?? 0) & (1 << (i & 7)))
      for (const [from, to] of runs(wanted)) await this.#fetchRun(peer, submission.seq, file, from, to)
      return finality.complete(submission, file)
    })
  }

  /** Segments [from, to) in one request. */
  async #fetchRun(peer: StorageNodeClient, seq: number, file: StoredFile, from: number, to: number): Promise<void> {
    const { size } = file.key
    const body = await peer.data(String(seq), from * SEGMENT_SIZE, Math.min(size, to * SEGMENT_SIZE), this.#bounded())
    const segment = Buffer.alloc(SEGMENT_SIZE)
    let index = from
    let filled = 0
    for await (let part of body as AsyncIterable<Buffer>) {
      while (part.length > 0) {
        // The file's last chunk travels without the zeros that complete it.
        const length = Math.min(SEGMENT_SIZE, size - index * SEGMENT_SIZE)
        if (index >= to) throw new Error('the peer sent more than was asked for')
        const taken = part.copy(segment, filled, 0, Math.min(part.length, length - filled))
        part = part.subarray(taken)
        filled += taken
        if (filled < length) continue
        segment.fill(0, filled)
        await this.#accept(file, index, segment.subarray(0, segmentLength(file.shape, index)))
        index++
        filled = 0
      }
    }
    if (index < to) throw new Error(`the peer broke off at segment ${index}`)
  }

  async #accept(file: StoredFile, index: number, bytes: Uint8Array): Promise<void> {
    const root = file.hash(index, bytes)
    if (Buffer.compare(root, file.rootOf(index)!) !== 0) throw new Error(`the peer sent a wrong segment ${index}`)
    await this.#options.store.claim(bytes.length)
    await file.write(index, bytes, root)
  }

  #bounded(): { signal: AbortSignal; retries: number } {
    return { signal: AbortSignal.any([this.#options.signal, AbortSignal.timeout(PEER_TIMEOUT_MS)]), retries: 0 }
  }
}

/** Runs [from, to) of consecutive numbers, none longer than RUN. */
function* runs(numbers: number[]): Generator<[number, number]> {
  for (let i = 0; i < numbers.length; ) {
    const from = numbers[i]!
    let to = from + 1
    for (i++; i < numbers.length && numbers[i] === to && to - from < RUN; i++) to++
    yield [from, to]
  }
}
