/** A code of `t` rows of which the first `k` carry the data. `t` = 4k; `rowSize` in bytes. */
export interface RowShape {
  k: number
  t: number
  rowSize: number
}

/** A row is made of groups of 32 symbols. */
export const GROUP_BYTES = 64
export const HASH_BYTES = 32
/** A combination of a row's symbols. */
export const COMBINATION_BYTES = 16

/** The domain has 2^16 positions. */
const MAX_T = 65_536
/** Rows that a kernel takes at once. */
const MIN_K = 4
const MAX_ROW_BYTES = 65_536
/** All `t` rows are in memory at once. */
const MAX_CODE_BYTES = 256 * 1024 * 1024

const isPowerOfTwo = (value: number): boolean => Number.isSafeInteger(value) && Number.isInteger(Math.log2(value))

function checkRows({ rowSize, t }: RowShape): void {
  if (rowSize < GROUP_BYTES || rowSize > MAX_ROW_BYTES || rowSize % GROUP_BYTES !== 0)
    throw new RangeError(`rowSize must be a multiple of ${GROUP_BYTES} up to ${MAX_ROW_BYTES} bytes, got ${rowSize}.`)
  if (t * rowSize > MAX_CODE_BYTES) throw new RangeError(`${t} rows of ${rowSize} bytes are more than ${MAX_CODE_BYTES} bytes.`)
}

export function checkShape(shape: RowShape): void {
  const { k, t } = shape
  if (!isPowerOfTwo(k) || k < MIN_K || 4 * k > MAX_T) throw new RangeError(`k must be a power of two from ${MIN_K} to ${MAX_T / 4}, got ${k}.`)
  if (t !== 4 * k) throw new RangeError(`t must be 4k = ${4 * k}, got ${t}.`)
  checkRows(shape)
}

/** For the arrangement of Leopard: at least as much parity as data, a power of two of rows in all. */
export function checkForeignShape(shape: RowShape): void {
  const { k, t } = shape
  if (!isPowerOfTwo(k) || k < MIN_K) throw new RangeError(`k must be a power of two from ${MIN_K} on, got ${k}.`)
  if (!isPowerOfTwo(t) || t < 2 * k || t > MAX_T / 4) throw new RangeError(`t must be a power of two from 2k to ${MAX_T / 4}, got ${t}.`)
  checkRows(shape)
}

export function checkBytes(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${name}: expected ${length} bytes, got ${bytes.length}.`)
}

export function checkIndices(indices: Uint32Array, { t }: RowShape): void {
  for (const index of indices) if (index >= t) throw new RangeError(`There is no row ${index} among ${t}.`)
}

export function checkDistinct(indices: Uint32Array): void {
  if (new Set(indices).size !== indices.length) throw new RangeError('The same row was given twice.')
}
