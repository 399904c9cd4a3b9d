import { getBytes, hexlify } from 'ethers'
import type { Kysely } from 'kysely'
import { CHUNK_SIZE, chunkLength, chunksOfRow, SIBLING_SIZE } from '../../../protocol/da/row-path.ts'
import { blobToWire, inclusionToWire } from '../../../sdk/da/messages.ts'
import type { BlobDescription, Chunks, GetChunksRequest, GetRowsRequest, Rows } from '../../../sdk/da/wire.ts'
import { MAX_PORTION_BYTES } from '../../../sdk/da/wire.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Batches } from './batches.ts'
import { type BlobFile, DamagedFile } from './blob-file.ts'
import { chunkPath, isRowOf, rowTree } from './row-proof.ts'
import type { Tables } from './schema.ts'
import { type BlobStore, blobOfHolding, type Holding } from './store.ts'

/** Of one call. */
const MAX_CHUNKS = 4096
/** Blobs looked up at once for a list. */
const PAGE = 64

/** A row that matches the row root. */
interface ReadRow {
  index: number
  row: Uint8Array
  path: Uint8Array
  tree: Uint8Array[][]
}

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
    const rows = new Map<number, ReadRow>()
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
    return this.#store.read(holding).catch((error) => {
      if (error instanceof DamagedFile) return undefined
      throw error
    })
  }

  /** Those rows of a holding that are wanted and whole; the file is read in runs of neighbours. */
  async *#rowsOf(holding: Holding, wanted: (index: number) => boolean): AsyncGenerator<ReadRow> {
    const file = await this.#opened(holding)
    if (!file) return
    try {
      const { indices } = file.head
      const { rowSize, log2T, rowRoot } = blobOfHolding(holding)
      const [root, pathSize] = [getBytes(rowRoot), SIBLING_SIZE * log2T]
      const atOnce = Math.max(1, Math.floor(MAX_PORTION_BYTES / (rowSize + pathSize)))
      for (let first = 0; first < indices.length; ) {
        if (!wanted(indices[first]!)) {
          first++
          continue
        }
        let count = 1
        while (count < atOnce && first + count < indices.length && wanted(indices[first + count]!)) count++
        const { rows, paths } = await file.read(first, count)
        for (let i = 0; i < count; i++) {
          const index = indices[first + i]!
          const [row, path] = [rows.subarray(i * rowSize, (i + 1) * rowSize), paths.subarray(i * pathSize, (i + 1) * pathSize)]
          const tree = rowTree(row)
          if (isRowOf(root, index, tree.at(-1)![0]!, path)) yield { index, row, path, tree }
          else await this.#store.report(holding, `row ${index} does not lead to the row root`)
        }
        first += count
      }
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error
      await this.#store.report(holding, error.message)
    } finally {
      await file.close()
    }
  }
}

/** A chunk of a row with its path to the row root. */
const chunkOf = ({ row, tree, path }: ReadRow, rowSize: number, chunk: number): Chunks['chunks'][number] => ({
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
