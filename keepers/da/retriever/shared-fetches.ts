interface Fetch<T> {
  result: Promise<T>
  controller: AbortController
  /** Callers that wait for it. */
  callers: number
}

/** One fetch for all who want the same at the same time. It goes on while one of them still waits. */
export class SharedFetches<T> {
  readonly #underway = new Map<string, Fetch<T>>()

  /** What `fetch` gives, or the one of that key that is under way already. Rejects with the reason of `signal` as soon as that is aborted. */
  async join(key: string, signal: AbortSignal, fetch: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const shared = this.#underway.get(key) ?? this.#start(key, fetch)
    shared.callers++
    const { promise: gone, reject } = Promise.withResolvers<never>()
    const leave = (): void => reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await Promise.race([shared.result, gone])
    } finally {
      signal.removeEventListener('abort', leave)
      shared.callers--
      if (shared.callers === 0) this.#end(key, shared)
    }
  }

  #start(key: string, fetch: (signal: AbortSignal) => Promise<T>): Fetch<T> {
    const controller = new AbortController()
    const shared = { result: fetch(controller.signal), controller, callers: 0 }
    this.#underway.set(key, shared)
    return shared
  }

  /** Done, or wanted by nobody. */
  #end(key: string, shared: Fetch<T>): void {
    this.#underway.delete(key)
    shared.controller.abort()
  }
}
