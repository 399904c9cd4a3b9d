import { HASH_SIZE } from './constants.ts'

/** Entries of a page: growing never copies what is there. */
const PAGE = 1024

interface Page {
  indexes: Float64Array
  hashes: Uint8Array
}

/**
 * The known subtrees of one height: index → root, 40 bytes each. Indexes are added in ascending order, as the log grows, and
 * removed from the end.
 */
export class FlowLevel {
  readonly #pages: Page[] = []
  #count = 0

  get count(): number {
    return this.#count
  }

  add(index: number, hash: Uint8Array): void {
    const page = Math.floor(this.#count / PAGE)
    if (page === this.#pages.length) this.#pages.push({ indexes: new Float64Array(PAGE), hashes: new Uint8Array(PAGE * HASH_SIZE) })
    const at = this.#count % PAGE
    this.#pages[page]!.indexes[at] = index
    this.#pages[page]!.hashes.set(hash, at * HASH_SIZE)
    this.#count++
  }

  /** The root of subtree `index`; a view that later removals may overwrite. */
  get(index: number): Uint8Array | undefined {
    const at = this.#lowerBound(index)
    if (at === this.#count || this.#indexAt(at) !== index) return undefined
    const first = (at % PAGE) * HASH_SIZE
    return this.#pages[Math.floor(at / PAGE)]!.hashes.subarray(first, first + HASH_SIZE)
  }

  /** Forgets subtrees from `index` on. */
  truncate(index: number): void {
    this.#count = this.#lowerBound(index)
    this.#pages.length = Math.ceil(this.#count / PAGE)
  }

  /** Position of the first entry with an index of at least `index`. The last entries are asked for most. */
  #lowerBound(index: number): number {
    let [low, high] = [0, this.#count]
    if (high > 0 && this.#indexAt(high - 1) < index) return high
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#indexAt(middle) < index) low = middle + 1
      else high = middle
    }
    return low
  }

  #indexAt(at: number): number {
    return this.#pages[Math.floor(at / PAGE)]!.indexes[at % PAGE]!
  }
}
