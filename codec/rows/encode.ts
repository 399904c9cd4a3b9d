import { type EncodedRows, encodedRows } from './encoded.ts'
import { combinationTree, LANES, Layout, rootAt } from './layout.ts'
import type { Scheme } from './scheme.ts'
import { COMBINATION_BYTES, GROUP_BYTES, HASH_BYTES, type RowShape } from './shape.ts'
import type { Workspace } from './workspace.ts'

export async function encode(workspace: Workspace, scheme: Scheme, data: Uint8Array, shape: RowShape): Promise<EncodedRows> {
  scheme.check(shape)
  const { k, t, rowSize } = shape
  if (data.length > k * rowSize) throw new RangeError(`${data.length} bytes do not fit ${k} rows of ${rowSize} bytes.`)
  const layout = new Layout()
  const at = {
    rows: layout.add(t * rowSize),
    tree: layout.tree(t),
    coefficients: layout.coefficients(rowSize),
    rlc: layout.add(k * COMBINATION_BYTES),
    rlcTree: layout.tree(k),
  }
  return workspace.hold(layout.bytes, async (address, release) => {
    const place = (name: keyof typeof at, offset = 0): number => address + at[name] + offset
    const bytes = (from: number, length: number): Uint8Array => workspace.bytes(from, length)
    const chunk = scheme.chunk(shape)
    bytes(place('rows'), data.length).set(data)
    bytes(place('rows', data.length), k * rowSize - data.length).fill(0)
    const { size, from, to } = scheme.arrange(shape)
    const slices = workspace.slicer(t * rowSize)
    await workspace.run([
      slices(rowSize, GROUP_BYTES).map(([start, end]) => [
        ['extend', place('rows'), k, place('rows', k * rowSize), t - k, rowSize, size, from, to, start, end],
      ]),
      slices(t, LANES).map(([start, end]) => [['rowLeaves', place('rows', start * rowSize), rowSize, end - start, chunk, place('tree', start * HASH_BYTES)]]),
      [
        [
          ['tree', place('tree'), t],
          ['coefficients', rootAt(place('tree'), t), k, t - k, rowSize, place('coefficients')],
        ],
      ],
      slices(k, LANES).map(([start, end]) => [
        ['combine', place('rows', start * rowSize), rowSize, end - start, place('coefficients'), place('rlc', start * COMBINATION_BYTES)],
      ]),
      [combinationTree(place('rlc'), k, place('rlcTree'))],
    ])
    return encodedRows(
      { shape, chunk, rows: place('rows'), tree: place('tree'), bytes, release },
      { rowRoot: bytes(rootAt(place('tree'), t), HASH_BYTES).slice(), rlcRoot: bytes(rootAt(place('rlcTree'), k), HASH_BYTES).slice() },
      bytes(place('rlc'), k * COMBINATION_BYTES).slice(),
    )
  })
}
