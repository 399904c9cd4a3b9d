/** Weight of the newest measurement in the average. */
const NEWEST = 0.3
const SHORTEST_REST_MS = 1000
const LONGEST_REST_MS = 60_000

/** How a provider has been doing, as seen from here. Times in ms of the monotonic clock. */
export class Health {
  /** Average time to the first byte, ms; undefined before the first measurement. */
  latencyMs: number | undefined
  /** In a row. */
  failures = 0
  restsUntil = 0

  /** Notes a request to which the first byte came after `ms`. */
  answered(ms: number): void {
    this.latencyMs = this.latencyMs === undefined ? ms : this.latencyMs + NEWEST * (ms - this.latencyMs)
    this.failures = 0
    this.restsUntil = 0
  }

  /** Notes a failure: the provider is the last choice for a while that doubles each time. @param retryAfter seconds, if the provider said */
  failed(now: number, retryAfter?: number): void {
    const rest = retryAfter === undefined ? SHORTEST_REST_MS * 2 ** this.failures : retryAfter * 1000
    this.failures++
    this.restsUntil = now + Math.min(rest, LONGEST_REST_MS)
  }
}
