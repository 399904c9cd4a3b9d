const PATIENCE_MS = 120_000
const POLL_MS = 300

/** Looks until there is something to see. */
export async function until<T>(look: () => Promise<T | undefined>, failure: string): Promise<T> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; ) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  throw new Error(`${failure} after ${PATIENCE_MS / 1000} s; the logs are in .devnet/logs`)
}
