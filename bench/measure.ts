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

const ROUNDS = 15
const ROUND_MS = 100

/**
 * Synchronous calls per second of processor time of each contender: the median of several rounds, in which they take turns, so that
 * whatever else the machine does meets all of them alike.
 */
export function callsPerSecond<Name extends string>(contenders: Record<Name, () => void>): Record<Name, number> {
  const entries = Object.entries(contenders) as [Name, () => void][]
  const rates = new Map<Name, number[]>(entries.map(([name]) => [name, []]))
  // The first round warms up: engines compile what runs often.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, call] of entries) {
      const before = process.cpuUsage()
      const end = performance.now() + ROUND_MS
      let calls = 0
      for (; performance.now() < end; calls++) call()
      const { user, system } = process.cpuUsage(before)
      if (round > 0) rates.get(name)!.push((calls / (user + system)) * 1e6)
    }
  }
  return Object.fromEntries(entries.map(([name]) => [name, median(rates.get(name)!)])) as Record<Name, number>
}
