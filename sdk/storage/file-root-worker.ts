// A thread that hashes its share of a file, on its own file handle. Posts the number of bytes after each batch.
import { open } from 'node:fs/promises'
import { parentPort, workerData } from 'node:worker_threads'
import type { FileShape } from '../../protocol/storage/file-shape.ts'
import { hashSegments, type SharedProgress } from './file-root-segments.ts'

export interface FileRootTask {
  path: string
  shape: FileShape
  shared: SharedProgress
}

const { path, shape, shared }: FileRootTask = workerData
const file = await open(path)
try {
  await hashSegments(file, shape, shared, (bytes) => parentPort!.postMessage(bytes))
} finally {
  await file.close()
}
