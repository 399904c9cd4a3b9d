import { getBytes } from 'ethers'
import type { RowCodec } from '../../codec/rows/index.ts'
import type { Blob } from '../../protocol/da/blob.ts'
import { shapeOf } from '../../protocol/da/blob.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import type { EpochMember } from './epochs.ts'
import type { LocatedBlob, SignerFault } from './locate.ts'
import type { Rows, SignerClient } from './wire.ts'

/** Signers that send at once; with a portion each, and those that stall beside them, what retrieval holds beyond the blob itself. */
export const LANES = 16
const MAX_ACTIVE = 2 * LANES
/** Milliseconds without a portion after which others are asked for other rows in place of those still to come, and after which it is given up. */
const STALLED = 500
const GIVEN_UP = 10_000
/** Milliseconds between looks at whether a signer is silent. By looks, not by the clock: while this process itself stands still, nobody else is slow. */
const LOOK = 100
/** Milliseconds that all rows of a signer may take. */
const TIMEOUT = 300_000

/** Rows to be asked for, of one signer. */
export interface Piece {
  member: EpochMember
  url: string
  client: SignerClient
  rows: Uint32Array
}

export interface FetchOptions {
  codec: RowCodec
  signal?: AbortSignal | undefined
  /** Valid rows so far. */
  onRows?: ((count: number) => void) | undefined
}

export interface FetchedRows {
  indices: Uint32Array
  rows: Uint8Array
  /** How many rows each signer gave. */
  sources: { account: string; url: string; rows: number }[]
  faults: SignerFault[]
}

/**
 * Gathers K distinct valid rows: asks for the pieces in their order, as many at once as it takes, and for more where signers fail, stall or lie.
 * A row counts only once its path and its linear combination are right.
 * @throws PerigeeError when all pieces together do not give K rows
 */
export function fetchRows(located: LocatedBlob, pieces: Piece[], options: FetchOptions): Promise<FetchedRows> {
  return new RowFetch(located, pieces, options).run()
}

interface Active {
  piece: Piece
  /** Rows still to come. */
  missing: Set<number>
  /** Whether its signer is waited for, and not we busy with what it sent. */
  waiting: boolean
  stalled: boolean
  controller: AbortController
}

class RowFetch {
  readonly #blob: Blob
  readonly #located: LocatedBlob
  readonly #options: FetchOptions
  readonly #k: number
  #queue: Piece[]
  readonly #active = new Set<Active>()
  readonly #faults: SignerFault[] = []
  readonly #given = new Map<EpochMember, { account: string; url: string; rows: number }>()
  readonly #excluded = new Set<EpochMember>()
  readonly #indices: Uint32Array
  readonly #rows: Uint8Array
  #count = 0
  #ended = false
  readonly #done = Promise.withResolvers<void>()

  constructor(located: LocatedBlob, pieces: Piece[], options: FetchOptions) {
    this.#located = located
    this.#blob = located.blob
    this.#options = options
    this.#queue = [...pieces]
    this.#k = 2 ** located.blob.log2K
    this.#indices = new Uint32Array(this.#k)
    this.#rows = new Uint8Array(this.#k * located.blob.rowSize)
  }

  async run(): Promise<FetchedRows> {
    const { signal } = this.#options
    signal?.throwIfAborted()
    const abort = (): void => this.#done.reject(signal!.reason)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      this.#schedule()
      await this.#done.promise
    } finally {
      this.#ended = true
      signal?.removeEventListener('abort', abort)
      for (const { controller } of this.#active) controller.abort()
    }
    if (this.#count < this.#k) throw this.#tooFew()
    return { indices: this.#indices, rows: this.#rows, sources: [...this.#given.values()], faults: this.#faults }
  }

  /** Asks for as many rows as are neither there nor on their way. */
  #schedule(): void {
    while (!this.#ended) {
      const moving = [...this.#active].filter(({ stalled }) => !stalled)
      const wanted = this.#k - this.#count - moving.reduce((sum, { missing }) => sum + missing.size, 0)
      if (wanted <= 0 || moving.length >= LANES || this.#active.size >= MAX_ACTIVE) break
      const piece = this.#next()
      if (!piece) break
      if (piece.rows.length > wanted) this.#queue.unshift({ ...piece, rows: piece.rows.subarray(wanted) })
      void this.#fetch({ ...piece, rows: piece.rows.subarray(0, wanted) })
    }
    if (this.#count === this.#k || this.#active.size === 0) this.#done.resolve()
  }

  /** The first piece of a signer that may be asked; who is silent is asked for more only when nobody else is left. */
  #next(): Piece | undefined {
    this.#queue = this.#queue.filter(({ member }) => !this.#excluded.has(member))
    const silent = new Set([...this.#active].filter(({ stalled }) => stalled).map(({ piece }) => piece.member))
    const at = this.#queue.findIndex(({ member }) => !silent.has(member))
    return this.#queue.splice(Math.max(0, at), 1)[0]
  }

  async #fetch(piece: Piece): Promise<void> {
    const active: Active = { piece, missing: new Set(piece.rows), waiting: true, stalled: false, controller: new AbortController() }
    this.#active.add(active)
    let silent = 0
    const watch = setInterval(() => {
      if (!active.waiting) return
      silent += LOOK
      if (silent === STALLED) {
        active.stalled = true
        this.#schedule()
      }
      if (silent === GIVEN_UP) active.controller.abort(new PerigeeError('TIMEOUT', `nothing came for ${GIVEN_UP / 1000} s`))
    }, LOOK)
    try {
      const request = { blobId: getBytes(this.#located.blobId), rows: [...piece.rows] }
      for await (const portion of piece.client.getRows(request, { timeout: TIMEOUT, signal: active.controller.signal })) {
        active.waiting = active.stalled = false
        await this.#take(active, portion)
        active.waiting = true
        silent = 0
        if (this.#count === this.#k) return
      }
      if (active.missing.size > 0)
        throw new PerigeeError('NOT_FOUND', `it holds ${piece.rows.length - active.missing.size} of the ${piece.rows.length} rows asked for`)
    } catch (error) {
      this.#fail(piece, error)
    } finally {
      clearInterval(watch)
      this.#active.delete(active)
      this.#schedule()
    }
  }

  /** Keeps the rows of a portion, as far as they are needed. @throws PerigeeError VERIFICATION_FAILED */
  async #take({ piece, missing }: Active, { indices, rows, paths }: Rows): Promise<void> {
    const { rowSize, log2T, rowRoot, rlcRoot } = this.#blob
    const { rlc } = this.#located
    const count = indices.length
    const asked = indices.every((row) => missing.delete(row))
    if (!asked || count === 0 || rows.length !== count * rowSize || paths.length !== count * log2T * 32)
      throw new PerigeeError('VERIFICATION_FAILED', 'its rows are not those asked for')
    const commitment = { rowRoot: getBytes(rowRoot), rlcRoot: getBytes(rlcRoot), shape: shapeOf(this.#blob), rlc }
    const valid = await this.#options.codec.verify(commitment, Uint32Array.from(indices), rows, paths)
    const wrong = indices.filter((_, i) => valid[i] !== 1)
    if (wrong.length > 0) throw new PerigeeError('VERIFICATION_FAILED', `row ${wrong[0]} is not what the blob id commits to${more(wrong.length - 1)}`)
    const used = Math.min(count, this.#k - this.#count)
    if (used === 0) return
    this.#indices.set(indices.slice(0, used), this.#count)
    this.#rows.set(rows.subarray(0, used * rowSize), this.#count * rowSize)
    this.#count += used
    const { member, url } = piece
    const given = this.#given.get(member) ?? { account: member.account, url, rows: 0 }
    given.rows += used
    this.#given.set(member, given)
    this.#options.onRows?.(this.#count)
  }

  /** A signer that failed is asked no more. */
  #fail({ member, url }: Piece, error: unknown): void {
    if (this.#count === this.#k || this.#excluded.has(member)) return
    this.#excluded.add(member)
    this.#faults.push({ account: member.account, url, reason: reasonOf(error), lied: error instanceof PerigeeError && error.code === 'VERIFICATION_FAILED' })
  }

  #tooFew(): PerigeeError {
    const { blobId, epoch } = this.#located
    return new PerigeeError('FAILED', `the blob ${blobId} cannot be recovered now: ${this.#count} of the ${this.#k} rows it takes could be had`, {
      details: this.#faults.map(({ account, url, reason, lied }) => `${url || account} ${lied ? 'LIED' : 'was no help'}: ${reason}`),
      wayOut: `${epoch.members.length} signers were to hold rows of it; try again when more of them can be reached.`,
    })
  }
}

const more = (count: number): string => (count > 0 ? `, nor are ${count} others` : '')
