import type { SharedMemory } from './kernels.ts'
import { closed } from './threads.ts'

const PAGE_BYTES = 65536
const ALIGNMENT = 64

export interface Region {
  readonly address: number
  readonly bytes: number
}

interface Waiting {
  bytes: number
  resolve(region: Region): void
  reject(error: Error): void
}

/**
 * Gives out regions of a memory from `start` on, the lowest that fits first. Who finds no room waits until others give theirs back; those who
 * came earlier go first, so that many small regions never keep out a large one.
 */
export class Arena {
  readonly #memory: SharedMemory
  readonly #start: number
  readonly #end: number
  /** In use, by address. */
  readonly #regions: Region[] = []
  readonly #waiting: Waiting[] = []
  #closed = false

  constructor(memory: SharedMemory, start: number, end: number) {
    this.#memory = memory
    this.#start = start
    this.#end = end
  }

  /** @throws RangeError when not even all of the memory would do, Error once closed. */
  take(bytes: number): Promise<Region> {
    const rounded = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
    if (this.#closed) return Promise.reject(closed())
    if (rounded > this.#end - this.#start) return Promise.reject(new RangeError(`${bytes} bytes do not fit the ${this.#end - this.#start} bytes of the codec.`))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes: rounded, resolve, reject })
      this.#serve()
    })
  }

  /** A region that was given back already stays so. */
  give(region: Region): void {
    const index = this.#regions.indexOf(region)
    if (index < 0) return
    this.#regions.splice(index, 1)
    this.#serve()
  }

  close(): void {
    this.#closed = true
    for (const { reject } of this.#waiting.splice(0)) reject(closed())
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const { bytes, resolve } = this.#waiting[0]!
      const region = this.#place(bytes)
      if (!region) return
      this.#waiting.shift()
      resolve(region)
    }
  }

  #place(bytes: number): Region | undefined {
    let address = this.#start
    let index = 0
    for (; index < this.#regions.length; index++) {
      const next = this.#regions[index]!
      if (next.address - address >= bytes) break
      address = next.address + next.bytes
    }
    if (address + bytes > this.#end) return undefined
    const missing = address + bytes - this.#memory.buffer.byteLength
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE_BYTES))
    const region = { address, bytes }
    this.#regions.splice(index, 0, region)
    return region
  }
}
