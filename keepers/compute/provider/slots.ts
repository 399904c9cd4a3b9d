import { ApiError, unavailable } from './errors.ts'

export interface SlotOptions {
  maxConcurrent: number
  maxConcurrentPerUser: number
  maxQueued: number
  queueMs: number
}

interface Waiter {
  user: string
  enter: () => void
}

/** Requests that are worked on at the same time, in all and of one user. The others wait in order; one user's do not hold up another's. */
export class Slots {
  readonly #options: SlotOptions
  readonly #ofUser = new Map<string, number>()
  readonly #queue = new Set<Waiter>()
  readonly #waitingOf = new Map<string, number>()
  #busy = 0

  constructor(options: SlotOptions) {
    this.#options = options
  }

  get busy(): number {
    return this.#busy
  }

  get waiting(): number {
    return this.#queue.size
  }

  /**
   * @param signal aborts the wait: the client has gone
   * @returns what gives the place back; to be called once
   * @throws ApiError 429 when the user has too many requests, 503 when everybody together has
   */
  async enter(user: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#hasRoom(user)) this.#take(user)
    else await this.#wait(user, signal)
    return () => this.#leave(user)
  }

  #hasRoom(user: string): boolean {
    return this.#busy < this.#options.maxConcurrent && (this.#ofUser.get(user) ?? 0) < this.#options.maxConcurrentPerUser
  }

  #take(user: string): void {
    this.#busy++
    this.#ofUser.set(user, (this.#ofUser.get(user) ?? 0) + 1)
  }

  #leave(user: string): void {
    this.#busy--
    const left = this.#ofUser.get(user)! - 1
    if (left === 0) this.#ofUser.delete(user)
    else this.#ofUser.set(user, left)
    for (const waiter of this.#queue) {
      if (this.#busy >= this.#options.maxConcurrent) return
      if (!this.#hasRoom(waiter.user)) continue
      this.#queue.delete(waiter)
      this.#take(waiter.user)
      waiter.enter()
    }
  }

  #wait(user: string, signal: AbortSignal): Promise<void> {
    const { maxConcurrentPerUser, maxQueued, queueMs } = this.#options
    const own = this.#waitingOf.get(user) ?? 0
    // A user who waits for herself has no more places in the queue than at work.
    if (this.#queue.size >= maxQueued || own >= maxConcurrentPerUser) throw this.#refusal(user)
    this.#waitingOf.set(user, own + 1)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { user, enter: resolve }
    this.#queue.add(waiter)
    const giveUp = () => {
      if (this.#queue.delete(waiter)) reject(this.#refusal(user))
    }
    const timer = setTimeout(giveUp, queueMs)
    signal.addEventListener('abort', giveUp, { once: true })
    return promise.finally(() => {
      const left = this.#waitingOf.get(user)! - 1
      if (left === 0) this.#waitingOf.delete(user)
      else this.#waitingOf.set(user, left)
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
    })
  }

  #refusal(user: string): ApiError {
    const { maxConcurrentPerUser, queueMs } = this.#options
    const retryAfter = Math.max(1, Math.ceil(queueMs / 1000))
    const own = this.#ofUser.get(user) ?? 0
    if (own >= maxConcurrentPerUser) {
      return new ApiError(429, 'rate_limit_exceeded', `you have ${own} requests under way, the most allowed`, { retryAfter })
    }
    return unavailable(`all ${this.#busy} places are taken and ${this.#queue.size} requests wait`, retryAfter)
  }
}
