import { Arena, type Region } from './arena.ts'
import { type EncodedRows, encodedRows, type RowCommitment } from './encoded.ts'
import { type Call, compile, type Flavour, fastestFlavour, initialize, SCRATCH_BYTES, type SharedMemory } from './kernels.ts'
import {
  type Arrangement,
  COMBINATION_BYTES,
  checkBytes,
  checkDistinct,
  checkForeignShape,
  checkIndices,
  checkShape,
  cosets,
  HASH_BYTES,
  leopard,
  type RowShape,
} from './shape.ts'
import { type Threads, thisThread, WorkerThreads } from './threads.ts'

/** All the memory that a codec may come to use, in pages of 64 KiB: two jobs of the largest blobs at a time. */
const MEMORY_PAGES = 5120
const PAGE_BYTES = 65_536
const MAX_THREADS = 64
const CHUNK_BYTES = 512
/** A group of symbols, and so what columns are split by. */
const GROUP_BYTES = 64
/** Kernels hash four rows at a time, and may write behind the last. */
const LANES = 4
/** Jobs over more row bytes than this are split over the threads; a smaller one is sooner done in one. */
const WORTH_SPLITTING = 1 << 20

export interface RowCodec {
  /** Encodes and commits to `data`, at most k·rowSize bytes, followed by zeros. */
  encode(data: Uint8Array, shape: RowShape): Promise<EncodedRows>
  /**
   * Which of the rows pass Merkle path and combination: one byte each, 1 = valid. `rows` and `paths` are one after another, as their indices are.
   * @throws Error if `rlc` does not match `rlcRoot`.
   */
  verify(of: RowCommitment & { shape: RowShape; rlc: Uint8Array }, indices: Uint32Array, rows: Uint8Array, paths: Uint8Array): Promise<Uint8Array>
  /** The k·rowSize bytes of the original rows from any k or more distinct rows, which must be rows of one code: they are not verified. */
  recover(shape: RowShape, indices: Uint32Array, rows: Uint8Array): Promise<Uint8Array>
  /** Ends the threads. Jobs that are not done reject. */
  close(): Promise<void>
}

/** What of a codec can differ. */
interface Scheme {
  check(shape: RowShape): void
  arrange(shape: RowShape): Arrangement
  /** Bytes of a chunk: what the leaf of a row is a tree over. */
  chunk(shape: RowShape): number
}
const chunkLeaves: Scheme = { check: checkShape, arrange: cosets, chunk: () => CHUNK_BYTES }
const wholeLeaves: Scheme = { ...chunkLeaves, chunk: ({ rowSize }) => rowSize }
const foreign: Scheme = { ...wholeLeaves, check: checkForeignShape, arrange: leopard }

export interface RowCodecOptions {
  /** Worker threads; 0 works in this one. */
  threads: number
  /** Default: the fastest that the engine runs. */
  flavour?: Flavour
  /** What a row's leaf is: the root over its chunks of 512 bytes, or a hash of the whole row. Default: chunks. */
  leaf?: 'chunks' | 'whole'
}

export function createCodec({ leaf = 'chunks', ...options }: RowCodecOptions): RowCodec {
  return new WasmRowCodec(options, leaf === 'chunks' ? chunkLeaves : wholeLeaves)
}

/** Rows and roots as rsema1d has them: rows arranged as Leopard does, leaves over whole rows. Its codes are of another shape, and are not recovered. */
export function createRsema1dCodec(options: Pick<RowCodecOptions, 'threads' | 'flavour'>): Omit<RowCodec, 'recover'> {
  return new WasmRowCodec(options, foreign)
}

/** Addresses of a job's areas, one behind the other. */
class Layout {
  bytes = GROUP_BYTES // a message is read with the byte before it
  add(bytes: number): number {
    const offset = this.bytes
    this.bytes += Math.ceil(bytes / GROUP_BYTES) * GROUP_BYTES
    return offset
  }
  /** Room for `count` hashes, and for what the other lanes write. */
  hashes(count: number): number {
    return this.add((count + LANES) * HASH_BYTES)
  }
  /** A tree over 2^n leaves. */
  tree(leaves: number): number {
    return this.hashes(2 * leaves)
  }
}

class WasmRowCodec implements RowCodec {
  readonly #scheme: Scheme
  readonly #memory: SharedMemory
  readonly #arena: Arena
  readonly #threads: Threads

  constructor({ threads, flavour = fastestFlavour() }: Pick<RowCodecOptions, 'threads' | 'flavour'>, scheme: Scheme) {
    if (!Number.isSafeInteger(threads) || threads < 0 || threads > MAX_THREADS) throw new RangeError(`Expected 0 to ${MAX_THREADS} threads, got ${threads}.`)
    this.#scheme = scheme
    this.#memory = new WebAssembly.Memory<SharedArrayBuffer>({ initial: 512, maximum: MEMORY_PAGES, shared: true })
    const shared = { module: compile(flavour), memory: this.#memory }
    const scratch = initialize(shared)
    this.#arena = new Arena(this.#memory, scratch + Math.max(1, threads) * SCRATCH_BYTES, MEMORY_PAGES * PAGE_BYTES)
    this.#threads = threads === 0 ? thisThread(shared, scratch) : new WorkerThreads(shared, scratch, threads)
  }

  async encode(data: Uint8Array, shape: RowShape): Promise<EncodedRows> {
    this.#scheme.check(shape)
    const { k, t, rowSize } = shape
    if (data.length > k * rowSize) throw new RangeError(`${data.length} bytes do not fit ${k} rows of ${rowSize} bytes.`)
    const layout = new Layout()
    const at = {
      rows: layout.add(t * rowSize),
      nodes: layout.tree(t),
      coefficients: layout.add(rowSize * (COMBINATION_BYTES / 2)),
      rlc: layout.add(k * COMBINATION_BYTES),
      rlcNodes: layout.tree(k),
    }
    const region = await this.#arena.take(layout.bytes)
    try {
      const place = (offset: number): number => region.address + offset
      const rows = place(at.rows)
      const [nodes, coefficients, rlc, rlcNodes] = [at.nodes, at.coefficients, at.rlc, at.rlcNodes].map(place) as [number, number, number, number]
      const rowRoot = nodes + (2 * t - 2) * HASH_BYTES
      this.#bytes(rows, data.length).set(data)
      this.#bytes(rows + data.length, k * rowSize - data.length).fill(0)
      const { size, from, to } = this.#scheme.arrange(shape)
      const chunk = this.#scheme.chunk(shape)
      const slices = this.#slicer(t * rowSize)
      await this.#phases([
        slices(rowSize, GROUP_BYTES).map(([start, end]) => [['extend', rows, k, rows + k * rowSize, t - k, rowSize, size, from, to, start, end]]),
        slices(t, LANES).map(([start, end]) => [['rowLeaves', rows + start * rowSize, rowSize, end - start, chunk, nodes + start * HASH_BYTES]]),
        [
          [
            ['tree', nodes, t],
            ['coefficients', rowRoot, k, t - k, rowSize, coefficients],
          ],
        ],
        slices(k, LANES).map(([start, end]) => [['combine', rows + start * rowSize, rowSize, end - start, coefficients, rlc + start * COMBINATION_BYTES]]),
        [[...combinationTree(rlc, k, rlcNodes)]],
      ])
      const copy = (address: number, length: number): Uint8Array => this.#bytes(address, length).slice()
      return encodedRows(
        { shape, chunk, rows, nodes, bytes: (address, length) => this.#bytes(address, length), release: () => this.#arena.give(region) },
        { rowRoot: copy(rowRoot, HASH_BYTES), rlcRoot: copy(rlcNodes + (2 * k - 2) * HASH_BYTES, HASH_BYTES) },
        copy(rlc, k * COMBINATION_BYTES),
      )
    } catch (error) {
      this.#arena.give(region)
      throw error
    }
  }

  async verify(
    { rowRoot, rlcRoot, shape, rlc }: RowCommitment & { shape: RowShape; rlc: Uint8Array },
    indices: Uint32Array,
    rows: Uint8Array,
    paths: Uint8Array,
  ): Promise<Uint8Array> {
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
    const layout = new Layout()
    const at = {
      rows: layout.add((count + LANES) * rowSize),
      indices: layout.add(count * 4),
      paths: layout.add(count * depth * HASH_BYTES),
      leaves: layout.hashes(count),
      valid: layout.add(count),
      root: layout.add(HASH_BYTES),
      coefficients: layout.add(rowSize * (COMBINATION_BYTES / 2)),
      rlc: layout.add(k * COMBINATION_BYTES),
      rlcNodes: layout.tree(k),
      combinations: layout.add(count * COMBINATION_BYTES),
      extended: layout.add(t * GROUP_BYTES),
    }
    return this.#within(layout.bytes, async ({ address }) => {
      const place = (name: keyof typeof at): number => address + at[name]
      const put = (name: keyof typeof at, bytes: Uint8Array): void => this.#bytes(place(name), bytes.length).set(bytes)
      put('rlc', rlc)
      put('root', rowRoot)
      put('rows', rows)
      put('paths', paths)
      put('indices', new Uint8Array(indices.buffer, indices.byteOffset, indices.byteLength))
      const { size, from, to } = this.#scheme.arrange(shape)
      const extended = place('extended')
      const parity = extended + k * GROUP_BYTES
      const slices = this.#slicer(count * rowSize)
      await this.#phases([
        [
          [
            ...combinationTree(place('rlc'), k, place('rlcNodes')),
            ['coefficients', place('root'), k, t - k, rowSize, place('coefficients')],
            ['toRows', place('rlc'), k, extended],
            ['extend', extended, k, parity, t - k, GROUP_BYTES, size, from, to, 0, GROUP_BYTES],
          ],
        ],
        slices(count, LANES).map(([start, end]) => {
          const part = end - start
          const [leaves, combinations, valid] = [
            place('leaves') + start * HASH_BYTES,
            place('combinations') + start * COMBINATION_BYTES,
            place('valid') + start,
          ]
          const indicesAt = place('indices') + start * 4
          const rowsAt = place('rows') + start * rowSize
          return [
            ['rowLeaves', rowsAt, rowSize, part, this.#scheme.chunk(shape), leaves],
            ['walk', leaves, indicesAt, place('paths') + start * depth * HASH_BYTES, depth, part, place('root'), valid],
            ['combine', rowsAt, rowSize, part, place('coefficients'), combinations],
            ['compare', combinations, extended, indicesAt, part, valid],
          ]
        }),
      ])
      if (Buffer.compare(this.#bytes(place('rlcNodes') + (2 * k - 2) * HASH_BYTES, HASH_BYTES), rlcRoot) !== 0)
        throw new Error('The combinations of the original rows do not match their root.')
      return this.#bytes(place('valid'), count).slice()
    })
  }

  async recover(shape: RowShape, indices: Uint32Array, rows: Uint8Array): Promise<Uint8Array> {
    checkShape(shape)
    const { k, t, rowSize } = shape
    checkBytes('rows', rows, indices.length * rowSize)
    if (indices.length < k) throw new RangeError(`Recovery takes ${k} rows, got ${indices.length}.`)
    checkIndices(indices, shape)
    checkDistinct(indices)
    const row = (i: number): Uint8Array => rows.subarray(i * rowSize, (i + 1) * rowSize)

    // Originals need no work: with k rows known, parity only stands in for what of them is missing.
    const given = new Int32Array(t).fill(-1)
    indices.forEach((index, i) => {
      given[index] = i
    })
    const chosen = [...given.keys()].filter((position) => given[position]! >= 0).slice(0, k)
    if (chosen.at(-1)! < k) {
      const data = new Uint8Array(k * rowSize)
      for (const position of chosen) data.set(row(given[position]!), position * rowSize)
      return data
    }

    const known = new Uint8Array(t)
    const slots = new Int32Array(t).fill(-1)
    chosen.forEach((position, slot) => {
      known[position] = 1
      slots[position] = slot
    })
    const layout = new Layout()
    const at = { rows: layout.add(k * rowSize), known: layout.add(t), slots: layout.add(4 * t), scales: layout.add(8 * t), target: layout.add(k * rowSize) }
    return this.#within(layout.bytes, async ({ address }) => {
      const place = (name: keyof typeof at): number => address + at[name]
      chosen.forEach((position, slot) => {
        this.#bytes(place('rows') + slot * rowSize, rowSize).set(row(given[position]!))
      })
      this.#bytes(place('known'), t).set(known)
      this.#bytes(place('slots'), 4 * t).set(new Uint8Array(slots.buffer))
      await this.#phases([
        [[['locate', place('known'), t, place('scales')]]],
        this.#slicer(t * rowSize)(rowSize, GROUP_BYTES).map(([start, end]) => [
          ['recover', place('rows'), place('slots'), place('scales'), place('target'), k, rowSize, start, end],
        ]),
      ])
      return this.#bytes(place('target'), k * rowSize).slice()
    })
  }

  async close(): Promise<void> {
    this.#arena.close()
    await this.#threads.close()
  }

  #bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, address, length)
  }

  async #within<T>(bytes: number, run: (region: Region) => Promise<T>): Promise<T> {
    const region = await this.#arena.take(bytes)
    try {
      return await run(region)
    } finally {
      this.#arena.give(region)
    }
  }

  /** How work of so many bytes is split: into ranges of `total` items whose bounds are multiples of `unit`. */
  #slicer(bytes: number): (total: number, unit: number) => [start: number, end: number][] {
    const parts = bytes > WORTH_SPLITTING ? this.#threads.count : 1
    return (total, unit) => {
      const step = Math.ceil(total / unit / parts) * unit
      return Array.from({ length: Math.ceil(total / step) }, (_, i) => [i * step, Math.min(total, (i + 1) * step)])
    }
  }

  /** One phase after the other; all in one go where none is split. */
  async #phases(phases: Call[][][]): Promise<void> {
    if (phases.every((parts) => parts.length <= 1)) await this.#threads.run([phases.flat(2)])
    else for (const parts of phases) await this.#threads.run(parts)
  }
}

/** The combinations' tree, whose root commits to them. */
const combinationTree = (rlc: number, k: number, nodes: number): Call[] => [
  ['leaves', rlc, COMBINATION_BYTES, k, nodes],
  ['tree', nodes, k],
]
