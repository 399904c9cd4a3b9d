export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Seconds that `run` takes. */
export async function seconds(run: () => unknown): Promise<number> {
  const start = performance.now()
  await run()
  return (performance.now() - start) / 1000
}

const ROUNDS = 5
const ROUND_MS = 300

/**
 * Calls per second of each contender: the median of several rounds, in which they take turns, so that whatever else the machine
 * does meets all of them alike.
 */
export function callsPerSecond<Name extends string>(contenders: Record<Name, () => void>): Record<Name, number> {
  const entries = Object.entries(contenders) as [Name, () => void][]
  const rates = new Map<Name, number[]>(entries.map(([name]) => [name, []]))
  // The first round warms up: engines compile what runs often.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, call] of entries) {
      const start = performance.now()
      let [calls, elapsed] = [0, 0]
      for (; elapsed < ROUND_MS; elapsed = performance.now() - start, calls++) call()
      if (round > 0) rates.get(name)!.push((calls / elapsed) * 1000)
    }
  }
  return Object.fromEntries(entries.map(([name]) => [name, median(rates.get(name)!)])) as Record<Name, number>
}
