import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder, writeFileParts } from '../../runtime/files.ts'

/** Of files that have no name yet. */
const TEMPORARY = '.tmp'

/** The bytes that clients gave, a file for each request, until they are certified for good and everybody else has had time to fetch them here. */
export class BlobFiles {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async open(folder: string): Promise<BlobFiles> {
    await mkdir(folder, { recursive: true })
    return new BlobFiles(folder)
  }

  /** The bytes are on disk when this resolves, and to be read once they are `keep`t. @throws DiskFull, and leaves nothing then */
  write(id: string, data: Uint8Array): Promise<void> {
    return writeFileParts(this.#path(id) + TEMPORARY, [data])
  }

  /** Gives files that were written their names: one sync of the folder for all of them. */
  async keep(ids: readonly string[]): Promise<void> {
    for (const id of ids) await rename(this.#path(id) + TEMPORARY, this.#path(id))
    await syncFolder(this.#folder)
  }

  /** The bytes, or undefined when there are none. */
  async read(id: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(this.#path(id))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id), { force: true })
  }

  /** Removes what was written and never acknowledged: files that no row knows. */
  async removeUnknown(known: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#folder)) if (!known.has(name)) await this.remove(name)
  }

  #path(id: string): string {
    return join(this.#folder, id)
  }
}
