import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Insertable, Kysely, Selectable } from 'kysely'
import PQueue from 'p-queue'
import type { Registry } from 'prom-client'
import { type Blob, blobIdOf } from '../../../protocol/da/blob.ts'
import { syncFolder, writeFileParts } from '../../runtime/files.ts'
import { Groups } from '../../runtime/groups.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge } from '../../runtime/metrics.ts'
import { BlobFile, type BlobHead, DamagedFile, encodeHead, fileSize } from './blob-file.ts'
import type { HoldingTable, PromiseTable, Tables } from './schema.ts'

export type Holding = Selectable<HoldingTable>

/** Rows that were verified. */
export interface StoredRows extends Omit<BlobHead, 'rlc'> {
  blobId: string
  rlc: Uint8Array
  rows: Uint8Array
  paths: Uint8Array
}

export type PromiseRecord = Insertable<PromiseTable>

interface Staged {
  file: string
  holding: Omit<Holding, 'id' | 'listed'>
  /** The promise that pays for it, if it was not free. */
  promise: PromiseRecord | undefined
}

export interface BlobStoreOptions {
  folder: string
  db: Kysely<Tables>
  maxBytes: number
  log: Log
  metrics: Registry
}

/** Files whose names are safe on disk. */
const SUFFIX = '.rows'
const TEMPORARY = '.tmp'

/** Rows of blobs: a file for each blob and epoch, and its record in the database. What is recorded is on disk. */
export class BlobStore {
  readonly #options: BlobStoreOptions
  readonly #groups: Groups<Staged>
  readonly #damages
  /** By blob and seed. */
  readonly #underway = new Map<string, Promise<void>>()
  #bytes = 0
  #reserved = 0

  private constructor(options: BlobStoreOptions) {
    this.#options = options
    this.#groups = new Groups((staged) => this.#commit(staged))
    const { metrics } = options
    this.#damages = counter(metrics, { name: 'da_signer_damages_total', help: 'Rows and files that did not match when they were read' })
    const bytes = () => this.#bytes
    gauge(metrics, {
      name: 'da_signer_stored_bytes',
      help: 'Bytes of the files of rows',
      collect() {
        this.set(bytes())
      },
    })
  }

  /**
   * Opens a folder. Files are the truth and the tables their index: what a crash left unrecorded, or a lost database, is recorded again,
   * and records whose file is gone or cut off are marked.
   */
  static async open(options: BlobStoreOptions): Promise<BlobStore> {
    const store = new BlobStore(options)
    await mkdir(options.folder, { recursive: true })
    await store.#reconcile()
    return store
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The rows of a blob by the epoch's seed, perhaps damaged. */
  async find(blobId: string, seed: string): Promise<Holding | undefined> {
    return this.#options.db.selectFrom('holdings').selectAll().where('blob_id', '=', blobId).where('seed', '=', seed).executeTakeFirst()
  }

  /** All that is here of a blob: one for each epoch it was stored in, newest first. */
  async ofBlob(blobId: string): Promise<Holding[]> {
    return this.#options.db.selectFrom('holdings').selectAll().where('blob_id', '=', blobId).orderBy('epoch', 'desc').execute()
  }

  /** Does one thing at a time with the rows of a blob. */
  async exclusively<T>(blobId: string, seed: string, work: () => Promise<T>): Promise<T> {
    const key = `${blobId} ${seed}`
    while (this.#underway.has(key)) await this.#underway.get(key)
    const { promise: done, resolve } = Promise.withResolvers<void>()
    this.#underway.set(key, done)
    try {
      return await work()
    } finally {
      this.#underway.delete(key)
      resolve()
    }
  }

  /** Sets bytes aside before work is done for them. Returns what gives them back. @throws GrpcError RESOURCE_EXHAUSTED */
  reserve(bytes: number): () => void {
    const { maxBytes } = this.#options
    if (this.#bytes + this.#reserved + bytes > maxBytes)
      throw GrpcError.resourceExhausted(`this signer stores ${maxBytes} bytes at most, has ${this.#bytes}, and these rows take ${bytes}`)
    this.#reserved += bytes
    return () => {
      this.#reserved -= bytes
    }
  }

  /**
   * Resolves when the rows are on disk and recorded, together with the promise that pays for them; to be called `exclusively`.
   * `damaged`: there is a record already.
   * @throws DiskFull, and then nothing is stored
   */
  async put({ blobId, epoch, seed, member, blob, rlc, indices, rows, paths }: StoredRows, promise: PromiseRecord | undefined, damaged: boolean): Promise<void> {
    const file = join(await this.#folderOf(epoch), nameOf(blobId, seed))
    const bytes = fileSize(blob, indices.length)
    await writeFileParts(file + TEMPORARY, [encodeHead({ epoch, seed, member, blob, rlc, indices }), rows, paths])
    const holding = { ...recordOf(blobId, epoch, seed, member, blob), rows: indices.length, bytes, damaged: false }
    await this.#groups.add({ file, holding, promise })
    if (!damaged) this.#bytes += bytes
  }

  /** Records one more promise for rows that are stored already. */
  async record(promise: PromiseRecord | undefined): Promise<void> {
    if (promise) await insertPromises(this.#options.db, [promise]).execute()
  }

  /** One sync of the folder and one statement, which is all or nothing, for all that came together. */
  async #commit(staged: Staged[]): Promise<void> {
    const { db } = this.#options
    for (const { file } of staged) await rename(file + TEMPORARY, file)
    for (const epoch of new Set(staged.map(({ holding }) => holding.epoch))) await syncFolder(await this.#folderOf(epoch))
    const holdings = insertHoldings(
      db,
      staged.map(({ holding }) => holding),
    )
    const promises = new Map(staged.flatMap(({ promise }) => (promise ? [[promise.hash, promise]] : [])))
    if (promises.size === 0) await holdings.execute()
    else
      await insertPromises(
        db.with('stored', () => holdings.returning('id')),
        [...promises.values()],
      ).execute()
  }

  /** @throws DamagedFile, which is reported, when the file is gone, cut off or changed */
  async read(holding: Holding): Promise<BlobFile> {
    try {
      return await BlobFile.open(join(this.#options.folder, String(holding.epoch), nameOf(holding.blob_id, holding.seed)))
    } catch (error) {
      const gone = (error as NodeJS.ErrnoException).code === 'ENOENT'
      if (!gone && !(error instanceof DamagedFile)) throw error
      const damage = gone ? new DamagedFile('it is gone') : (error as DamagedFile)
      await this.report(holding, damage.message)
      throw damage
    }
  }

  /** Something of it is not what was stored: said once, counted each time, and when it comes again it is stored anew. */
  async report({ id, blob_id, epoch, damaged }: Holding, what: string): Promise<void> {
    const { db, log } = this.#options
    const { numUpdatedRows } = await db.updateTable('holdings').set({ damaged: true }).where('id', '=', id).where('damaged', '=', false).executeTakeFirst()
    if (!damaged && numUpdatedRows === 0n) return // pruned meanwhile
    this.#damages.inc()
    const advice = 'look after the disk; what a challenge asks of it costs stake'
    if (!damaged) log.error({ blobId: blob_id, epoch, what, advice }, 'stored rows are damaged')
  }

  /** What was reported is as it should be: somebody put the file back. */
  async clear({ id, blob_id, epoch }: Holding): Promise<void> {
    await this.#options.db.updateTable('holdings').set({ damaged: false }).where('id', '=', id).execute()
    this.#options.log.info({ blobId: blob_id, epoch }, 'damaged rows are whole again')
  }

  /** Forgets rows and removes their file. */
  async remove({ id, blob_id, seed, epoch, bytes }: Holding): Promise<void> {
    await this.#options.db.deleteFrom('holdings').where('id', '=', id).execute()
    await rm(join(this.#options.folder, String(epoch), nameOf(blob_id, seed)), { force: true })
    this.#bytes -= bytes
  }

  async #folderOf(epoch: number): Promise<string> {
    const folder = join(this.#options.folder, String(epoch))
    if ((await mkdir(folder, { recursive: true })) !== undefined) await syncFolder(this.#options.folder)
    return folder
  }

  async #reconcile(): Promise<void> {
    const { db, folder, log } = this.#options
    const known = new Map((await db.selectFrom('holdings').selectAll().execute()).map((holding) => [nameOf(holding.blob_id, holding.seed), holding]))
    const disk = new PQueue({ concurrency: 16 })
    let adopted = 0
    for (const epoch of await readdir(folder)) {
      for (const name of await readdir(join(folder, epoch))) {
        const path = join(folder, epoch, name)
        if (name.endsWith(TEMPORARY)) await rm(path)
        if (!name.endsWith(SUFFIX)) continue
        const holding = known.get(name)
        known.delete(name)
        void disk.add(async () => {
          const { size } = await stat(path)
          if (!holding) adopted += await this.#adopt(path, size)
          else if (size !== holding.bytes) await this.report(holding, `its file has ${size} bytes instead of ${holding.bytes}`)
          if (holding) this.#bytes += holding.bytes
        })
        await disk.onSizeLessThan(64)
      }
    }
    await disk.onIdle()
    for (const holding of known.values()) {
      this.#bytes += holding.bytes // its room is kept until it comes again, or is pruned
      await this.report(holding, 'its file is gone')
    }
    if (adopted > 0) log.info({ blobs: adopted }, 'files without a record were recorded again')
  }

  /** Records a file that is whole; removes one that is not, as nobody was told that it is stored. */
  async #adopt(path: string, size: number): Promise<number> {
    try {
      const file = await BlobFile.open(path)
      await file.close()
      const { epoch, seed, member, blob, indices } = file.head
      const bytes = fileSize(blob, indices.length)
      if (size !== bytes) throw new DamagedFile(`it has ${size} bytes instead of ${bytes}`)
      await insertHoldings(this.#options.db, [
        { ...recordOf(blobIdOf(blob), epoch, seed, member, blob), rows: indices.length, bytes, damaged: false },
      ]).execute()
      this.#bytes += bytes
      return 1
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error
      this.#options.log.warn({ path, reason: error.message }, 'a file that is not whole and has no record was removed')
      await rm(path)
      return 0
    }
  }
}

const insertHoldings = (db: Kysely<Tables>, holdings: Staged['holding'][]) =>
  db
    .insertInto('holdings')
    .values(holdings)
    .onConflict((on) => on.columns(['blob_id', 'seed']).doUpdateSet({ damaged: false }))

const insertPromises = (db: Pick<Kysely<Tables>, 'insertInto'>, promises: PromiseRecord[]) =>
  db
    .insertInto('promises')
    .values(promises)
    .onConflict((on) => on.doNothing())

const nameOf = (blobId: string, seed: string): string => `${blobId.slice(2)}-${seed.slice(2, 18)}${SUFFIX}`

const recordOf = (blobId: string, epoch: number, seed: string, member: number, { log2K, rowSize, length, rowRoot, rlcRoot }: Blob) => ({
  blob_id: blobId,
  seed,
  epoch,
  member,
  log2_k: log2K,
  row_size: rowSize,
  length,
  row_root: rowRoot,
  rlc_root: rlcRoot,
})
