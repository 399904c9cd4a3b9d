/** When what failed is tried again: after `first` milliseconds, then twice as long each time, up to `most`. */
export class Retries {
  readonly #first: number
  readonly #most: number
  readonly #failed = new Map<string, { times: number; at: number }>()

  constructor(first: number, most: number) {
    this.#first = first
    this.#most = most
  }

  get size(): number {
    return this.#failed.size
  }

  /** Whether it failed, and it is too early to try again. */
  waits(key: string): boolean {
    const failed = this.#failed.get(key)
    return failed !== undefined && performance.now() < failed.at + Math.min(this.#first * 2 ** (failed.times - 1), this.#most)
  }

  /** Returns whether it is the first time in a row. */
  failed(key: string): boolean {
    const times = (this.#failed.get(key)?.times ?? 0) + 1
    this.#failed.set(key, { times, at: performance.now() })
    return times === 1
  }

  succeeded(key: string): void {
    this.#failed.delete(key)
  }

  /** Forgets all others. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#failed.keys()) if (!keys.has(key)) this.#failed.delete(key)
  }
}
