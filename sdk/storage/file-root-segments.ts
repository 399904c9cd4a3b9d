import type { FileHandle } from 'node:fs/promises'
import { loadKernel } from '../../codec/keccak/index.ts'
import { HASH_SIZE, SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import { chunksInSegment, type FileShape } from '../../protocol/storage/file-shape.ts'

/** Segments read and hashed at once (1 MiB): enough that calls cost nothing, few enough to share work out evenly. */
const BATCH = 4

/** What the threads that hash one file share. */
export interface SharedProgress {
  /** One element: the first segment nobody has taken yet. */
  next: Int32Array<ArrayBufferLike>
  /** Roots of the padded segments, 32 bytes each; every thread writes those of the segments it took. */
  roots: Uint8Array<ArrayBufferLike>
}

interface Batch {
  first: number
  /** The last batch of a file is short. */
  length: number
  buffer: Uint8Array<ArrayBuffer>
}

/**
 * Hashes data segments until none are left to take, reading one batch ahead. Holds 2 MiB whatever the size of the file.
 * @param onBytes told how many bytes were hashed, after each batch; may throw to stop.
 */
export async function hashSegments(file: FileHandle, shape: FileShape, { next, roots }: SharedProgress, onBytes: (bytes: number) => void): Promise<void> {
  const kernel = loadKernel()
  const spare = [new Uint8Array(BATCH * SEGMENT_SIZE), new Uint8Array(BATCH * SEGMENT_SIZE)]

  const readBatch = async (buffer: Uint8Array<ArrayBuffer>): Promise<Batch | undefined> => {
    const first = Atomics.add(next, 0, BATCH)
    if (first >= shape.segments) return undefined
    const start = first * SEGMENT_SIZE
    const length = Math.min(buffer.length, shape.size - start)
    await readFully(file, buffer.subarray(0, length), start)
    return { first, length, buffer }
  }

  let reading = readBatch(spare.pop()!)
  for (let batch = await reading; batch; batch = await reading) {
    const { first, length, buffer } = batch
    reading = readBatch(spare.pop()!)
    // Its failure is seen when it is awaited, however long hashing takes until then.
    reading.catch(() => {})
    for (let i = 0; i * SEGMENT_SIZE < length; i++) {
      const data = buffer.subarray(i * SEGMENT_SIZE, Math.min(length, (i + 1) * SEGMENT_SIZE))
      roots.set(kernel.segmentRoot(data, chunksInSegment(shape, first + i)), (first + i) * HASH_SIZE)
    }
    spare.push(buffer)
    onBytes(length)
  }
}

/** Fills `into` from `position` of the file. @throws Error when the file ends before. */
export async function readFully(file: FileHandle, into: Uint8Array<ArrayBuffer>, position: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done)
    if (bytesRead === 0) throw new Error(`The file has become shorter while it was hashed: it ends at ${position + done} bytes.`)
    done += bytesRead
  }
}
