/** What the public compute SDK waits for a receipt, in ms. */
const RECEIPT_TIMEOUT = 300_000

/**
 * The public compute SDK leaves a timer of five minutes behind every transaction, which would keep the process of the tests alive for as long.
 * From now on such timers do not; gives what undoes it.
 */
export function releaseSdkTimers(): () => void {
  const original = globalThis.setTimeout
  const releasing = ((handler: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
    const timer = original(() => handler(...args), ms)
    return ms === RECEIPT_TIMEOUT ? timer.unref() : timer
  }) as typeof setTimeout
  globalThis.setTimeout = Object.assign(releasing, original)
  return () => {
    globalThis.setTimeout = original
  }
}
