/** Thrown to those who waited too long. */
export class Busy extends Error {
  override readonly name = 'Busy'
  readonly waiting: number

  constructor(waiting: number) {
    super(`too many data writing: ${waiting}`)
    this.waiting = waiting
  }
}

interface Waiter {
  bytes: number
  enter: () => void
}

/** Lets bodies in, first come first served, while their sum fits; the others wait outside, unread, for `patienceMs` at most. */
export class ByteGate {
  readonly capacity: number
  private readonly patienceMs: number
  private readonly queue = new Set<Waiter>()
  private inside = 0

  constructor(capacity: number, patienceMs: number) {
    this.capacity = capacity
    this.patienceMs = patienceMs
  }

  get bytesInside(): number {
    return this.inside
  }

  get waiting(): number {
    return this.queue.size
  }

  /**
   * @param bytes announced length; one larger than the gate is let in alone
   * @returns what gives the place back; may be called more than once
   * @throws Busy
   */
  async enter(bytes: number, signal: AbortSignal): Promise<() => void> {
    const share = Math.min(bytes, this.capacity)
    if (this.queue.size > 0 || this.inside + share > this.capacity) await this.wait(share, signal)
    else this.inside += share
    let left = false
    return () => {
      if (left) return
      left = true
      this.inside -= share
      this.admit()
    }
  }

  private wait(bytes: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { bytes, enter: resolve }
    this.queue.add(waiter)
    const giveUp = () => {
      if (!this.queue.delete(waiter)) return
      reject(new Busy(this.queue.size + 1))
      this.admit()
    }
    const timer = setTimeout(giveUp, this.patienceMs)
    signal.addEventListener('abort', giveUp, { once: true })
    return promise.finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
    })
  }

  private admit(): void {
    for (const waiter of this.queue) {
      if (this.inside + waiter.bytes > this.capacity) return
      this.queue.delete(waiter)
      this.inside += waiter.bytes
      waiter.enter()
    }
  }
}
