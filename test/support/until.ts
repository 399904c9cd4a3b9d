import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 50

/** Looks until there is something to see. Fails with `what`, which did not come to be, after `withinMs`. */
export async function until<T>(look: () => Promise<T | undefined>, what: string, withinMs = 60_000): Promise<T> {
  for (const deadline = Date.now() + withinMs; Date.now() < deadline; await sleep(POLL_MS)) {
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`not within ${withinMs / 1000} s: ${what}`)
}
