const LOOK_MS = 500

export interface NewsOptions {
  /** Why the chain's events may not all be known, or undefined when they are. */
  problem: () => string | undefined
  staleMs: number
  signal: AbortSignal
}

/** How old what is known of the chain may be: without news, what was revoked or withdrawn since would still be honoured. */
export class News {
  readonly #options: NewsOptions
  #freshAt = performance.now()

  constructor(options: NewsOptions) {
    this.#options = options
    const look = setInterval(() => this.#look(), LOOK_MS).unref()
    options.signal.addEventListener('abort', () => clearInterval(look), { once: true })
  }

  /** Why nobody can be let in, or undefined. */
  problem(): string | undefined {
    this.#look()
    const { problem, staleMs } = this.#options
    return performance.now() - this.#freshAt > staleMs ? `no news from the chain: ${problem()}` : undefined
  }

  #look(): void {
    if (this.#options.problem() === undefined) this.#freshAt = performance.now()
  }
}
