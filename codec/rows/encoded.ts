import { hash } from 'node:crypto'
import { checkIndices, HASH_BYTES, type RowShape } from './shape.ts'

export interface RowCommitment {
  rowRoot: Uint8Array
  rlcRoot: Uint8Array
}

/**
 * All rows of a blob, in the memory of the codec: somewhat more than t·rowSize bytes. Until it is released, others have to do with the rest; who
 * wants more waits. What its methods return are copies; once it is released they throw.
 */
export interface EncodedRows extends RowCommitment {
  readonly shape: RowShape
  /** Combinations of the k original rows, 16 bytes each. */
  readonly rlc: Uint8Array
  row(i: number): Uint8Array
  /** Rows one after another. */
  rows(indices: Uint32Array): Uint8Array
  /** Siblings of each row's leaf, lowest first, log2 t of 32 bytes each. */
  paths(indices: Uint32Array): Uint8Array
  /** Siblings from a chunk of a row to the root: those in the row first. */
  chunkPath(row: number, chunk: number): Uint8Array
  /** Gives the memory back; must be called, and may be called again. */
  release(): void
}

/** Where rows and their tree are, and how to see them. */
export interface Placed {
  shape: RowShape
  /** Bytes of a chunk. */
  chunk: number
  rows: number
  tree: number
  bytes(address: number, length: number): Uint8Array
  release(): void
}

const sha256 = (...parts: Uint8Array[]): Uint8Array => hash('sha256', Buffer.concat(parts), 'buffer')
const LEAF = Uint8Array.of(0)
const INNER = Uint8Array.of(1)

export function encodedRows(placed: Placed, commitment: RowCommitment, rlc: Uint8Array): EncodedRows {
  const { shape, chunk, rows, tree, bytes } = placed
  const depth = Math.log2(shape.t)
  let released = false
  const check = (indices: Uint32Array): void => {
    if (released) throw new Error('These rows were released.')
    checkIndices(indices, shape)
  }
  const put = (into: Uint8Array, at: number, address: number, length: number): void => into.set(bytes(address, length), at)

  const rowsOf = (indices: Uint32Array): Uint8Array => {
    check(indices)
    const copy = new Uint8Array(indices.length * shape.rowSize)
    indices.forEach((index, i) => {
      put(copy, i * shape.rowSize, rows + index * shape.rowSize, shape.rowSize)
    })
    return copy
  }
  const pathsOf = (indices: Uint32Array): Uint8Array => {
    check(indices)
    const copy = new Uint8Array(indices.length * depth * HASH_BYTES)
    indices.forEach((index, i) => {
      // Each level of nodes follows the one below.
      let level = tree
      for (let l = 0; l < depth; l++) {
        put(copy, (i * depth + l) * HASH_BYTES, level + ((index >> l) ^ 1) * HASH_BYTES, HASH_BYTES)
        level += (shape.t >> l) * HASH_BYTES
      }
    })
    return copy
  }

  return {
    ...commitment,
    shape,
    rlc,
    row: (i) => rowsOf(rowIndex(i, shape)),
    rows: rowsOf,
    paths: pathsOf,
    chunkPath(row, index) {
      const [only] = [rowsOf(rowIndex(row, shape))]
      const chunks = Math.ceil(shape.rowSize / chunk)
      if (!Number.isInteger(index) || index < 0 || index >= chunks) throw new RangeError(`There is no chunk ${index} among ${chunks}.`)
      let level = Array.from({ length: 2 ** Math.ceil(Math.log2(chunks)) }, (_, i) =>
        i < chunks ? sha256(LEAF, only.subarray(i * chunk, (i + 1) * chunk)) : new Uint8Array(HASH_BYTES),
      )
      const siblings: Uint8Array[] = []
      for (let position = index; level.length > 1; position >>= 1) {
        siblings.push(level[position ^ 1]!)
        level = Array.from({ length: level.length / 2 }, (_, i) => sha256(INNER, level[2 * i]!, level[2 * i + 1]!))
      }
      return new Uint8Array(Buffer.concat([...siblings, pathsOf(rowIndex(row, shape))]))
    },
    release() {
      released = true
      placed.release()
    },
  }
}

function rowIndex(row: number, { t }: RowShape): Uint32Array {
  // A Uint32Array would take what is no index for another one.
  if (!Number.isInteger(row) || row < 0 || row >= t) throw new RangeError(`There is no row ${row} among ${t}.`)
  return Uint32Array.of(row)
}
