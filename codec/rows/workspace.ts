import { Arena } from './arena.ts'
import { type Call, compile, type Flavour, initialize, SCRATCH_BYTES, type SharedMemory } from './kernels.ts'
import { type Threads, thisThread, WorkerThreads } from './threads.ts'

/** All the memory that a codec may come to use, in pages of 64 KiB: two jobs of the largest blobs at a time. */
const MEMORY_PAGES = 5120
const INITIAL_PAGES = 512
const PAGE_BYTES = 65_536
const MAX_THREADS = 16
/** Work over more bytes than this is split over the threads; less is sooner done in one. */
const WORTH_SPLITTING = 1 << 20

/** The memory of a codec, and the threads that work on it. */
export class Workspace {
  readonly #memory: SharedMemory
  readonly #arena: Arena
  readonly #threads: Threads

  /** Without threads all is done in this one. */
  constructor(threads: number, flavour: Flavour) {
    if (!Number.isSafeInteger(threads) || threads < 0 || threads > MAX_THREADS) throw new RangeError(`Expected 0 to ${MAX_THREADS} threads, got ${threads}.`)
    this.#memory = new WebAssembly.Memory<SharedArrayBuffer>({ initial: INITIAL_PAGES, maximum: MEMORY_PAGES, shared: true })
    const shared = { module: compile(flavour), memory: this.#memory }
    const scratch = initialize(shared)
    this.#arena = new Arena(this.#memory, scratch + Math.max(1, threads) * SCRATCH_BYTES, MEMORY_PAGES * PAGE_BYTES)
    this.#threads = threads === 0 ? thisThread(shared, scratch) : new WorkerThreads(shared, scratch, threads)
  }

  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, address, length)
  }

  /** Runs a job in memory of its own, for which it may have to wait. It keeps that until it is released; one that fails keeps nothing. */
  async hold<T>(bytes: number, run: (address: number, release: () => void) => Promise<T>): Promise<T> {
    const region = await this.#arena.take(bytes)
    const release = (): void => this.#arena.give(region)
    try {
      return await run(region.address, release)
    } catch (error) {
      release()
      throw error
    }
  }

  /** The same for a job that needs its memory no longer than it runs. */
  within<T>(bytes: number, run: (address: number) => Promise<T>): Promise<T> {
    return this.hold(bytes, async (address, release) => {
      const result = await run(address)
      release()
      return result
    })
  }

  /** How work on so many bytes is split: into ranges of `total` items whose bounds are multiples of `unit`. */
  slicer(bytes: number): (total: number, unit: number) => [start: number, end: number][] {
    const parts = bytes > WORTH_SPLITTING ? this.#threads.count : 1
    return (total, unit) => {
      const step = Math.ceil(total / unit / parts) * unit
      return Array.from({ length: Math.ceil(total / step) }, (_, i) => [i * step, Math.min(total, (i + 1) * step)])
    }
  }

  /** One phase after the other, the parts of each side by side; all in one go where none has several. */
  async run(phases: Call[][][]): Promise<void> {
    if (phases.every((parts) => parts.length <= 1)) await this.#threads.run([phases.flat(2)])
    else for (const parts of phases) await this.#threads.run(parts)
  }

  async close(): Promise<void> {
    this.#arena.close()
    await this.#threads.close()
  }
}
