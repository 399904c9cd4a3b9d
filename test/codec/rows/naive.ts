// The row code as its definitions word it: interpolation by Lagrange's formula over GF(2^16), hashes one at a time.
import { createHash } from 'node:crypto'
import type { RowShape } from '../../../codec/rows/index.ts'

/** The Cantor basis, as polynomials over GF(2) modulo x^16 + x^5 + x^3 + x^2 + 1: a symbol's bits are coordinates in it. */
const BASIS = [0x0001, 0xacca, 0x3c0e, 0x163e, 0xc582, 0xed2e, 0x914c, 0x4012, 0x6c98, 0x10d8, 0x6a72, 0xb900, 0xfdb8, 0xfb34, 0xff38, 0x991e]
const polynomials = new Uint16Array(65_536)
const coordinates = new Uint16Array(65_536)
for (let symbol = 0; symbol < 65_536; symbol++) {
  polynomials[symbol] = BASIS.reduce((sum, element, bit) => ((symbol >> bit) & 1 ? sum ^ element : sum), 0)
  coordinates[polynomials[symbol]!] = symbol
}
const powers = new Uint16Array(65_535)
const logs = new Uint16Array(65_536)
for (let i = 0, power = 1; i < 65_535; i++) {
  powers[i] = power
  logs[power] = i
  power = (power << 1) ^ (power & 0x8000 ? 0x1002d : 0)
}

/** Product of two symbols. */
export function multiply(a: number, b: number): number {
  if (a === 0 || b === 0) return 0
  return coordinates[powers[(logs[polynomials[a]!]! + logs[polynomials[b]!]!) % 65_535]!]!
}
const invert = (a: number): number => coordinates[powers[(65_535 - logs[polynomials[a]!]!) % 65_535]!]!

/** Value at `x` of the polynomial of degree < n through n points. */
export function interpolate(points: readonly { x: number; y: number }[], x: number): number {
  return weights(
    points.map((point) => point.x),
    x,
  ).reduce((sum, weight, i) => sum ^ multiply(weight, points[i]!.y), 0)
}

/** Lagrange's weights: Π over the others of (x − other)/(own − other), and in this field − is exclusive or. */
function weights(positions: readonly number[], x: number): number[] {
  return positions.map((own) => {
    const [above, below] = positions.reduce(([a, b], other) => (other === own ? [a, b] : [multiply(a, x ^ other), multiply(b, own ^ other)]), [1, 1] as [
      number,
      number,
    ])
    return multiply(above, invert(below))
  })
}

/** Symbol j of a row: in groups of 64 bytes, 32 low ones and 32 high ones. */
export function symbol(row: Uint8Array, j: number): number {
  const at = Math.floor(j / 32) * 64 + (j % 32)
  return row[at]! | (row[at + 32]! << 8)
}
function setSymbol(row: Uint8Array, j: number, value: number): void {
  const at = Math.floor(j / 32) * 64 + (j % 32)
  row[at] = value & 0xff
  row[at + 32] = value >> 8
}

/** Rows at other positions of the domain of the polynomials through rows at some. */
export function rowsAt(positions: readonly number[], rows: readonly Uint8Array[], wanted: readonly number[]): Uint8Array[] {
  return wanted.map((x) => {
    const row = new Uint8Array(rows[0]!.length)
    const factors = weights(positions, x)
    for (let j = 0; j < row.length / 2; j++) {
      setSymbol(
        row,
        j,
        factors.reduce((sum, factor, i) => sum ^ multiply(factor, symbol(rows[i]!, j)), 0),
      )
    }
    return row
  })
}

export const range = (start: number, end: number): number[] => Array.from({ length: end - start }, (_, i) => start + i)
export const split = (bytes: Uint8Array, size: number): Uint8Array[] => range(0, bytes.length / size).map((i) => bytes.subarray(i * size, (i + 1) * size))
export const join = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

export const sha256 = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(createHash('sha256').update(join(parts)).digest())
const leafOf = (bytes: Uint8Array): Uint8Array => sha256(Uint8Array.of(0), bytes)
const parentOf = (left: Uint8Array, right: Uint8Array): Uint8Array => sha256(Uint8Array.of(1), left, right)

/** Root over leaves, filled up with zeros to a power of two. */
function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  let level = [...leaves]
  while (!Number.isInteger(Math.log2(level.length))) level.push(new Uint8Array(32))
  while (level.length > 1) level = range(0, level.length / 2).map((i) => parentOf(level[2 * i]!, level[2 * i + 1]!))
  return level[0]!
}

/** Siblings of one of 2^n leaves, lowest first. */
export function pathOf(leaves: readonly Uint8Array[], index: number): Uint8Array[] {
  if (leaves.length === 1) return []
  const above = range(0, leaves.length / 2).map((i) => parentOf(leaves[2 * i]!, leaves[2 * i + 1]!))
  return [leaves[index ^ 1]!, ...pathOf(above, index >> 1)]
}

/** Where a path leads from a leaf with an index. */
export function climb(leaf: Uint8Array, index: number, path: readonly Uint8Array[]): Uint8Array {
  return path.reduce((node, sibling, level) => ((index >> level) & 1 ? parentOf(sibling, node) : parentOf(node, sibling)), leaf)
}

const chunksOf = (row: Uint8Array, chunk: number): Uint8Array[] => range(0, Math.ceil(row.length / chunk)).map((i) => row.subarray(i * chunk, (i + 1) * chunk))
export const rowLeaf = (row: Uint8Array, chunk: number): Uint8Array => rootOf(chunksOf(row, chunk).map(leafOf))
export const chunkLeaf = (row: Uint8Array, chunk: number, index: number): Uint8Array => leafOf(chunksOf(row, chunk)[index]!)

const le32 = (value: number): Uint8Array => Uint8Array.of(value, value >> 8, value >> 16, value >> 24)

/** Both roots and the combinations of the original rows, from all rows. */
export function commit(rows: readonly Uint8Array[], { k, t, rowSize }: RowShape, chunk: number): { rowRoot: Uint8Array; rlcRoot: Uint8Array; rlc: Uint8Array } {
  const rowRoot = rootOf(rows.map((row) => rowLeaf(row, chunk)))
  const seed = sha256(rowRoot, le32(k), le32(t - k), le32(rowSize))
  const coefficients = range(0, rowSize / 2).map((i) => {
    const hash = sha256(seed, le32(i))
    return range(0, 8).map((c) => (hash[2 * c]! ^ hash[16 + 2 * c]!) | ((hash[2 * c + 1]! ^ hash[17 + 2 * c]!) << 8))
  })
  const combinations = rows.slice(0, k).map((row) => {
    const sums = Array(8).fill(0)
    for (const [j, coefficient] of coefficients.entries()) for (let c = 0; c < 8; c++) sums[c] ^= multiply(symbol(row, j), coefficient[c]!)
    return Uint8Array.from(sums.flatMap((sum) => [sum & 0xff, sum >> 8]))
  })
  return { rowRoot, rlcRoot: rootOf(combinations.map(leafOf)), rlc: join(combinations) }
}

/** Reproducible bytes without a pattern. */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0, state = seed; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}
