import { type FileHandle, open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { threadKernel } from '../../codec/keccak/index.ts'
import { CHUNK_SIZE, HASH_SIZE, SEGMENT_CHUNKS, SEGMENT_HEIGHT, SEGMENT_SIZE, zeroHash } from '../../protocol/storage/constants.ts'
import { type FileShape, fileShape } from '../../protocol/storage/file-shape.ts'
import { FileTree } from '../../protocol/storage/merkle.ts'
import { hashSegments, readFully, type SharedProgress } from './file-root-segments.ts'
import type { FileRootTask } from './file-root-worker.ts'

/** Below this size (bytes) a file is hashed sooner than threads start. */
const WORTH_THREADS = 32 * 1024 * 1024
/** More threads than this wait for the disk. */
const MOST_THREADS = 8

export interface FileTreeOptions {
  /** Worker threads; 0 hashes in this one. Default: none for a small file, otherwise one for each core, up to eight. */
  workers?: number | undefined
  signal?: AbortSignal | undefined
  /** Called often with the number of bytes hashed so far. */
  onProgress?: ((bytes: number) => void) | undefined
}

/**
 * The tree of a file on disk. Reads it once; takes 2 MiB of memory for each thread and 32 bytes for each segment of 256 KiB.
 * @throws RangeError for an empty file, Error when it becomes shorter meanwhile, the signal's reason when aborted.
 */
export async function fileTree(path: string, { workers, signal, onProgress }: FileTreeOptions = {}): Promise<FileTree> {
  signal?.throwIfAborted()
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const shape = fileShape(size)
    const shared: SharedProgress = {
      next: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
      roots: new Uint8Array(new SharedArrayBuffer(shape.paddedSegments * HASH_SIZE)),
    }
    let done = 0
    const onBytes = (bytes: number): void => {
      signal?.throwIfAborted()
      done += bytes
      onProgress?.(done)
    }
    const threads = workers ?? (size < WORTH_THREADS ? 0 : Math.min(availableParallelism(), MOST_THREADS))
    if (threads === 0) await hashSegments(file, shape, shared, onBytes)
    else await hashInWorkers(threads, { path, shape, shared }, onBytes, signal)

    const roots = shared.roots.slice()
    for (let index = shape.segments; index < shape.paddedSegments; index++) roots.set(zeroHash(SEGMENT_HEIGHT), index * HASH_SIZE)
    return FileTree.fromSegmentRoots(size, roots, await lastChunkHashes(file, shape))
  } finally {
    await file.close()
  }
}

async function hashInWorkers(threads: number, task: FileRootTask, onBytes: (bytes: number) => void, signal: AbortSignal | undefined): Promise<void> {
  const workers = Array.from({ length: threads }, () => new Worker(new URL('./file-root-worker.ts', import.meta.url), { workerData: task }))
  const { promise: stopped, reject: stop } = Promise.withResolvers<never>()
  const abort = (): void => stop(signal!.reason)
  signal?.addEventListener('abort', abort)
  const finished = workers.map(
    (worker) =>
      new Promise<void>((resolve, reject) => {
        worker.on('message', (bytes: number) => {
          try {
            onBytes(bytes)
          } catch (error) {
            reject(error)
          }
        })
        worker.once('error', reject)
        worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`A hashing thread stopped with code ${code}.`))))
      }),
  )
  try {
    await Promise.race([Promise.all(finished), stopped])
  } finally {
    signal?.removeEventListener('abort', abort)
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

/** The chunk hashes of the last segment, padding included, where a file ends within it and its nodes are made of them. */
async function lastChunkHashes(file: FileHandle, { size, paddedChunks, paddedSegments }: FileShape): Promise<Uint8Array | undefined> {
  const chunks = paddedChunks % SEGMENT_CHUNKS
  if (chunks === 0) return undefined
  const start = (paddedSegments - 1) * SEGMENT_SIZE
  const data = new Uint8Array(Math.min(size - start, chunks * CHUNK_SIZE))
  await readFully(file, data, start)
  return threadKernel().chunkHashes(data, chunks)
}
