import { createReadStream, createWriteStream } from 'node:fs'
import { access, type FileHandle, link, open, rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import { type DecryptionKeys, decryptStream, EncryptionHeaderError, type FileCipher, WrongKey } from '../../protocol/storage/encryption.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { fetchSegments, lengthOfSegment, matchesTree } from './fetch.ts'
import { type Culprit, findHolders, type HeldFile, type HolderOptions } from './holders.ts'

/** Largest file that is returned in memory unless the caller allows more. */
const MAX_IN_MEMORY = 64 * 1024 * 1024

export interface DownloadOptions extends HolderOptions {
  /** Replaces an existing file. */
  force?: boolean
  /** Decrypts the file; which of the keys is needed, its header says. */
  decryption?: DecryptionKeys | undefined
  /** Bytes verified and stored so far, of the whole file. */
  onProgress?: (done: number, total: number) => void
}

export interface DownloadResult {
  root: string
  /** Bytes stored by the network, the encryption header included. */
  size: number
  seq: number
  /** Segments that an earlier, interrupted run had fetched. */
  resumed: number
  /** Whether the file proved that the key is the right one: false when another client encrypted it, absent when nothing was decrypted. */
  keyVerified?: boolean
  /** Nodes that served, and how many segments each. */
  sources: { url: string; segments: number }[]
  /** Nodes that did not, or served something else than the file. */
  culprits: Culprit[]
}

/**
 * Downloads a file from all nodes that hold it. Every byte is verified against the root before the file appears at `to`;
 * until then it grows beside it as `<to>.<root>.part`, from which an interrupted download goes on.
 */
export async function download(root: string, to: string, options: DownloadOptions): Promise<DownloadResult> {
  if (!options.force && (await exists(to))) throw alreadyThere(to)
  const file = await findHolders(root, options)
  const part = `${to}.${root.slice(2, 10)}.part`
  const handle = await open(part, (await exists(part)) ? 'r+' : 'w+').catch((cause) => {
    throw new PerigeeError('USAGE', `cannot write ${part}: ${reasonOf(cause)}`, { cause })
  })
  const asked = file.holders
  let missing: number[]
  try {
    missing = await missingSegments(file, handle, options)
    await handle.truncate(file.shape.size)
    let done = file.shape.segments - missing.length
    const deliver = async (index: number, bytes: Uint8Array): Promise<void> => {
      await handle.write(bytes, 0, bytes.length, index * SEGMENT_SIZE)
      done++
      options.onProgress?.(Math.min(file.shape.size, done * SEGMENT_SIZE), file.shape.size)
    }
    await fetchSegments(file, missing, { ...options, deliver })
  } finally {
    await handle.close()
  }
  const finished = await finish(part, to, options)
  return { ...resultOf(file, asked, file.shape.segments - missing.length), ...finished }
}

/** Downloads a file into memory, verified. @throws PerigeeError USAGE when it is larger than `maxSize` bytes (64 MiB). */
export async function downloadBytes(
  root: string,
  options: Omit<DownloadOptions, 'force'> & { maxSize?: number },
): Promise<DownloadResult & { bytes: Uint8Array }> {
  const { maxSize = MAX_IN_MEMORY, decryption } = options
  const file = await findHolders(root, options)
  if (file.shape.size > maxSize)
    throw new PerigeeError('USAGE', `the file has ${file.shape.size} bytes, more than the ${maxSize} allowed in memory`, {
      wayOut: 'Download it to a file, or raise maxSize.',
    })
  const asked = file.holders
  const bytes = new Uint8Array(file.shape.size)
  let done = 0
  const deliver = async (index: number, segment: Uint8Array): Promise<void> => {
    bytes.set(segment, index * SEGMENT_SIZE)
    done += segment.length
    options.onProgress?.(done, file.shape.size)
  }
  await fetchSegments(file, allSegments(file), { ...options, deliver })
  const result = resultOf(file, asked, 0)
  if (!decryption) return { ...result, bytes }
  try {
    let keyVerified = false
    const pieces: Uint8Array[] = []
    const opened = (cipher: FileCipher): void => {
      keyVerified = cipher.keyVerified
    }
    for await (const piece of decryptStream([bytes], decryption, opened)) pieces.push(piece)
    return { ...result, keyVerified, bytes: Buffer.concat(pieces) }
  } catch (error) {
    throw decryptionError(error)
  }
}

/** Lets one holder serve the whole file and verifies it, keeping nothing. Resolves to what was wrong, or undefined. */
export async function auditHolder(
  file: HeldFile,
  holder: HeldFile['holders'][number],
  options: HolderOptions & { onSegment?: () => void },
): Promise<Culprit | undefined> {
  const alone: HeldFile = { ...file, holders: [holder], culprits: [] }
  const deliver = async (): Promise<void> => options.onSegment?.()
  // Named as the only node: no other may stand in for it.
  await fetchSegments(alone, allSegments(file), { signal: options.signal, nodes: [], deliver }).catch((error) => {
    options.signal?.throwIfAborted()
    if (alone.culprits.length === 0) throw error
  })
  return alone.culprits[0]
}

/** Segments not in the part file, found by verifying what is there: no record of progress can be wrong about the bytes. */
async function missingSegments(file: HeldFile, handle: FileHandle, { onProgress, signal }: DownloadOptions): Promise<number[]> {
  const { size } = await handle.stat()
  if (!file.tree || size === 0) return allSegments(file)
  const missing: number[] = []
  const buffer = new Uint8Array(SEGMENT_SIZE)
  for (const index of allSegments(file)) {
    signal?.throwIfAborted()
    const length = lengthOfSegment(file, index)
    const { bytesRead } = await handle.read(buffer, 0, length, index * SEGMENT_SIZE)
    if (bytesRead < length || !matchesTree(file, index, buffer.subarray(0, length))) missing.push(index)
    onProgress?.(Math.min(file.shape.size, (index + 1 - missing.length) * SEGMENT_SIZE), file.shape.size)
  }
  return missing
}

/** Puts a complete file in its place, decrypted if that was asked for. */
async function finish(part: string, to: string, { force = false, decryption }: DownloadOptions): Promise<Pick<DownloadResult, 'keyVerified'>> {
  if (!decryption) {
    await place(part, to, force)
    return {}
  }
  const plain = `${part}.plain`
  let keyVerified = false
  try {
    const content = decryptStream(createReadStream(part), decryption, (cipher) => {
      keyVerified = cipher.keyVerified
    })
    await pipeline(Readable.from(content, { objectMode: false }), createWriteStream(plain, { mode: 0o600 }))
  } catch (error) {
    await rm(plain, { force: true })
    throw decryptionError(error, part)
  }
  await place(plain, to, force)
  await rm(part)
  return { keyVerified }
}

/** Gives a finished file its name. Unless forced, a file that has appeared there meanwhile is not replaced. */
async function place(from: string, to: string, force: boolean): Promise<void> {
  if (force) return rename(from, to)
  try {
    await link(from, to)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw alreadyThere(to)
    // A file system without hard links: the check and the rename are two steps.
    if (await exists(to)) throw alreadyThere(to)
    return rename(from, to)
  }
  await rm(from)
}

function decryptionError(error: unknown, kept?: string): unknown {
  if (error instanceof WrongKey) {
    return new PerigeeError('VERIFICATION_FAILED', `the file cannot be decrypted: ${error.message}`, {
      wayOut: `Try another key${kept ? `; the encrypted file is kept at ${kept} and is not downloaded again` : ''}.`,
      cause: error,
    })
  }
  if (error instanceof EncryptionHeaderError)
    return new PerigeeError('USAGE', `the file cannot be decrypted: ${error.message}`, { wayOut: 'Download it without a key.', cause: error })
  return error
}

const allSegments = ({ shape }: HeldFile): number[] => Array.from({ length: shape.segments }, (_, index) => index)

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

function alreadyThere(to: string): PerigeeError {
  return new PerigeeError('USAGE', `${to} exists`, { wayOut: 'Choose another name, or use --force (force: true) to replace it.' })
}

function resultOf(file: HeldFile, asked: HeldFile['holders'], resumed: number): DownloadResult {
  const all = [...new Set([...asked, ...file.holders])]
  return {
    root: file.root,
    size: file.shape.size,
    seq: all[0]!.info.tx.seq,
    resumed,
    sources: all.filter(({ served }) => served > 0).map(({ node, served }) => ({ url: node.url, segments: served })),
    culprits: file.culprits,
  }
}
