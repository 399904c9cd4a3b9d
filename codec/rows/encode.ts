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
  const region = await workspace.take(layout.bytes)
  const place = (name: keyof typeof at, offset = 0): number => region.address + at[name] + offset
  const copy = (address: number, length: number): Uint8Array => workspace.bytes(address, length).slice()
  const chunk = scheme.chunk(shape)
  try {
    workspace.bytes(place('rows'), data.length).set(data)
    workspace.bytes(place('rows', data.length), k * rowSize - data.length).fill(0)
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
  } catch (error) {
    workspace.give(region)
    throw error
  }
  return encodedRows(
    {
      shape,
      chunk,
      rows: place('rows'),
      tree: place('tree'),
      bytes: (address, length) => workspace.bytes(address, length),
      release: () => workspace.give(region),
    },
    { rowRoot: copy(rootAt(place('tree'), t), HASH_BYTES), rlcRoot: copy(rootAt(place('rlcTree'), k), HASH_BYTES) },
    copy(place('rlc'), k * COMBINATION_BYTES),
  )
}
