import { checkForeignShape, checkShape, type RowShape } from './shape.ts'

/** How rows are placed in the domain of the transform: a transform of `size` at `from` reads the originals, others from `to` on give the parity. */
export interface Arrangement {
  size: number
  from: number
  to: number
}

/** Row i is at position i. */
const cosets = ({ k }: RowShape): Arrangement => ({ size: k, from: 0, to: k })

/** That of Leopard and rsema1d: parity rows at 0 …, originals behind as many positions as a power of two needs for the parity rows. */
function leopard({ k, t }: RowShape): Arrangement {
  const size = 2 ** Math.ceil(Math.log2(t - k))
  return { size, from: size, to: 0 }
}

/** What of a codec can differ. */
export interface Scheme {
  check(shape: RowShape): void
  arrange(shape: RowShape): Arrangement
  /** Bytes of a chunk: what the leaf of a row is a tree over. */
  chunk(shape: RowShape): number
}

export const chunkLeaves: Scheme = { check: checkShape, arrange: cosets, chunk: () => 512 }
export const wholeLeaves: Scheme = { ...chunkLeaves, chunk: ({ rowSize }) => rowSize }
export const rsema1d: Scheme = { ...wholeLeaves, check: checkForeignShape, arrange: leopard }
