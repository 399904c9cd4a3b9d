import { getBytes, hexlify } from 'ethers'
import type { Kysely } from 'kysely'
import { blobIdOf } from '../../../protocol/da/blob.ts'
import { CHUNK_SIZE, chunkLength, chunksOfRow } from '../../../protocol/da/row-path.ts'
import { blobToWire, inclusionToWire } from '../../../sdk/da/messages.ts'
import type { BlobDescription, Chunks, GetChunksRequest, GetRowsRequest, Rows } from '../../../sdk/da/wire.ts'
import { MAX_PORTION_BYTES } from '../../../sdk/da/wire.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Batches } from './batches.ts'
import { type BlobFile, DamagedFile } from './blob-file.ts'
import { chunkPath } from './row-proof.ts'
import { type ScannedRow, scanRows } from './row-scan.ts'
import type { Tables } from './schema.ts'
import type { BlobStore, Holding } from './store.ts'

/** Of one call. */
const MAX_CHUNKS = 4096
/** Blobs looked up at once for a list. */
const PAGE = 64

/** What is read of stored blobs: in portions, and never a row that does not lead to its root. */
export class Reading {
  readonly #db: Kysely<Tables>
  readonly #store: BlobStore
  readonly #batches: Batches

  constructor(db: Kysely<Tables>, store: BlobStore, batches: Batches) {
    this.#db = db
    this.#store = store
    this.#batches = batches
  }

  /** @throws GrpcError NOT_FOUND */
  async blob(blobId: string): Promise<BlobDescription> {
    for (const holding of await this.#holdingsOf(blobId)) {
      const description = await this.#describe(holding)
      if (description) return description
    }
    throw GrpcError.notFound(`what is stored of ${blobId} is damaged`)
  }

  /** The rows of a blob that are here, or those of them that are asked for. @throws GrpcError NOT_FOUND */
  async *rows({ blobId, rows: wanted }: GetRowsRequest): AsyncGenerator<Rows> {
    const holdings = await this.#holdingsOf(hexlify(blobId))
    const left = wanted.length > 0 ? new Set(wanted) : undefined
    const given = new Set<number>()
    const take = (index: number) => !given.has(index) && (left === undefined || left.has(index))
    const portion = new Portion()
    for (const holding of holdings) {
      for await (const { index, row, path } of this.#rowsOf(holding, take)) {
        given.add(index)
        portion.add(index, row, path)
        if (portion.full) yield portion.take()
      }
    }
    if (!portion.empty) yield portion.take()
  }

  /** @throws GrpcError NOT_FOUND if one of them is not here, or damaged */
  async chunks({ blobId, positions }: GetChunksRequest): Promise<Chunks> {
    if (positions.length > MAX_CHUNKS) throw GrpcError.invalidArgument(`${positions.length} chunks at once: expected at most ${MAX_CHUNKS}`)
    const [holding, ...others] = await this.#holdingsOf(hexlify(blobId))
    const count = chunksOfRow(holding!.row_size)
    const beyond = positions.find(({ chunk }) => chunk >= count)
    if (beyond) throw GrpcError.invalidArgument(`rows of this blob have ${count} chunks: there is no chunk ${beyond.chunk}`)
    const rows = new Map<number, ScannedRow>()
    const wanted = new Set(positions.map(({ row }) => row))
    for (const each of [holding!, ...others]) {
      if (wanted.size === 0) break
      for await (const row of this.#rowsOf(each, (index) => wanted.has(index))) {
        rows.set(row.index, row)
        wanted.delete(row.index)
      }
    }
    return {
      chunks: positions.map(({ row: index, chunk }) => {
        const found = rows.get(index)
        if (!found) throw GrpcError.notFound(`row ${index} is not here`)
        return chunkOf(found, holding!.row_size, chunk)
      }),
    }
  }

  /** Blobs with a certificate in the order they got it, behind `cursor`. */
  async *certified(cursor: number): AsyncGenerator<BlobDescription> {
    for (let after = cursor; ; ) {
      const page = await this.#db.selectFrom('holdings').selectAll().where('listed', '>', after).orderBy('listed').limit(PAGE).execute()
      for (const holding of page) {
        after = holding.listed!
        const description = await this.#describe(holding)
        if (description) yield description
      }
      if (page.length < PAGE) return
    }
  }

  /** Reads and checks rows of a holding, all of them unless told, at most `maxBytes` or one at a time. What is damaged is reported. */
  async *scan(holding: Holding, maxBytes: number, wanted: (index: number) => boolean = () => true): AsyncGenerator<ScannedRow[]> {
    const file = await this.#opened(holding)
    if (!file) return
    try {
      for await (const run of scanRows(file, wanted, maxBytes)) {
        for (const { index, whole } of run) if (!whole) await this.#store.report(holding, `row ${index} does not lead to the row root`)
        yield run
      }
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error
      await this.#store.report(holding, error.message)
    } finally {
      await file.close()
    }
  }

  /** Whether every row is as it was stored. */
  async isWhole(holding: Holding): Promise<boolean> {
    let rows = 0
    for await (const run of this.scan(holding, MAX_PORTION_BYTES)) {
      if (!run.every(({ whole }) => whole)) return false
      rows += run.length
    }
    return rows === holding.rows
  }

  async #holdingsOf(blobId: string): Promise<Holding[]> {
    const holdings = await this.#store.ofBlob(blobId)
    if (holdings.length === 0) throw GrpcError.notFound(`nothing of ${blobId} is stored here`)
    return holdings
  }

  /** Undefined if its file is damaged, which is reported. */
  async #describe(holding: Holding): Promise<BlobDescription | undefined> {
    const file = await this.#opened(holding)
    if (!file) return undefined
    await file.close()
    const { blob, rlc } = file.head
    const inclusions = await this.#batches.inclusionsOf(holding.blob_id)
    return { blobId: getBytes(holding.blob_id), blob: blobToWire(blob), rlc, inclusions: inclusions.map(inclusionToWire), cursor: holding.listed ?? 0 }
  }

  async #opened(holding: Holding): Promise<BlobFile | undefined> {
    const file = await this.#store.read(holding).catch((error) => {
      if (error instanceof DamagedFile) return undefined
      throw error
    })
    if (!file || (blobIdOf(file.head.blob) === holding.blob_id && file.head.seed === holding.seed)) return file
    await file.close()
    await this.#store.report(holding, 'its file is of another blob, or of another epoch')
    return undefined
  }

  /** Those rows of a holding that are wanted and whole; others are reported. */
  async *#rowsOf(holding: Holding, wanted: (index: number) => boolean): AsyncGenerator<ScannedRow> {
    for await (const run of this.scan(holding, MAX_PORTION_BYTES, wanted)) yield* run.filter(({ whole }) => whole)
  }
}

/** A chunk of a row with its path to the row root. */
const chunkOf = ({ row, tree, path }: ScannedRow, rowSize: number, chunk: number): Chunks['chunks'][number] => ({
  data: row.subarray(chunk * CHUNK_SIZE, chunk * CHUNK_SIZE + chunkLength(rowSize, chunk)),
  path: chunkPath(tree, chunk, path),
})

/** Rows gathered for one message. */
class Portion {
  #indices: number[] = []
  #rows: Uint8Array[] = []
  #paths: Uint8Array[] = []
  #bytes = 0
  #last = 0

  get empty(): boolean {
    return this.#indices.length === 0
  }

  /** One more row of this size may not fit. */
  get full(): boolean {
    return this.#bytes + this.#last > MAX_PORTION_BYTES
  }

  add(index: number, row: Uint8Array, path: Uint8Array): void {
    this.#indices.push(index)
    this.#rows.push(row)
    this.#paths.push(path)
    this.#last = row.length + path.length
    this.#bytes += this.#last
  }

  take(): Rows {
    const message = { indices: this.#indices, rows: Buffer.concat(this.#rows), paths: Buffer.concat(this.#paths) }
    ;[this.#indices, this.#rows, this.#paths, this.#bytes] = [[], [], [], 0]
    return message
  }
}
