// SPDX-License-Identifier: Apache-2.0
import { CHUNK_SIZE, SEGMENT_CHUNKS, SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import { fileShape } from '../../../protocol/storage/file-shape.ts'
import type { Downloads } from './downloads.ts'
import type { Submission, Submissions } from './submissions.ts'

export interface FlowLogOptions {
  submissions: Submissions
  downloads: Downloads
}

/** The log as one sequence of sectors, the way miners and proofs see it. */
export class FlowLog {
  readonly #options: FlowLogOptions

  constructor(options: FlowLogOptions) {
    this.#options = options
  }

  /** Sectors [1024·load, 1024·(load + 1)) as bytes, zeros in gaps; undefined when a file's data is not here. */
  async load(load: number): Promise<Uint8Array | undefined> {
    const { submissions, downloads } = this.#options
    const start = load * SEGMENT_CHUNKS
    const end = start + SEGMENT_CHUNKS
    const bytes = new Uint8Array(SEGMENT_SIZE)
    for (const submission of await submissions.overlapping(start, end)) {
      const from = Math.max(0, start - submission.startEntry)
      const to = Math.min(fileShape(submission.size).chunks, end - submission.startEntry)
      if (from >= to) continue
      const chunks = await downloads.chunks(submission, from, to)
      if (!chunks) return undefined
      bytes.set(chunks, (submission.startEntry + from - start) * CHUNK_SIZE)
    }
    return bytes
  }

  /** Sectors of the log. */
  async length(): Promise<number> {
    const count = await this.#options.submissions.count()
    const last = await this.#options.submissions.bySeq(count - 1)
    return last ? last.startEntry + last.sectors : 1
  }

  /** The bytes of one sector; undefined in gaps and where the data are not here. */
  async sector(sector: number): Promise<Uint8Array | undefined> {
    const submission = await this.submissionAt(sector)
    const chunk = submission && sector - submission.startEntry
    if (chunk === undefined || chunk >= fileShape(submission!.size).chunks) return undefined
    return this.#options.downloads.chunks(submission!, chunk, chunk + 1)
  }

  /** The submission that a sector belongs to; undefined in gaps. */
  async submissionAt(sector: number): Promise<Submission | undefined> {
    return (await this.#options.submissions.overlapping(sector, sector + 1))[0]
  }
}
