import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** The disk or the quota is used up; what was there before is unchanged. */
export class DiskFull extends Error {
  override readonly name = 'DiskFull'
  readonly path: string

  constructor(path: string, options?: ErrorOptions) {
    super(`no space left to write ${path}: free some space, then it goes on by itself`, options)
    this.path = path
  }
}

async function noting<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new DiskFull(path, { cause: error })
    throw error
  }
}

/** Makes a created, renamed or removed entry of `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Replaces a file so that a crash at any instant leaves either the old or the new content.
 * @throws DiskFull
 */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    await noting(path, async () => {
      const handle = await open(temporary, 'w')
      try {
        await handle.writeFile(content)
        await handle.datasync()
      } finally {
        await handle.close()
      }
    })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/**
 * Makes a file of these parts, or replaces what is there, and waits until its content is on disk; its name is only after `syncFolder`.
 * @throws DiskFull, and leaves nothing then
 */
export async function writeFileParts(path: string, parts: readonly Uint8Array[]): Promise<void> {
  try {
    await noting(path, async () => {
      const handle = await open(path, 'w')
      try {
        for (const part of parts) await handle.writeFile(part)
        await handle.datasync()
      } finally {
        await handle.close()
      }
    })
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

/** A file read and written at positions. Writes are on disk after `sync`, not before. */
export class PositionalFile {
  readonly path: string
  private readonly handle: FileHandle

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.handle = handle
  }

  /** Opens a file, made empty when it is not there. */
  static async open(path: string): Promise<PositionalFile> {
    try {
      return new PositionalFile(path, await open(path, 'r+'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    const handle = await noting(path, () => open(path, 'w+'))
    await syncFolder(dirname(path))
    return new PositionalFile(path, handle)
  }

  async size(): Promise<number> {
    return (await this.handle.stat()).size
  }

  /** Up to `length` bytes from `position`; fewer at the end of the file. */
  async read(position: number, length: number): Promise<Uint8Array> {
    return this.readInto(new Uint8Array(length), position)
  }

  /** Fills `bytes` from `position`; resolves to the part that was filled, which is shorter at the end of the file. */
  async readInto(bytes: Uint8Array, position: number): Promise<Uint8Array> {
    const { length } = bytes
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.handle.read(bytes, done, length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return bytes.subarray(0, done)
  }

  /** @throws DiskFull; the bytes from `position` on may then be partly written */
  async write(position: number, bytes: Uint8Array): Promise<void> {
    await noting(this.path, async () => {
      let done = 0
      while (done < bytes.length) {
        const { bytesWritten } = await this.handle.write(bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      }
    })
  }

  async truncate(size: number): Promise<void> {
    await this.handle.truncate(size)
  }

  async sync(): Promise<void> {
    await noting(this.path, () => this.handle.datasync())
  }

  async close(): Promise<void> {
    await this.handle.close()
  }
}

const held = new Set<string>()

/** When a process started, in clock ticks since boot: tells a process from a later one with the same id. Linux only. */
function startTime(pid: number): string | undefined {
  try {
    // Field 22 of proc(5) stat; the second field is the command in parentheses and may hold spaces.
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[19]
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Takes a folder for this process alone, making it when needed, and returns what gives it back. A lock whose process is gone is
 * taken over; so is one that bears our own id, as every process of a container is likely to be process 1.
 * @throws when another living process, or another part of this one, has the folder
 */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'lock')
  if (held.has(path)) throw new Error(`${folder} is already in use by this process (${process.pid})`)
  const mine = `${process.pid} ${startTime(process.pid) ?? ''}`
  for (;;) {
    try {
      const file = openSync(path, 'wx')
      writeFileSync(file, mine)
      closeSync(file)
      break
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOSPC' || code === 'EDQUOT') throw new DiskFull(path, { cause: error })
      if (code !== 'EEXIST') throw error
    }
    const [pid, started] = readFileSync(path, 'utf8').split(' ')
    const owner = Number(pid)
    const stale = !(owner > 0) || owner === process.pid || !isAlive(owner) || (started && startTime(owner) && startTime(owner) !== started)
    if (!stale) throw new Error(`${folder} is in use by process ${owner}: stop it, or give this one another dataDir`)
    rmSync(path, { force: true })
  }
  held.add(path)
  return () => {
    held.delete(path)
    rmSync(path, { force: true })
  }
}
