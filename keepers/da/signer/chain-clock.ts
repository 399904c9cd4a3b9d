/** The chain's time between blocks: that of the last block seen, and what went by here since. Unix seconds. */
export class ChainClock {
  #time: number
  #seenAt = performance.now()

  constructor(time: number) {
    this.#time = time
  }

  set(time: number): void {
    this.#time = time
    this.#seenAt = performance.now()
  }

  now(): number {
    return this.#time + Math.floor((performance.now() - this.#seenAt) / 1000)
  }
}
