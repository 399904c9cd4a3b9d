import type { Logger } from 'pino'
import { CHUNK_SIZE, SEGMENT_CHUNKS, SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import type { FileStore } from './file-store.ts'
import type { Finality } from './finality.ts'
import { SegmentCorrupt } from './stored-file.ts'
import type { Submission } from './submissions.ts'

export interface DownloadsOptions {
  store: FileStore
  finality: Finality
  /** Fetches segments that are lost from peers; resolves when it has tried. */
  repair(submission: Submission): Promise<void>
  log: Logger
}

/** A segment that should be here is lost and could not be had from a peer. */
export class SegmentUnavailable extends Error {
  override readonly name = 'SegmentUnavailable'
}

/** Gives stored bytes out. Every segment is verified as it is read, so what leaves is what was committed to, or nothing. */
export class Downloads {
  readonly #options: DownloadsOptions

  constructor(options: DownloadsOptions) {
    this.#options = options
  }

  /** A data segment, whole chunks; undefined when it is not here. A damaged one is repaired from peers first. */
  async segment(submission: Submission, index: number, buffer?: Uint8Array): Promise<Uint8Array | undefined> {
    const found = await this.#read(submission, index, buffer)
    if (found !== 'lost') return found
    await this.#options.repair(submission)
    const repaired = await this.#read(submission, index, buffer)
    return repaired === 'lost' ? undefined : repaired
  }

  /** Chunks [start, end) of the file, at most 1024; undefined when one is not here. */
  async chunks(submission: Submission, start: number, end: number): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = []
    for (let at = start; at < end; ) {
      const index = Math.floor(at / SEGMENT_CHUNKS)
      const first = index * SEGMENT_CHUNKS
      const segment = await this.segment(submission, index)
      if (!segment) return undefined
      const until = Math.min(end, first + SEGMENT_CHUNKS)
      parts.push(segment.subarray((at - first) * CHUNK_SIZE, (until - first) * CHUNK_SIZE))
      at = until
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts)
  }

  /**
   * Bytes [start, end) of the file, segment by segment, the next being read while one is sent. Two buffers serve all of it, as a new one
   * for each segment has the garbage collector take half of the time: a piece is overwritten once the next is asked for.
   * @throws SegmentUnavailable
   */
  async *bytes(submission: Submission, start: number, end: number): AsyncGenerator<Uint8Array> {
    const last = Math.floor((end - 1) / SEGMENT_SIZE)
    const buffers = [new Uint8Array(SEGMENT_SIZE), new Uint8Array(SEGMENT_SIZE)] as const
    const read = (index: number) => {
      const segment = this.segment(submission, index, buffers[index % 2 === 0 ? 0 : 1])
      segment.catch(() => {})
      return segment
    }
    let index = Math.floor(start / SEGMENT_SIZE)
    for (let next = read(index); index <= last; index++) {
      const segment = await next
      if (!segment) throw new SegmentUnavailable(`segment ${index} of ${submission.root} is not on this node`)
      if (index < last) next = read(index + 1)
      const offset = index * SEGMENT_SIZE
      yield segment.subarray(Math.max(0, start - offset), Math.min(segment.length, end - offset))
    }
  }

  /** All leaves of the segment tree; undefined when one is not known. */
  async tree(submission: Submission): Promise<Uint8Array | undefined> {
    return this.#options.store.find(submission, async (file) => file.tree())
  }

  async #read(submission: Submission, index: number, buffer: Uint8Array | undefined): Promise<Uint8Array | 'lost' | undefined> {
    const { store, finality, log } = this.#options
    const expected = submission.stored && finality.owns(submission, index)
    const found = await store.find(submission, async (file) => {
      if (!file.has(index)) return expected ? 'lost' : undefined
      try {
        return await file.read(index, buffer)
      } catch (error) {
        if (!(error instanceof SegmentCorrupt)) throw error
        log.error({ seq: submission.seq, root: submission.root, segment: index }, 'a stored segment is damaged: fetching it from peers')
        await file.drop(index)
        return 'lost'
      }
    })
    if (found === 'lost' || (found === undefined && expected)) {
      await finality.unsettle(submission)
      return 'lost'
    }
    return found
  }
}
