import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createKeccak } from 'hash-wasm'
import type { Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** The upload is larger than it may be. */
export class UploadTooLarge extends Error {
  override readonly name = 'UploadTooLarge'

  constructor(max: number) {
    super(`the dataset is larger than ${max} bytes: put it into the storage network and name its root`)
  }
}

export interface UploadsOptions {
  db: Kysely<Tables>
  folder: string
  /** Of one dataset, and of all together; bytes. */
  maxDatasetBytes: number
  maxBytes: number
}

/** A file that came in and belongs to nobody yet. */
export interface Incoming {
  path: string
  size: number
  /** keccak256 of its bytes. */
  hash: string
}

/** Datasets that users sent here. One user's are of no use to another, even if she knows the hash. */
export class Uploads {
  readonly #options: UploadsOptions

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  /** Makes the folder, and removes what a crash left half-received. */
  async open(): Promise<void> {
    const { folder } = this.#options
    await mkdir(folder, { recursive: true })
    for (const name of await readdir(folder)) if (name.endsWith('.part')) await rm(join(folder, name), { force: true })
  }

  /** Writes a stream to disk, hashing it. @throws UploadTooLarge; nothing is kept then */
  async receive(stream: AsyncIterable<Uint8Array>): Promise<Incoming> {
    const { folder, maxDatasetBytes } = this.#options
    const path = join(folder, `${randomUUID()}.part`)
    const file = await open(path, 'wx', 0o600)
    try {
      const keccak = (await createKeccak(256)).init()
      let size = 0
      for await (const piece of stream) {
        size += piece.length
        if (size > maxDatasetBytes) throw new UploadTooLarge(maxDatasetBytes)
        keccak.update(piece)
        await file.write(piece)
      }
      await file.datasync()
      return { path, size, hash: `0x${keccak.digest('hex')}` }
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
  }

  /** Gives a received file to its user. @returns false when there is no room left for uploads */
  async keep(user: string, { path, size, hash }: Incoming): Promise<boolean> {
    const { db, maxBytes } = this.#options
    const known = await this.#find(user, hash)
    if (!known && (await this.bytes()) + size > maxBytes) return false
    await rename(path, this.#pathOf(user, hash))
    await db
      .insertInto('uploads')
      .values({ user, hash, size })
      .onConflict((on) => on.columns(['user', 'hash']).doUpdateSet({ created_at: new Date() }))
      .execute()
    return true
  }

  async discard({ path }: Incoming): Promise<void> {
    await rm(path, { force: true })
  }

  /** Copies an upload of this user to where its task needs it; false when there is none. */
  async copy(user: string, hash: string, to: string): Promise<boolean> {
    if (!(await this.#find(user, hash))) return false
    await copyFile(this.#pathOf(user, hash), to)
    return true
  }

  async bytes(): Promise<number> {
    const { sum } = await this.#options.db
      .selectFrom('uploads')
      .select((on) => on.fn.sum<string | null>('size').as('sum'))
      .executeTakeFirstOrThrow()
    return Number(sum ?? 0)
  }

  /** Forgets what no task has asked for since `time`. */
  async removeBefore(time: Date): Promise<number> {
    const { db } = this.#options
    const old = await db.selectFrom('uploads').selectAll().where('created_at', '<', time).execute()
    for (const { user, hash } of old) {
      await db.deleteFrom('uploads').where('user', '=', user).where('hash', '=', hash).execute()
      await rm(this.#pathOf(user, hash), { force: true })
    }
    return old.length
  }

  #find(user: string, hash: string) {
    return this.#options.db.selectFrom('uploads').selectAll().where('user', '=', user).where('hash', '=', hash).executeTakeFirst()
  }

  #pathOf(user: string, hash: string): string {
    return join(this.#options.folder, createHash('sha256').update(`${user.toLowerCase()} ${hash}`).digest('hex'))
  }
}

/** keccak256 of a file, read once. */
export async function fileKeccak(path: string): Promise<{ hash: string; size: number }> {
  const keccak = (await createKeccak(256)).init()
  for await (const piece of createReadStream(path)) keccak.update(piece as Buffer)
  return { hash: `0x${keccak.digest('hex')}`, size: (await stat(path)).size }
}
