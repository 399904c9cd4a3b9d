import { hash } from 'node:crypto'
import { CHUNK_SIZE, SIBLING_SIZE } from '../../../protocol/da/row-path.ts'

// Buffers to hash from, with the prefix in place: a row has many chunks, and this is the path of every read.
const leafInput = new Uint8Array(1 + CHUNK_SIZE)
const innerInput = new Uint8Array(1 + 2 * SIBLING_SIZE).fill(1, 0, 1)
const ABSENT = new Uint8Array(SIBLING_SIZE)

function leafOf(chunk: Uint8Array): Uint8Array {
  leafInput.set(chunk, 1)
  return hash('sha256', leafInput.subarray(0, 1 + chunk.length), 'buffer')
}

function parentOf(left: Uint8Array, right: Uint8Array): Uint8Array {
  innerInput.set(left, 1)
  innerInput.set(right, 1 + SIBLING_SIZE)
  return hash('sha256', innerInput, 'buffer')
}

/** The tree over a row's chunks, leaves first. */
export function rowTree(row: Uint8Array): Uint8Array[][] {
  const chunks = Math.ceil(row.length / CHUNK_SIZE)
  const width = 2 ** Math.ceil(Math.log2(chunks))
  let level = Array.from({ length: width }, (_, i) => (i < chunks ? leafOf(row.subarray(i * CHUNK_SIZE, (i + 1) * CHUNK_SIZE)) : ABSENT))
  const levels = [level]
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, i) => parentOf(level[2 * i]!, level[2 * i + 1]!))
    levels.push(level)
  }
  return levels
}

/** Whether the row with this leaf is row `index` under the root; `path` has its siblings one after the other. */
export function isRowOf(root: Uint8Array, index: number, leaf: Uint8Array, path: Uint8Array): boolean {
  let node = leaf
  for (let level = 0; level < path.length / SIBLING_SIZE; level++) {
    const sibling = path.subarray(level * SIBLING_SIZE, (level + 1) * SIBLING_SIZE)
    node = (index >> level) & 1 ? parentOf(sibling, node) : parentOf(node, sibling)
  }
  return Buffer.compare(node, root) === 0
}

/** The siblings from a chunk to the leaf of its row, and on to the row root, where `path` leads. */
export function chunkPath(tree: Uint8Array[][], chunk: number, path: Uint8Array): Uint8Array {
  const within = tree.slice(0, -1).map((level, height) => level[(chunk >> height) ^ 1]!)
  return Buffer.concat([...within, path])
}
