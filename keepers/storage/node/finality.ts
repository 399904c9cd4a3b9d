import type { Logger } from 'pino'
import type { Shard } from '../../../protocol/storage/shard.ts'
import { type FileStore, keyId } from './file-store.ts'
import { inShard } from './segments.ts'
import type { FileKey, StoredFile } from './stored-file.ts'
import type { Submission, Submissions } from './submissions.ts'

export interface FinalityOptions {
  submissions: Submissions
  store: FileStore
  shard: Shard
  /** Told of every submission that has become complete. */
  finalized(submission: Submission): void
  log: Logger
}

/** Decides when this node has all it should have of a submission: every segment of its shard, on disk to stay. */
export class Finality {
  readonly #options: FinalityOptions
  readonly #settling = new Map<string, Promise<void>>()

  constructor(options: FinalityOptions) {
    this.#options = options
  }

  /** Whether segment `index` of the submission belongs to this node. */
  owns({ startEntry }: Submission, index: number): boolean {
    return inShard(this.#options.shard, startEntry, index)
  }

  /** Segments of the submission that belong to this node and are not stored. */
  *missing(submission: Submission, file: StoredFile): Generator<number> {
    for (let i = 0; i < file.shape.segments; i++) {
      if (!file.has(i) && this.owns(submission, i)) yield i
    }
  }

  complete(submission: Submission, file: StoredFile): boolean {
    if (file.stored === file.shape.segments) return true
    return this.#options.shard.numShard > 1 && this.missing(submission, file).next().done === true
  }

  /** Finalises the submissions of `key` that have become complete. Calls for one file are served one after the other. */
  async settle(key: FileKey): Promise<void> {
    const id = keyId(key)
    const before = this.#settling.get(id) ?? Promise.resolve()
    const mine = before.catch(() => {}).then(() => this.#settle(key))
    this.#settling.set(id, mine)
    try {
      await mine
    } finally {
      if (this.#settling.get(id) === mine) this.#settling.delete(id)
    }
  }

  /** Takes finality back from the submissions of `key` that lack a segment. */
  async unsettle(key: FileKey): Promise<void> {
    const { submissions, store } = this.#options
    const stored = (await submissions.byKey(key)).filter((submission) => submission.stored)
    const whole = await store.find(key, async (file) => stored.filter((submission) => this.complete(submission, file)))
    const lacking = stored.filter((submission) => !whole?.includes(submission))
    await submissions.setStored(
      lacking.map(({ seq }) => seq),
      false,
    )
  }

  async #settle(key: FileKey): Promise<void> {
    const { submissions, store, finalized, log } = this.#options
    const open = (await submissions.byKey(key)).filter((submission) => !submission.stored)
    if (open.length === 0) return
    const done = await store.find(key, async (file) => {
      const complete = open.filter((submission) => this.complete(submission, file))
      if (complete.length > 0) await file.sync()
      return complete
    })
    if (!done || done.length === 0) return
    await submissions.setStored(
      done.map(({ seq }) => seq),
      true,
    )
    for (const submission of done) {
      log.info({ seq: submission.seq, root: submission.root, bytes: submission.size }, 'finalised')
      finalized({ ...submission, stored: true })
    }
  }
}
