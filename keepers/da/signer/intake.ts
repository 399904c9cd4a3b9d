import { getBytes } from 'ethers'
import type { RowCodec } from '../../../codec/rows/index.ts'
import { type Blob, blobIdOf } from '../../../protocol/da/blob.ts'
import { shapeFor } from '../../../protocol/da/codes.ts'
import { checkLength, DaFormatError } from '../../../protocol/da/format-error.ts'
import { SIBLING_SIZE } from '../../../protocol/da/row-path.ts'
import { blobFromWire, paymentFromWire } from '../../../sdk/da/messages.ts'
import type { StoreReply, StoreRequest } from '../../../sdk/da/wire.ts'
import { Busy, ByteGate } from '../../runtime/byte-gate.ts'
import { DiskFull } from '../../runtime/files.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Log } from '../../runtime/log.ts'
import { fileSize } from './blob-file.ts'
import { type Membership, ownRows, type Place } from './membership.ts'
import type { PromiseBook } from './promises.ts'
import type { BlobStore } from './store.ts'
import { verifyRows } from './verification.ts'

export interface IntakeOptions {
  membership: Membership
  promises: PromiseBook
  store: BlobStore
  codec: RowCodec
  /** Counts a blob and its bytes by how it ended. */
  count: (outcome: 'stored' | 'refused' | 'failed', bytes: number) => void
  log: Log
}

const RLC_SIZE = 16
/** Bytes of messages that are worked on together, of all streams; the others wait unread in their sockets. */
const MAX_BYTES_UNDERWAY = 128 * 1024 * 1024
/** How long a blob waits for that. */
const PATIENCE_MS = 30_000

/** What comes by Store: checked, the cheap things first, verified, and put on disk. */
export class Intake {
  readonly #options: IntakeOptions
  readonly #gate = new ByteGate(MAX_BYTES_UNDERWAY, PATIENCE_MS)

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  /** Answers one message; a refusal says why in words. */
  async accept(request: StoreRequest, signal: AbortSignal): Promise<StoreReply> {
    const { count, log } = this.#options
    const bytes = request.rows.length
    let blobId: string | undefined
    try {
      const blob = blobFromWire(request.blob)
      blobId = blobIdOf(blob)
      const leave = await this.#gate.enter(bytes + request.paths.length + request.rlc.length, signal)
      try {
        await this.#store(blobId, blob, request)
      } finally {
        leave()
      }
      count('stored', bytes)
      return { blobId: getBytes(blobId), error: '' }
    } catch (error) {
      const refusal = error instanceof DaFormatError || error instanceof GrpcError || error instanceof DiskFull || error instanceof Busy
      count(refusal ? 'refused' : 'failed', bytes)
      if (refusal) log.debug({ blobId, reason: (error as Error).message }, 'a blob was refused')
      else if (!signal.aborted) log.error({ err: error, blobId }, 'a blob could not be stored')
      return { blobId: blobId ? getBytes(blobId) : new Uint8Array(), error: refusal ? (error as Error).message : 'internal error: it was not stored' }
    }
  }

  async #store(blobId: string, blob: Blob, { epoch, rlc, rows, paths, payment }: StoreRequest): Promise<void> {
    const { membership, promises, store, codec } = this.#options
    checkLength(rlc, RLC_SIZE * 2 ** blob.log2K, 'the field rlc')
    const place = await membership.placeIn(epoch)
    const indices = this.#rowsOf(place, blobId, blob)
    checkLength(rows, indices.length * blob.rowSize, 'the field rows')
    checkLength(paths, indices.length * SIBLING_SIZE * blob.log2T, 'the field paths')
    const accepted = await promises.accept(payment ? paymentFromWire(payment, blobId) : undefined, blob)
    const { seed } = place.epoch
    // Of several dispersers with the same blob one is enough to verify it for.
    const stored = store.exclusively(blobId, seed, async () => {
      const before = await store.find(blobId, seed)
      if (before && !before.damaged) return await store.record(accepted)
      const giveBack = store.reserve(fileSize(blob, indices.length))
      try {
        await verifyRows(codec, { blob, rlc, indices, rows, paths })
        await store.put({ blobId, epoch, seed, member: place.member, blob, rlc, indices, rows, paths }, accepted, before !== undefined)
      } finally {
        giveBack()
      }
    })
    await stored.finally(() => promises.done(accepted))
  }

  #rowsOf(place: Place, blobId: string, blob: Blob): Uint32Array {
    const expected = shapeFor(blob.length, place.epoch.codes)
    if (expected.log2K !== blob.log2K)
      throw new DaFormatError(`K is ${2 ** blob.log2K}: expected ${expected.k}, the smallest of the epoch that holds ${blob.length} bytes`)
    return ownRows(place, blobId, blob.log2K)
  }
}
