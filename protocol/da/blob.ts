import { createHash } from 'node:crypto'
import { getBytes } from 'ethers'
import { codeOf, MAX_BLOB_BYTES, rowSizeOf, type Shape } from './codes.ts'
import { checkHash, checkInteger, checkLength, DaFormatError } from './format-error.ts'

/** What the id of a blob commits to; as in contracts/da/Blob.sol. */
export interface Blob {
  scheme: number
  log2K: number
  log2T: number
  /** Bytes of a row. */
  rowSize: number
  /** Bytes of the blob, without padding. */
  length: number
  /** Hex of 32 bytes. */
  rowRoot: string
  rlcRoot: string
}

/** Rows of a Reed–Solomon code over GF(2^16), rate 1/4, chunk leaves. */
export const SCHEME = 1
export const HEADER_SIZE = 16
const VERSION = 1
const DOMAIN = 'row-da/v1'

/** @throws DaFormatError for a scheme, code or length that is unknown, and a row size that is not that of code and length */
export function checkBlob(blob: Blob): Blob {
  if (blob.scheme !== SCHEME) throw new DaFormatError(`the scheme is ${blob.scheme}: expected ${SCHEME}`)
  const code = codeOf(blob.log2K)
  if (blob.log2T !== code.log2T) throw new DaFormatError(`log2 T is ${blob.log2T}: expected ${code.log2T}, for a log2 K of ${code.log2K}`)
  checkInteger(blob.length, 1, Math.min(MAX_BLOB_BYTES, code.k * code.maxRowSize), `the length of a blob with K = ${code.k}`)
  const rowSize = rowSizeOf(blob.length, code)
  if (blob.rowSize !== rowSize) throw new DaFormatError(`the row size is ${blob.rowSize}: expected ${rowSize}, for ${blob.length} bytes and K = ${code.k}`)
  checkHash(blob.rowRoot, 'the row root')
  checkHash(blob.rlcRoot, 'the root of linear combinations')
  return blob
}

/** The blob of a shape and its roots (hex). */
export const blobOf = ({ log2K, log2T, rowSize }: Shape, length: number, rowRoot: string, rlcRoot: string): Blob =>
  checkBlob({ scheme: SCHEME, log2K, log2T, rowSize, length, rowRoot, rlcRoot })

export const shapeOf = ({ log2K, log2T, rowSize }: Blob): Shape => ({ k: 2 ** log2K, t: 2 ** log2T, log2K, log2T, rowSize })

/** The 16 bytes of a blob's header: version, scheme, log2 K, log2 T, row size (4 bytes) and length (8 bytes), big endian. */
export function encodeHeader(blob: Blob): Uint8Array {
  const header = Buffer.alloc(HEADER_SIZE)
  header.set([VERSION, blob.scheme, blob.log2K, blob.log2T])
  header.writeUInt32BE(blob.rowSize, 4)
  header.writeBigUInt64BE(BigInt(blob.length), 8)
  return header
}

/** Reads a header; its roots come from elsewhere. @throws DaFormatError for anything that `encodeHeader` does not write of a valid blob */
export function decodeHeader(bytes: Uint8Array, rowRoot: string, rlcRoot: string): Blob {
  const header = Buffer.from(checkLength(bytes, HEADER_SIZE, 'the header of a blob'))
  if (header[0] !== VERSION) throw new DaFormatError(`the version of the header is ${header[0]}: expected ${VERSION}`)
  const [scheme, log2K, log2T] = header.subarray(1, 4) as unknown as [number, number, number]
  return checkBlob({ scheme, log2K, log2T, rowSize: header.readUInt32BE(4), length: Number(header.readBigUInt64BE(8)), rowRoot, rlcRoot })
}

/** The id of a blob, hex: SHA-256 of a domain, its header and its roots. @throws DaFormatError as `checkBlob` */
export function blobIdOf(blob: Blob): string {
  checkBlob(blob)
  const hash = createHash('sha256').update(DOMAIN).update(encodeHeader(blob)).update(getBytes(blob.rowRoot)).update(getBytes(blob.rlcRoot))
  return `0x${hash.digest('hex')}`
}

/**
 * The blob's bytes from those of its K original rows (a view). Other padding than zeros would make several encodings of the same bytes.
 * @throws DaFormatError when there are not K·rowSize bytes, or one behind the blob is not zero
 */
export function checkPadding(blob: Blob, rows: Uint8Array): Uint8Array {
  checkLength(rows, 2 ** blob.log2K * blob.rowSize, 'the original rows together')
  for (let at = blob.length; at < rows.length; at++) {
    if (rows[at] !== 0) throw new DaFormatError(`byte ${at} behind a blob of ${blob.length} bytes is ${rows[at]}: expected zeros`)
  }
  return rows.subarray(0, blob.length)
}
