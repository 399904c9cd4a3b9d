import type { Logger } from 'pino'
import { type FileStore, type FoundFile, keyId } from './file-store.ts'
import type { Finality } from './finality.ts'
import type { Leases } from './leases.ts'
import { segmentLength } from './segments.ts'
import { SegmentCorrupt } from './stored-file.ts'
import type { Submissions } from './submissions.ts'
import { EARLY_FILE_MS } from './uploads.ts'

export interface ScrubOptions {
  submissions: Submissions
  store: FileStore
  finality: Finality
  leases: Leases
  /** Whether every submission up to the head of the chain is known: before that, a file that none is known for may yet find its own. */
  upToDate(): boolean
  log: Logger
}

/** What one round did. `reached` is where the next goes on: undefined when the end of the folder was reached. */
export interface ScrubResult {
  files: number
  bytes: number
  damaged: number
  removed: number
  reached: string | undefined
}

/**
 * Reads stored files to find damage before a client does, and deletes what nobody has submitted or pays for any more.
 * Damaged submissions lose their finality, which has replication fetch them anew.
 */
export class Scrub {
  readonly #options: ScrubOptions

  constructor(options: ScrubOptions) {
    this.#options = options
  }

  /** Goes on behind file `after` until `budget` bytes are read. */
  async round(after: string | undefined, budget: number, signal: AbortSignal): Promise<ScrubResult> {
    const result: ScrubResult = { files: 0, bytes: 0, damaged: 0, removed: 0, reached: undefined }
    for await (const found of this.#options.store.walk(after)) {
      signal.throwIfAborted()
      await this.#check(found, result)
      if (result.bytes >= budget) return { ...result, reached: keyId(found) }
    }
    return result
  }

  async #check(found: FoundFile, result: ScrubResult): Promise<void> {
    const { submissions, store, finality, leases, upToDate, log } = this.#options
    result.files++
    const sharing = await submissions.byKey(found)
    if (upToDate() && (await leases.disposable(sharing)) && Date.now() - found.modifiedAt > EARLY_FILE_MS) {
      await store.remove(found)
      result.removed++
      return
    }
    const damaged = await store.obtain(found, async (file) => {
      const lost: number[] = []
      for (let i = 0; i < file.shape.segments; i++) {
        if (!file.has(i)) continue
        result.bytes += segmentLength(file.shape, i)
        try {
          await file.read(i)
        } catch (error) {
          if (!(error instanceof SegmentCorrupt)) throw error
          await file.drop(i)
          lost.push(i)
        }
      }
      return lost
    })
    if (damaged.length > 0) {
      result.damaged += damaged.length
      log.error({ root: found.root, segments: damaged.slice(0, 20) }, 'damage found: fetching these segments from peers')
    }
    if (sharing.some(({ stored }) => stored)) await finality.unsettle(found)
  }
}
