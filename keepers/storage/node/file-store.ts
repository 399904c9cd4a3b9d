import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskFull, writeFileAtomic } from '../../runtime/files.ts'
import { type FileKey, StoredFile } from './stored-file.ts'

/** Files kept open; each holds two descriptors and 33 bytes of memory per segment. */
const OPEN_FILES = 256

/** For how long the free space last seen is taken for what there is. */
const FREE_SPACE_MS = 500

interface Entry {
  file: Promise<StoredFile>
  users: number
}

/** A file found on disk by walking the folder. */
export interface FoundFile extends FileKey {
  modifiedAt: number
}

export const keyId = ({ root, size }: FileKey): string => `${root.slice(2)}.${size}`

/** The folder of all stored files: `<first byte of the root>/<root>.<size>`, so that several submissions of one file share its bytes. */
export class FileStore {
  readonly folder: string
  readonly #reserve: number
  #free = { at: 0, bytes: 0 }
  readonly #open = new Map<string, Entry>()

  private constructor(folder: string, reserve: number) {
    this.folder = folder
    this.#reserve = reserve
  }

  /** @param reserve bytes of the disk to leave free */
  static async open(folder: string, reserve = 0): Promise<FileStore> {
    await mkdir(folder, { recursive: true })
    return new FileStore(folder, reserve)
  }

  /**
   * Name of this folder, given at its first use. A folder that was deleted or swapped has another one, which is how a node
   * notices that what its database lists is gone.
   */
  async identity(): Promise<string> {
    const path = join(this.folder, 'identity')
    const existing = await readFile(path, 'utf8').catch(() => undefined)
    if (existing) return existing
    await this.close()
    await mkdir(this.folder, { recursive: true })
    const identity = randomUUID()
    await writeFileAtomic(path, identity)
    return identity
  }

  /** Makes sure that `bytes` fit the disk and leave the reserve untouched. @throws DiskFull */
  async claim(bytes: number): Promise<void> {
    const now = Date.now()
    if (now - this.#free.at >= FREE_SPACE_MS) {
      const { bavail, bsize } = await statfs(this.folder)
      this.#free = { at: now, bytes: bavail * bsize }
    }
    if (this.#free.bytes - bytes < this.#reserve) throw new DiskFull(this.folder)
    this.#free.bytes -= bytes
  }

  /** Works with a file that is made when it is not there. @throws DiskFull */
  async obtain<T>(key: FileKey, work: (file: StoredFile) => Promise<T>): Promise<T> {
    const id = keyId(key)
    let entry = this.#open.get(id)
    if (!entry) {
      entry = { file: StoredFile.open(this.#path(key), key), users: 0 }
      entry.file.catch(() => this.#open.delete(id))
    }
    this.#open.delete(id)
    this.#open.set(id, entry)
    entry.users++
    try {
      return await work(await entry.file)
    } finally {
      entry.users--
      if (this.#open.get(id) !== entry) await this.#retire(entry)
      else await this.#closeIdle()
    }
  }

  /** Works with a file if it is there. */
  async find<T>(key: FileKey, work: (file: StoredFile) => Promise<T>): Promise<T | undefined> {
    if (!this.#open.has(keyId(key)) && !(await this.exists(key))) return undefined
    return this.obtain(key, work)
  }

  /** Whether the file is on disk, whatever is held open. */
  async exists(key: FileKey): Promise<boolean> {
    return (await stat(`${this.#path(key)}.tree`).catch(() => undefined)) !== undefined
  }

  /** Deletes a file. What still reads it finishes with the bytes it has open. */
  async remove(key: FileKey): Promise<void> {
    const path = this.#path(key)
    const entry = this.#open.get(keyId(key))
    this.#open.delete(keyId(key))
    await rm(`${path}.tree`, { force: true })
    await rm(path, { force: true })
    if (entry) await this.#retire(entry)
  }

  /** Files on disk in the order of their roots, starting behind `after`. */
  async *walk(after = ''): AsyncGenerator<FoundFile> {
    const first = after.slice(0, 2)
    for (const group of (await readdir(this.folder)).filter((name) => name.length === 2 && name >= first).sort()) {
      const names = await readdir(join(this.folder, group)).catch(() => [])
      for (const name of names.filter((name) => /^[0-9a-f]{64}\.\d+$/.test(name) && name > after).sort()) {
        const found = await stat(join(this.folder, group, name)).catch(() => undefined)
        if (found) yield { root: `0x${name.slice(0, 64)}`, size: Number(name.slice(65)), modifiedAt: found.mtimeMs }
      }
    }
  }

  async close(): Promise<void> {
    const entries = [...this.#open.values()]
    this.#open.clear()
    for (const entry of entries) await this.#retire(entry)
  }

  #path(key: FileKey): string {
    const id = keyId(key)
    return join(this.folder, id.slice(0, 2), id)
  }

  /** Closes a file that is no longer listed as open, once its last user is done. */
  async #retire(entry: Entry): Promise<void> {
    if (entry.users === 0) await (await entry.file.catch(() => undefined))?.close()
  }

  /** Closes the files least recently used. */
  async #closeIdle(): Promise<void> {
    if (this.#open.size <= OPEN_FILES) return
    for (const [id, entry] of this.#open) {
      if (this.#open.size <= OPEN_FILES) return
      if (entry.users > 0) continue
      this.#open.delete(id)
      await this.#retire(entry)
    }
  }
}
