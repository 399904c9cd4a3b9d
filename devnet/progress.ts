// SPDX-License-Identifier: Apache-2.0

/** Runs a step and says how long it took; on a terminal, also how long it has been taking. */
export async function step<T>(name: string, work: () => Promise<T>, describe: (result: T) => string = () => ''): Promise<T> {
  const started = performance.now()
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`
  const line = (mark: string, note: string) => `${mark} ${name}${note && ` · ${note}`} (${seconds()})`
  const terminal = process.stdout.isTTY
  const show = () => terminal && process.stdout.write(`\r\x1b[K${line('…', '')}`)
  show()
  const timer = setInterval(terminal ? show : () => console.log(line('…', '')), terminal ? 500 : 15_000)
  const clear = () => {
    clearInterval(timer)
    if (terminal) process.stdout.write('\r\x1b[K')
  }
  try {
    const result = await work()
    clear()
    console.log(line('✔', describe(result)))
    return result
  } catch (error) {
    clear()
    console.log(line('✘', ''))
    throw error
  }
}
