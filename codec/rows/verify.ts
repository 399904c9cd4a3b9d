import { createHash } from 'node:crypto'
import type { RowCommitment } from './encoded.ts'
import { coefficientBytes, combinationTree, LANES, Layout, rootAt } from './layout.ts'
import type { Scheme } from './scheme.ts'
import { COMBINATION_BYTES, checkBytes, checkIndices, GROUP_BYTES, HASH_BYTES, type RowShape } from './shape.ts'
import type { Workspace } from './workspace.ts'

/** What a row is verified against: both roots, and the combinations of the k original rows. */
export interface Commitment extends RowCommitment {
  shape: RowShape
  rlc: Uint8Array
}

/** Coefficients of the combinations, and the combinations of all t rows, as the code extends those of the originals: rows of one group. */
interface Prepared {
  coefficients: Uint8Array
  extended: Uint8Array
}

/** Of how many commitments that is kept: rows of one blob come from many holders. */
const KEPT = 4

export class Verifier {
  readonly #workspace: Workspace
  readonly #scheme: Scheme
  readonly #prepared = new Map<string, Promise<Prepared>>()

  constructor(workspace: Workspace, scheme: Scheme) {
    this.#workspace = workspace
    this.#scheme = scheme
  }

  async verify(of: Commitment, indices: Uint32Array, rows: Uint8Array, paths: Uint8Array): Promise<Uint8Array> {
    const { rowRoot, rlcRoot, shape, rlc } = of
    this.#scheme.check(shape)
    const { k, t, rowSize } = shape
    const depth = Math.log2(t)
    const count = indices.length
    checkBytes('rowRoot', rowRoot, HASH_BYTES)
    checkBytes('rlcRoot', rlcRoot, HASH_BYTES)
    checkBytes('rlc', rlc, k * COMBINATION_BYTES)
    if (count > t) throw new RangeError(`${count} rows are more than the ${t} there are.`)
    checkIndices(indices, shape)
    checkBytes('rows', rows, count * rowSize)
    checkBytes('paths', paths, count * depth * HASH_BYTES)
    const { coefficients, extended } = await this.#preparedFor(of)
    const layout = new Layout()
    const at = {
      rows: layout.add((count + LANES) * rowSize),
      indices: layout.add(count * 4),
      paths: layout.add(count * depth * HASH_BYTES),
      leaves: layout.hashes(count),
      valid: layout.add(count),
      root: layout.add(HASH_BYTES),
      coefficients: layout.coefficients(rowSize),
      combinations: layout.add(count * COMBINATION_BYTES),
      expected: layout.add(count * GROUP_BYTES),
    }
    return this.#workspace.within(layout.bytes, async (address) => {
      const place = (name: keyof typeof at, offset = 0): number => address + at[name] + offset
      const put = (bytes: Uint8Array, name: keyof typeof at, offset = 0): void => this.#workspace.bytes(place(name, offset), bytes.length).set(bytes)
      put(rowRoot, 'root')
      put(rows, 'rows')
      put(paths, 'paths')
      put(coefficients, 'coefficients')
      put(new Uint8Array(indices.buffer, indices.byteOffset, indices.byteLength), 'indices')
      indices.forEach((index, i) => {
        put(extended.subarray(index * GROUP_BYTES, (index + 1) * GROUP_BYTES), 'expected', i * GROUP_BYTES)
      })
      const slices = this.#workspace.slicer(count * rowSize)
      await this.#workspace.run([
        slices(count, LANES).map(([start, end]) => {
          const part = end - start
          const rowsAt = place('rows', start * rowSize)
          const leaves = place('leaves', start * HASH_BYTES)
          const combinations = place('combinations', start * COMBINATION_BYTES)
          const valid = place('valid', start)
          return [
            ['rowLeaves', rowsAt, rowSize, part, this.#scheme.chunk(shape), leaves],
            ['walk', leaves, place('indices', start * 4), place('paths', start * depth * HASH_BYTES), depth, part, place('root'), valid],
            ['combine', rowsAt, rowSize, part, place('coefficients'), combinations],
            ['compare', combinations, place('expected', start * GROUP_BYTES), part, valid],
          ]
        }),
      ])
      return this.#workspace.bytes(place('valid'), count).slice()
    })
  }

  #preparedFor(of: Commitment): Promise<Prepared> {
    const { shape, rowRoot, rlcRoot, rlc } = of
    const numbers = Float64Array.of(shape.k, shape.t, shape.rowSize)
    const key = createHash('sha256').update(numbers).update(rowRoot).update(rlcRoot).update(rlc).digest('hex')
    const prepared = this.#prepared.get(key) ?? this.#prepare(of)
    // Those used last are at the end.
    this.#prepared.delete(key)
    this.#prepared.set(key, prepared)
    prepared.catch(() => this.#prepared.delete(key))
    for (const first of this.#prepared.keys()) if (this.#prepared.size > KEPT) this.#prepared.delete(first)
    return prepared
  }

  async #prepare({ rowRoot, rlcRoot, shape, rlc }: Commitment): Promise<Prepared> {
    const { k, t, rowSize } = shape
    const layout = new Layout()
    const at = {
      root: layout.add(HASH_BYTES),
      coefficients: layout.coefficients(rowSize),
      rlc: layout.add(k * COMBINATION_BYTES),
      rlcTree: layout.tree(k),
      extended: layout.add(t * GROUP_BYTES),
    }
    const { size, from, to } = this.#scheme.arrange(shape)
    return this.#workspace.within(layout.bytes, async (address) => {
      const place = (name: keyof typeof at, offset = 0): number => address + at[name] + offset
      const bytes = (at: number, length: number): Uint8Array => this.#workspace.bytes(at, length)
      bytes(place('root'), HASH_BYTES).set(rowRoot)
      bytes(place('rlc'), rlc.length).set(rlc)
      await this.#workspace.run([
        [
          [
            ...combinationTree(place('rlc'), k, place('rlcTree')),
            ['coefficients', place('root'), k, t - k, rowSize, place('coefficients')],
            ['toRows', place('rlc'), k, place('extended')],
            ['extend', place('extended'), k, place('extended', k * GROUP_BYTES), t - k, GROUP_BYTES, size, from, to, 0, GROUP_BYTES],
          ],
        ],
      ])
      if (Buffer.compare(bytes(rootAt(place('rlcTree'), k), HASH_BYTES), rlcRoot) !== 0)
        throw new Error('The combinations of the original rows do not match their root.')
      return { coefficients: bytes(place('coefficients'), coefficientBytes(rowSize)).slice(), extended: bytes(place('extended'), t * GROUP_BYTES).slice() }
    })
  }
}
