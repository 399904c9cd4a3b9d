import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { concat, dataSlice, getBytes, hexlify, type SigningKey } from 'ethers'
import type { Kysely, Selectable } from 'kysely'
import { batchTree, NO_BLOB } from '../../../protocol/da/batch-tree.ts'
import { type BlsKey, encodeG1 } from '../../../protocol/da/bls.ts'
import { type CertificateDomain, certificateDigest, signDigest } from '../../../protocol/da/certificate.ts'
import type { Inclusion } from '../../../sdk/da/messages.ts'
import type { SignReply, SignRequest } from '../../../sdk/da/wire.ts'
import { syncFolder, writeFileAtomic } from '../../runtime/files.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Membership } from './membership.ts'
import type { BatchTable, Tables } from './schema.ts'

export interface BatchesOptions {
  folder: string
  db: Kysely<Tables>
  membership: Membership
  bls: BlsKey
  ecdsa: SigningKey
  domain: CertificateDomain
}

/** Blobs of one batch at most. */
const MAX_BLOBS = 4096
const ID_SIZE = 32
/** Rows of one insert: PostgreSQL takes 65,535 values. */
const INSERT_ROWS = 4096

/** The batches we signed: what is in them is on disk, and in the tables, before the signatures leave. */
export class Batches {
  readonly #options: BatchesOptions
  /** By root and epoch. */
  readonly #underway = new Map<string, Promise<SignReply>>()

  private constructor(options: BatchesOptions) {
    this.#options = options
  }

  /** Opens a folder; batches whose record was lost with the database are recorded again. */
  static async open(options: BatchesOptions): Promise<Batches> {
    const batches = new Batches(options)
    await mkdir(options.folder, { recursive: true })
    await batches.#reconcile()
    return batches
  }

  /** Signs a batch whose blobs are all stored for its epoch. @throws GrpcError with what is in the way */
  async sign({ epoch, blobIds }: SignRequest): Promise<SignReply> {
    if (blobIds.length === 0 || blobIds.length > MAX_BLOBS) throw GrpcError.invalidArgument(`the batch has ${blobIds.length} blobs: expected 1 to ${MAX_BLOBS}`)
    if (blobIds.some(({ length }) => length !== ID_SIZE)) throw GrpcError.invalidArgument('the id of a blob is not 32 bytes')
    const ids = blobIds.map((id) => hexlify(id))
    const blobs = ids.filter((id) => id !== NO_BLOB)
    if (blobs.length === 0) throw GrpcError.invalidArgument('the batch has no blobs: expected at least one')
    if (new Set(blobs).size !== blobs.length) throw GrpcError.invalidArgument('a blob is in the batch twice')
    const place = await this.#options.membership.surePlaceIn(epoch)
    const { seed } = place.epoch
    await this.#checkStored(blobs, seed)
    const { root } = batchTree(ids)
    const known = await this.#find(root, epoch)
    if (known?.seed === seed) return { bls: known.bls!, ecdsa: known.ecdsa! }
    return this.keep(root, epoch, seed, ids)
  }

  /** Makes a batch one that we know. Its signatures leave only when `sign` finds all of its blobs stored. */
  async keep(root: string, epoch: number, seed: string, ids: readonly string[]): Promise<SignReply> {
    const name = nameOf(root, epoch)
    const keeping = this.#underway.get(name) ?? this.#write(root, epoch, seed, ids).finally(() => this.#underway.delete(name))
    this.#underway.set(name, keeping)
    return keeping
  }

  /** The blobs of a batch, in the order of its leaves. @throws GrpcError NOT_FOUND */
  async blobsOf(root: string, epoch: number): Promise<string[]> {
    const blobs = await this.#options.db
      .selectFrom('batch_blobs')
      .select(['blob_id', 'index'])
      .where('root', '=', root)
      .where('epoch', '=', epoch)
      .orderBy('index')
      .execute()
    if (blobs.length === 0) throw GrpcError.notFound(`the batch ${root} of epoch ${epoch} is not known here`)
    const ids = Array<string>(blobs.at(-1)!.index + 1).fill(NO_BLOB)
    for (const { blob_id, index } of blobs) ids[index] = blob_id
    return ids
  }

  /** The batches a blob was signed in: certified ones first, of these the latest. */
  async inclusionsOf(blobId: string): Promise<Inclusion[]> {
    const rows = await this.#options.db
      .selectFrom('batch_blobs')
      .innerJoin('batches', (join) => join.onRef('batches.root', '=', 'batch_blobs.root').onRef('batches.epoch', '=', 'batch_blobs.epoch'))
      .select(['batches.root', 'batches.epoch', 'batch_blobs.index', 'batch_blobs.proof', 'batches.certified_at'])
      .where('batch_blobs.blob_id', '=', blobId)
      .execute()
    return rows
      .sort((a, b) => (b.certified_at ?? 0) - (a.certified_at ?? 0) || b.epoch - a.epoch)
      .map(({ root, epoch, index, proof }) => ({
        epoch,
        batchRoot: root,
        index,
        proof: Array.from({ length: proof.length / ID_SIZE }, (_, i) => dataSlice(proof, ID_SIZE * i, ID_SIZE * (i + 1))),
      }))
  }

  async remove({ root, epoch }: Pick<BatchTable, 'root' | 'epoch'>): Promise<void> {
    const { db, folder } = this.#options
    await db.transaction().execute(async (trx) => {
      await trx.deleteFrom('batch_blobs').where('root', '=', root).where('epoch', '=', epoch).execute()
      await trx.deleteFrom('batches').where('root', '=', root).where('epoch', '=', epoch).execute()
    })
    await rm(join(folder, nameOf(root, epoch)), { force: true })
  }

  async #checkStored(ids: readonly string[], seed: string): Promise<void> {
    const stored = await this.#options.db
      .selectFrom('holdings')
      .select('blob_id')
      .where('seed', '=', seed)
      .where('damaged', '=', false)
      .where('blob_id', 'in', ids)
      .execute()
    if (stored.length === ids.length) return
    const here = new Set(stored.map(({ blob_id }) => blob_id))
    const missing = ids.filter((id) => !here.has(id))
    throw GrpcError.failedPrecondition(`${missing.length} of the ${ids.length} blobs are not stored for this epoch, ${missing[0]} among them`)
  }

  async #find(root: string, epoch: number): Promise<Selectable<BatchTable> | undefined> {
    return this.#options.db.selectFrom('batches').selectAll().where('root', '=', root).where('epoch', '=', epoch).executeTakeFirst()
  }

  async #write(root: string, epoch: number, seed: string, ids: readonly string[]): Promise<SignReply> {
    await writeFileAtomic(join(this.#options.folder, nameOf(root, epoch)), getBytes(concat([seed, ...ids])))
    return this.#record(root, epoch, seed, ids)
  }

  async #record(root: string, epoch: number, seed: string, ids: readonly string[]): Promise<SignReply> {
    const { db, bls, ecdsa, domain } = this.#options
    const digest = certificateDigest(domain, epoch, root)
    const signatures = { bls: encodeG1(bls.sign(digest)), ecdsa: signDigest(ecdsa, digest) }
    const tree = batchTree(ids)
    const rows = ids
      .map((blob_id, index) => ({ root, epoch, index, blob_id, proof: getBytes(concat(tree.proof(index))) }))
      .filter(({ blob_id }) => blob_id !== NO_BLOB)
    await db.transaction().execute(async (trx) => {
      await trx
        .insertInto('batches')
        .values({ root, epoch, seed, ...signatures, certified_at: null, certified_block: null })
        .onConflict((on) => on.columns(['root', 'epoch']).doUpdateSet({ seed, ...signatures }))
        .execute()
      for (let at = 0; at < rows.length; at += INSERT_ROWS) {
        await trx
          .insertInto('batch_blobs')
          .values(rows.slice(at, at + INSERT_ROWS))
          .onConflict((on) => on.doNothing())
          .execute()
      }
    })
    return signatures
  }

  async #reconcile(): Promise<void> {
    const { folder } = this.#options
    for (const name of await readdir(folder)) {
      const [epoch, root] = name.split('-') as [string, string]
      if (!/^[0-9a-f]{64}$/.test(root)) {
        await rm(join(folder, name)) // written in part
        continue
      }
      if ((await this.#find(`0x${root}`, Number(epoch)))?.seed) continue
      const bytes = await readFile(join(folder, name))
      const ids = Array.from({ length: bytes.length / ID_SIZE }, (_, i) => hexlify(bytes.subarray(ID_SIZE * i, ID_SIZE * (i + 1))))
      const [seed, ...blobs] = ids as [string, ...string[]]
      if (blobs.length > 0 && batchTree(blobs).root === `0x${root}`) await this.#record(`0x${root}`, Number(epoch), seed, blobs)
    }
    await syncFolder(folder)
  }
}

const nameOf = (root: string, epoch: number): string => `${epoch}-${root.slice(2)}`
