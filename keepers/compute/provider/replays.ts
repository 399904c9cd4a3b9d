import type { Kysely } from 'kysely'
import { ApiError } from './errors.ts'
import type { Tables } from './tables.ts'

/** What was sent before. */
export interface Replay {
  answer: string
  contentType: string
  body: Uint8Array
}

/** A key that this request has to itself until `release`. */
export interface Claim {
  release(): void
}

interface Underway {
  requestHash: string
  done: Promise<void>
}

/** Longer than any idempotency key in use. */
const MAX_KEY = 255

/**
 * Answers to requests that may be repeated: the same Idempotency-Key, user and body get the same answer, and one charge. A repetition that
 * comes while the first is under way waits for it, and takes its place if it fails.
 */
export class Replays {
  readonly #db: Kysely<Tables>
  readonly #underway = new Map<string, Underway>()

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  /**
   * @param signal aborts the wait: the client has gone
   * @throws ApiError 422 when the key was used with another body, 400 for one that is too long
   */
  async claim(user: string, key: string, requestHash: string, signal: AbortSignal): Promise<Replay | Claim> {
    if (key.length > MAX_KEY) throw new ApiError(400, 'idempotency_key_too_long', `Idempotency-Key has ${key.length} characters, more than ${MAX_KEY}`)
    const name = `${user} ${key}`
    for (;;) {
      const before = this.#underway.get(name)
      if (!before) break
      requireSame(before.requestHash, requestHash)
      await before.done
      signal.throwIfAborted()
    }
    const { promise: done, resolve } = Promise.withResolvers<void>()
    this.#underway.set(name, { requestHash, done })
    const release = () => {
      this.#underway.delete(name)
      resolve()
    }
    try {
      const replay = await this.#find(user, key, requestHash)
      if (!replay) return { release }
      release()
      return replay
    } catch (error) {
      release()
      throw error
    }
  }

  async #find(user: string, key: string, requestHash: string): Promise<Replay | undefined> {
    const row = await this.#db
      .selectFrom('replays')
      .selectAll()
      .where('user', '=', user)
      .where('key', '=', key)
      .where('expires_at', '>', Date.now())
      .executeTakeFirst()
    if (!row) return undefined
    requireSame(row.request_hash, requestHash)
    return { answer: row.answer, contentType: row.content_type, body: row.body }
  }
}

function requireSame(before: string, now: string): void {
  if (before !== now) throw new ApiError(422, 'idempotency_key_reused', 'this Idempotency-Key was used with another request')
}
