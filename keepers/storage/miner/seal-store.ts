import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../runtime/files.ts'
import { encodeSeals, type SealedLoad } from './seal-file.ts'

const FOLDER_LOADS = 4096

/** Where the seals of a load are: one file per load, 4096 loads (1 GiB) to a folder. */
export const sealPath = (folder: string, load: number): string => join(folder, String(Math.floor(load / FOLDER_LOADS)), `${load}.seal`)

/** The sealed loads of one miner id on disk. A file has its name only when it is whole. */
export class SealStore {
  readonly folder: string
  readonly #loads = new Set<number>()

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(dataDir: string, minerId: string): Promise<SealStore> {
    const store = new SealStore(join(dataDir, 'seals', minerId))
    await mkdir(store.folder, { recursive: true })
    for (const entry of await readdir(store.folder, { recursive: true })) {
      const [, load] = /(\d+)\.seal$/.exec(entry) ?? []
      if (load !== undefined) store.#loads.add(Number(load))
      // what a crash has interrupted
      else if (entry.endsWith('.tmp')) await rm(join(store.folder, entry), { force: true })
    }
    return store
  }

  get loads(): ReadonlySet<number> {
    return this.#loads
  }

  /** @throws DiskFull */
  async put(sealed: SealedLoad): Promise<void> {
    const path = sealPath(this.folder, sealed.load)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFileAtomic(path, encodeSeals(sealed))
    this.#loads.add(sealed.load)
  }

  async remove(load: number): Promise<void> {
    this.#loads.delete(load)
    await rm(sealPath(this.folder, load), { force: true })
  }
}
