import { checkInteger, DaFormatError } from './format-error.ts'

/** A code: K original rows, extended to T = 4K. */
export interface Code {
  /** j of K = 64·4^j; its bit in a mask of codes. */
  index: number
  k: number
  t: number
  log2K: number
  log2T: number
  /**
   * The least rows that a member holds: s rows drawn at random, all of them valid, leave at most 2^-100 that fewer than T − e rows of the blob are
   * valid, e = ⌊(T − K)/2⌋: C(T − e, s)/C(T, s) ≤ 2^-100. With K = 64 that is more than K rows: there every member holds all K that it takes to recover
   * the blob, and compares the whole of it.
   */
  minRows: number
  /** bytes */
  maxRowSize: number
}

/** The shape of a coded blob; `rowSize` in bytes. */
export interface Shape {
  k: number
  t: number
  log2K: number
  log2T: number
  rowSize: number
}

/** The largest blob, in bytes. */
export const MAX_BLOB_BYTES = 33_554_432
/** A row is made of groups of 32 symbols of two bytes. */
export const ROW_SIZE_UNIT = 64

/** By index, smallest K first. */
export const CODES: readonly Code[] = [
  { minRows: 105, maxRowSize: 256 },
  { minRows: 135, maxRowSize: 4096 },
  { minRows: 145, maxRowSize: 8192 },
  { minRows: 147, maxRowSize: 32_768 },
  { minRows: 148, maxRowSize: 32_768 },
].map(({ minRows, maxRowSize }, index) => ({ index, k: 64 * 4 ** index, t: 256 * 4 ** index, log2K: 6 + 2 * index, log2T: 8 + 2 * index, minRows, maxRowSize }))

/** @throws DaFormatError unless K = 2^log2K is that of a code */
export function codeOf(log2K: number): Code {
  const code = CODES.find((code) => code.log2K === log2K)
  if (!code) throw new DaFormatError(`log2 K is ${log2K}: expected 6, 8, 10, 12 or 14`)
  return code
}

/** Bytes of a row of a blob of `length` bytes in a code: the fewest that hold it. */
export const rowSizeOf = (length: number, { k }: Pick<Code, 'k'>): number => ROW_SIZE_UNIT * Math.ceil(length / (ROW_SIZE_UNIT * k))

/**
 * The shape of a blob of `length` bytes: in the smallest code that holds it and whose bit is set in `codes`, what its epoch allows.
 * @throws DaFormatError for a length that is 0 or above the cap, and when none of the codes holds it
 */
export function shapeFor(length: number, codes: number): Shape {
  checkInteger(length, 1, MAX_BLOB_BYTES, 'the length of a blob')
  const code = CODES.find(({ index, k, maxRowSize }) => codes & (1 << index) && length <= k * maxRowSize)
  if (!code) throw new DaFormatError(`no code of the epoch (mask ${codes}) holds a blob of ${length} bytes`)
  const { k, t, log2K, log2T } = code
  return { k, t, log2K, log2T, rowSize: rowSizeOf(length, code) }
}
