import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CHUNK_SIZE, SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import { encryptStream, type Recipient } from '../../protocol/storage/encryption.ts'
import { PerigeeError, reasonOf } from '../errors.ts'

/** What can be uploaded: the path of a file, bytes in memory, or a stream of bytes. */
export type UploadInput = string | Uint8Array | AsyncIterable<Uint8Array>

/** A file on disk that is read by segment: the one form in which data is hashed and sent, however it came. */
export interface Source {
  path: string
  /** Bytes. */
  size: number
  /** Reads segment `index` into the start of `into` (SEGMENT_SIZE bytes) and returns it: whole chunks, the last filled up with zeros. */
  read(index: number, into: Uint8Array): Promise<Uint8Array>
  close(): Promise<void>
}

export interface SourceOptions {
  /** Encrypts what is read. */
  encryption?: Recipient | undefined
  signal?: AbortSignal | undefined
}

/**
 * Opens what is to be uploaded. A stream, bytes in memory and a file to be encrypted are first written to a temporary file,
 * because the root must be known before the first byte is sent, and memory stays bounded.
 * @throws PerigeeError NOT_FOUND or USAGE when it cannot be read or is empty.
 */
export async function openSource(input: UploadInput, { encryption, signal }: SourceOptions = {}): Promise<Source> {
  const temporary = typeof input !== 'string' || encryption !== undefined
  const path = temporary ? await spool(input, encryption, signal) : input
  const close = async (): Promise<void> => {
    if (temporary) await rm(path, { force: true })
  }
  try {
    return await openFile(path, close)
  } catch (error) {
    await close()
    throw error
  }
}

async function openFile(path: string, closed: () => Promise<void>): Promise<Source> {
  const file = await open(path).catch((cause) => {
    throw new PerigeeError(cause.code === 'ENOENT' ? 'NOT_FOUND' : 'USAGE', `cannot read ${path}: ${reasonOf(cause)}`, { cause })
  })
  const source: Source = {
    path,
    size: 0,
    read: (index, into) => readSegment(file, path, source.size, index, into),
    close: async () => {
      await file.close()
      await closed()
    },
  }
  const stat = await file.stat()
  source.size = stat.size
  if (stat.isFile() && stat.size > 0) return source
  await file.close()
  throw new PerigeeError('USAGE', stat.isFile() ? `${path} is empty; there is nothing to store` : `${path} is not a file`)
}

async function readSegment(file: FileHandle, path: string, size: number, index: number, into: Uint8Array): Promise<Uint8Array> {
  const start = index * SEGMENT_SIZE
  const length = Math.min(SEGMENT_SIZE, size - start)
  const { bytesRead } = await file.read(into, 0, length, start)
  if (bytesRead === length) {
    const whole = into.subarray(0, Math.ceil(length / CHUNK_SIZE) * CHUNK_SIZE)
    return whole.fill(0, length)
  }
  throw new PerigeeError('FAILED', `${path} has become shorter while it was being uploaded`, {
    details: [`${size} bytes at the start, now ends before ${start + length}`],
  })
}

/** Writes the input, encrypted if asked, to a file that only its owner can read. */
async function spool(input: UploadInput, encryption: Recipient | undefined, signal?: AbortSignal): Promise<string> {
  const plaintext = typeof input === 'string' ? createReadStream(input) : input instanceof Uint8Array ? [input] : input
  const path = join(tmpdir(), `perigee-${randomUUID()}`)
  try {
    const content = encryption ? encryptStream(plaintext, encryption) : plaintext
    await pipeline(Readable.from(content, { objectMode: false }), createWriteStream(path, { mode: 0o600, flags: 'wx' }), { ...(signal ? { signal } : {}) })
  } catch (cause) {
    await rm(path, { force: true })
    if (signal?.aborted) throw cause
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    throw new PerigeeError(missing ? 'NOT_FOUND' : 'FAILED', `cannot read what is to be uploaded: ${reasonOf(cause)}`, { cause })
  }
  return path
}
