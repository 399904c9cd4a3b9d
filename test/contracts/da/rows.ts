// The formats of data availability in plain words, for tests: nothing here is fast.
import { concat, dataSlice, getBytes, keccak256, sha256, toBeHex, zeroPadValue } from 'ethers'

export interface Blob {
  scheme: number
  log2K: number
  log2T: number
  rowSize: number
  length: number
  rowRoot: string
  rlcRoot: string
}

type Hash = (data: string) => string
const ZERO = zeroPadValue('0x', 32)
export const CHUNK = 512

export const leafOf = (hash: Hash, data: string): string => hash(concat(['0x00', data]))
export const innerOf = (hash: Hash, left: string, right: string): string => hash(concat(['0x01', left, right]))

/** All levels of a tree, from the leaves up, filled up to a power of two with zeros. */
function levelsOf(hash: Hash, leaves: readonly string[]): string[][] {
  let level = [...leaves]
  while (level.length & (level.length - 1)) level.push(ZERO)
  const levels = [level]
  for (; level.length > 1; levels.push(level)) level = Array.from({ length: level.length / 2 }, (_, i) => innerOf(hash, level[2 * i]!, level[2 * i + 1]!))
  return levels
}

const pathIn = (levels: readonly string[][], index: number): string[] => levels.slice(0, -1).map((level, i) => level[(index >> i) ^ 1]!)
const rootOf = (levels: readonly string[][]): string => levels.at(-1)![0]!

export function blobIdOf({ scheme, log2K, log2T, rowSize, length, rowRoot, rlcRoot }: Blob): string {
  const header = concat(['0x01', toBeHex(scheme, 1), toBeHex(log2K, 1), toBeHex(log2T, 1), toBeHex(rowSize, 4), toBeHex(length, 8)])
  return sha256(concat([`0x${Buffer.from('row-da/v1').toString('hex')}`, header, rowRoot, rlcRoot]))
}

export const chunksOf = (rowSize: number): number => Math.ceil(rowSize / CHUNK)

/** A chunk of a row and the siblings from there to the root. */
export interface Opening {
  row: number
  chunk: number
  data: string
  path: string[]
}

/** The tree over all rows. */
export function rowTree(rows: readonly string[]): { root: string; open: (row: number, chunk: number) => Opening } {
  const chunks = rows.map((row) => Array.from({ length: chunksOf((row.length - 2) / 2) }, (_, i) => chunkOf(row, i)))
  const ofRow = chunks.map((list) =>
    levelsOf(
      sha256,
      list.map((chunk) => leafOf(sha256, chunk)),
    ),
  )
  const levels = levelsOf(sha256, ofRow.map(rootOf))
  const open = (row: number, chunk: number) => ({ row, chunk, data: chunks[row]![chunk]!, path: [...pathIn(ofRow[row]!, chunk), ...pathIn(levels, row)] })
  return { root: rootOf(levels), open }
}

const chunkOf = (row: string, i: number): string => dataSlice(row, i * CHUNK, Math.min((i + 1) * CHUNK, (row.length - 2) / 2))

/** Where a path leads: the root of a tree of which nothing else is known. */
export function rootOfPath({ row, chunk, data, path }: Opening, log2T: number): string {
  const position = row * 2 ** (path.length - log2T) + chunk
  return path.reduce(
    (node, sibling, i) => (Math.floor(position / 2 ** i) % 2 === 1 ? innerOf(sha256, sibling, node) : innerOf(sha256, node, sibling)),
    leafOf(sha256, data),
  )
}

/** The tree over the blobs of a batch. */
export function batchTree(blobIds: readonly string[]): { root: string; proof: (index: number) => string[] } {
  const levels = levelsOf(
    keccak256,
    blobIds.map((id) => leafOf(keccak256, id)),
  )
  return { root: rootOf(levels), proof: (index) => pathIn(levels, index) }
}

export const keyOf = (seed: string, blobId: string): string => keccak256(concat([seed, blobId]))

const ROUNDS = 12

/** The row at every slot. */
export function rowsBySlot(key: string, log2T: number): number[] {
  const half = log2T / 2
  const mask = 2 ** half - 1
  const hash = (round: number, block: number) => getBytes(keccak256(concat([key, toBeHex(round, 1), toBeHex(block, 1)])))
  const tables = Array.from({ length: ROUNDS }, (_, round) => Array.from({ length: 8 }, (_, block) => [...hash(round, block)]).flat())
  const f = (round: number, x: number) => tables[round]![x]! & mask
  return Array.from({ length: 2 ** log2T }, (_, slot) => {
    let [left, right] = [slot >> half, slot & mask]
    for (let round = 0; round < ROUNDS; round++) [left, right] = [right, left ^ f(round, right)]
    return (left << half) | right
  })
}
