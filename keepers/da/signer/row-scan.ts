import { getBytes } from 'ethers'
import { SIBLING_SIZE } from '../../../protocol/da/row-path.ts'
import type { BlobFile } from './blob-file.ts'
import { isRowOf, rowTree } from './row-proof.ts'

export interface ScannedRow {
  index: number
  row: Uint8Array
  path: Uint8Array
  /** Over its chunks. */
  tree: Uint8Array[][]
  /** Whether it leads to the row root. */
  whole: boolean
}

/**
 * Reads those rows of a file that are wanted, and checks each: neighbours together, at most `maxBytes` of them, or one.
 * @throws DamagedFile where the file ends before
 */
export async function* scanRows(file: BlobFile, wanted: (index: number) => boolean, maxBytes: number): AsyncGenerator<ScannedRow[]> {
  const { blob, indices } = file.head
  const { rowSize, log2T, rowRoot } = blob
  const [root, pathSize] = [getBytes(rowRoot), SIBLING_SIZE * log2T]
  const atOnce = Math.max(1, Math.floor(maxBytes / (rowSize + pathSize)))
  for (let first = 0; first < indices.length; ) {
    if (!wanted(indices[first]!)) {
      first++
      continue
    }
    let count = 1
    while (count < atOnce && first + count < indices.length && wanted(indices[first + count]!)) count++
    const { rows, paths } = await file.read(first, count)
    yield Array.from(indices.subarray(first, first + count), (index, i) => {
      const [row, path] = [rows.subarray(i * rowSize, (i + 1) * rowSize), paths.subarray(i * pathSize, (i + 1) * pathSize)]
      const tree = rowTree(row)
      return { index, row, path, tree, whole: isRowOf(root, index, tree.at(-1)![0]!, path) }
    })
    first += count
  }
}
