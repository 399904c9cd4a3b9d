import { hash } from 'node:crypto'
import { getBytes } from 'ethers'
import type { Blob } from './blob.ts'
import { checkInteger } from './format-error.ts'

/** A row's leaf is the root over its chunks, so that a sample need not be a whole row. */
export const CHUNK_SIZE = 512
export const SIBLING_SIZE = 32

export const chunksOfRow = (rowSize: number): number => Math.ceil(rowSize / CHUNK_SIZE)

/** Bytes of a chunk; the last of a row may be shorter. @throws DaFormatError for a chunk that the row does not have */
export function chunkLength(rowSize: number, chunk: number): number {
  checkInteger(chunk, 0, chunksOfRow(rowSize) - 1, 'the chunk')
  return Math.min(CHUNK_SIZE, rowSize - chunk * CHUNK_SIZE)
}

/** Siblings from a chunk to the row root: those within the row first. */
export const chunkPathDepth = ({ rowSize, log2T }: Pick<Blob, 'rowSize' | 'log2T'>): number => depthInRow(rowSize) + log2T

/** Whether these are the bytes of a chunk of a blob's row; `path` has the siblings one after the other. What does not fit the blob gives false. */
export function verifyChunk(blob: Pick<Blob, 'rowSize' | 'log2T' | 'rowRoot'>, row: number, chunk: number, data: Uint8Array, path: Uint8Array): boolean {
  const { rowSize, log2T, rowRoot } = blob
  if (!isIndex(row, 2 ** log2T) || !isIndex(chunk, chunksOfRow(rowSize))) return false
  if (data.length !== chunkLength(rowSize, chunk) || path.length !== SIBLING_SIZE * chunkPathDepth(blob)) return false
  const depth = depthInRow(rowSize)
  const sides = [...bitsOf(chunk, depth), ...bitsOf(row, log2T)]
  const top = sides.reduce(
    (node, isRight, level) => {
      const sibling = path.subarray(level * SIBLING_SIZE, (level + 1) * SIBLING_SIZE)
      return isRight ? sha256(INNER, sibling, node) : sha256(INNER, node, sibling)
    },
    sha256(LEAF, data),
  )
  return Buffer.compare(top, getBytes(rowRoot)) === 0
}

const LEAF = Uint8Array.of(0)
const INNER = Uint8Array.of(1)
const sha256 = (...parts: Uint8Array[]): Uint8Array => hash('sha256', Buffer.concat(parts), 'buffer')
const depthInRow = (rowSize: number): number => Math.ceil(Math.log2(chunksOfRow(rowSize)))
const isIndex = (value: number, count: number): boolean => Number.isInteger(value) && value >= 0 && value < count
const bitsOf = (value: number, count: number): boolean[] => Array.from({ length: count }, (_, i) => ((value >> i) & 1) === 1)
