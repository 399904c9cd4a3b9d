import { hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { getBytes, hexlify } from 'ethers'
import { type Blob, decodeHeader, encodeHeader, HEADER_SIZE } from '../../../protocol/da/blob.ts'
import { SIBLING_SIZE } from '../../../protocol/da/row-path.ts'

/** What a file says of the rows in it. */
export interface BlobHead {
  epoch: number
  /** Hex of 32 bytes. */
  seed: string
  member: number
  blob: Blob
  /** K linear combinations, 16 bytes each. */
  rlc: Uint8Array
  /** Which rows, in the order of slots. */
  indices: Uint32Array
}

const MAGIC = Buffer.from('da-rows1')
const RLC_SIZE = 16
const HASH_SIZE = 32
const INDEX_SIZE = 4
/** Magic, epoch (u64), member and rows (u32), seed, the blob's header and roots. */
const FIXED_SIZE = MAGIC.length + 8 + 4 + 4 + HASH_SIZE + HEADER_SIZE + 2 * HASH_SIZE

/** The file is not what was written: cut off, or changed. */
export class DamagedFile extends Error {
  override readonly name = 'DamagedFile'
}

/**
 * A file has a fixed part, the linear combinations, the indices of the rows (u32, little endian), the SHA-256 of all that, the rows, and their paths.
 * The rows need no checksum: their paths lead to the row root. All integers of the fixed part are big endian.
 */
export function encodeHead({ epoch, seed, member, blob, rlc, indices }: BlobHead): Uint8Array {
  const fixed = Buffer.alloc(MAGIC.length + 16)
  MAGIC.copy(fixed)
  fixed.writeBigUInt64BE(BigInt(epoch), MAGIC.length)
  fixed.writeUInt32BE(member, MAGIC.length + 8)
  fixed.writeUInt32BE(indices.length, MAGIC.length + 12)
  const positions = Buffer.alloc(INDEX_SIZE * indices.length)
  indices.forEach((index, i) => void positions.writeUInt32LE(index, INDEX_SIZE * i))
  const head = Buffer.concat([fixed, getBytes(seed), encodeHeader(blob), getBytes(blob.rowRoot), getBytes(blob.rlcRoot), rlc, positions])
  return Buffer.concat([head, hash('sha256', head, 'buffer')])
}

const headSize = (k: number, rows: number): number => FIXED_SIZE + RLC_SIZE * k + INDEX_SIZE * rows + HASH_SIZE

/** Bytes of a file with so many rows of a blob. */
export const fileSize = ({ log2K, log2T, rowSize }: Pick<Blob, 'log2K' | 'log2T' | 'rowSize'>, rows: number): number =>
  headSize(2 ** log2K, rows) + rows * (rowSize + SIBLING_SIZE * log2T)

/** An open file of rows. */
export class BlobFile {
  readonly head: BlobHead
  readonly #handle: FileHandle

  private constructor(head: BlobHead, handle: FileHandle) {
    this.head = head
    this.#handle = handle
  }

  /** @throws DamagedFile, or ENOENT */
  static async open(path: string): Promise<BlobFile> {
    const handle = await open(path, 'r')
    try {
      return new BlobFile(await readHead(handle), handle)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** `count` rows from the `first` in the file on, and their paths. @throws DamagedFile when the file ends before */
  async read(first: number, count: number): Promise<{ rows: Uint8Array; paths: Uint8Array }> {
    const { blob, indices } = this.head
    const pathSize = SIBLING_SIZE * blob.log2T
    const start = headSize(2 ** blob.log2K, indices.length)
    const [rows, paths] = await Promise.all([
      readAll(this.#handle, start + first * blob.rowSize, count * blob.rowSize),
      readAll(this.#handle, start + indices.length * blob.rowSize + first * pathSize, count * pathSize),
    ])
    return { rows, paths }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

async function readHead(handle: FileHandle): Promise<BlobHead> {
  const fixed = await readAll(handle, 0, FIXED_SIZE)
  if (!fixed.subarray(0, MAGIC.length).equals(MAGIC)) throw new DamagedFile('it does not begin as files of rows do')
  let at = MAGIC.length
  const take = (size: number) => {
    at += size
    return fixed.subarray(at - size, at)
  }
  const epoch = Number(take(8).readBigUInt64BE())
  const [member, count] = [take(4).readUInt32BE(), take(4).readUInt32BE()]
  const seed = hexlify(take(HASH_SIZE))
  const header = take(HEADER_SIZE)
  let blob: Blob
  try {
    blob = decodeHeader(header, hexlify(take(HASH_SIZE)), hexlify(take(HASH_SIZE)))
  } catch (error) {
    throw new DamagedFile(`its blob is none: ${(error as Error).message}`)
  }
  const k = 2 ** blob.log2K
  if (count > k) throw new DamagedFile(`it is to have ${count} rows, of a blob that is recovered from ${k}`)
  const head = await readAll(handle, 0, headSize(k, count))
  const end = head.length - HASH_SIZE
  if (!hash('sha256', head.subarray(0, end), 'buffer').equals(head.subarray(end))) throw new DamagedFile('its head does not match its checksum')
  const rlc = head.subarray(FIXED_SIZE, FIXED_SIZE + RLC_SIZE * k)
  const indices = Uint32Array.from({ length: count }, (_, i) => head.readUInt32LE(FIXED_SIZE + RLC_SIZE * k + INDEX_SIZE * i))
  return { epoch, seed, member, blob, rlc, indices }
}

async function readAll(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) throw new DamagedFile(`it ends at byte ${position + done}`)
    done += bytesRead
  }
  return bytes
}
