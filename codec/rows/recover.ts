import { Layout } from './layout.ts'
import { checkBytes, checkDistinct, checkIndices, checkShape, GROUP_BYTES, type RowShape } from './shape.ts'
import type { Workspace } from './workspace.ts'

/** For rows at the positions of a native code. */
export async function recover(workspace: Workspace, shape: RowShape, indices: Uint32Array, rows: Uint8Array): Promise<Uint8Array> {
  checkShape(shape)
  const { k, t, rowSize } = shape
  checkBytes('rows', rows, indices.length * rowSize)
  if (indices.length < k) throw new RangeError(`Recovery takes ${k} rows, got ${indices.length}.`)
  checkIndices(indices, shape)
  checkDistinct(indices)

  // Originals need no work: of the parity only as much is used as originals are missing.
  const given = new Int32Array(t).fill(-1)
  indices.forEach((index, i) => {
    given[index] = i
  })
  const chosen = [...given.keys()].filter((position) => given[position]! >= 0).slice(0, k)
  const rowAt = (position: number): Uint8Array => rows.subarray(given[position]! * rowSize, (given[position]! + 1) * rowSize)
  if (chosen.at(-1)! < k) {
    const data = new Uint8Array(k * rowSize)
    for (const position of chosen) data.set(rowAt(position), position * rowSize)
    return data
  }

  const known = new Uint8Array(t)
  const slots = new Int32Array(t).fill(-1)
  chosen.forEach((position, slot) => {
    known[position] = 1
    slots[position] = slot
  })
  const layout = new Layout()
  const at = {
    rows: layout.add(k * rowSize),
    known: layout.add(t),
    slots: layout.add(4 * t),
    scales: layout.add(8 * t),
    target: layout.add(k * rowSize),
  }
  return workspace.within(layout.bytes, async (address) => {
    const place = (name: keyof typeof at, offset = 0): number => address + at[name] + offset
    chosen.forEach((position, slot) => {
      workspace.bytes(place('rows', slot * rowSize), rowSize).set(rowAt(position))
    })
    workspace.bytes(place('known'), t).set(known)
    workspace.bytes(place('slots'), 4 * t).set(new Uint8Array(slots.buffer))
    const slices = workspace.slicer(t * rowSize)
    await workspace.run([
      [[['locate', place('known'), t, place('scales')]]],
      slices(rowSize, GROUP_BYTES).map(([start, end]) => [
        ['recover', place('rows'), place('slots'), place('scales'), place('target'), k, rowSize, start, end],
      ]),
    ])
    return workspace.bytes(place('target'), k * rowSize).slice()
  })
}
