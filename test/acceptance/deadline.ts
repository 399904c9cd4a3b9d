/** The public clients never give up by themselves: fails a call of theirs that has not ended in time. */
export async function within<T>(seconds: number, what: string, call: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what} has not ended within ${seconds} s`)), seconds * 1000)
  return Promise.race([call, late]).finally(() => clearTimeout(timer))
}

/** Looks until a condition holds. */
export async function until(seconds: number, what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Silences the public clients, which log every step, for the tests of a suite. */
export function quietConsole(): void {
  const { log } = console
  before(() => {
    console.log = () => {}
  })
  after(() => {
    console.log = log
  })
}
