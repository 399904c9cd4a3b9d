const terminal = process.stdout.isTTY
const CLEAR_LINE = '\r\x1b[K'

/** Steps under way, with their start; several may be. */
const active = new Map<string, number>()
let timer: NodeJS.Timeout | undefined

/** Runs a step and says how long it took; on a terminal, also how long it has been taking. */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  active.set(name, started)
  show()
  timer ??= setInterval(show, terminal ? 500 : 15_000)
  const done = (mark: string) => {
    active.delete(name)
    say(`${mark} ${name} (${since(started)})`)
    if (active.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
  try {
    const result = await work()
    done('✔')
    return result
  } catch (error) {
    done('✘')
    throw error
  }
}

/** Prints a line, keeping what is under way below it. */
export function say(line: string): void {
  if (terminal) process.stdout.write(CLEAR_LINE)
  console.log(line)
  if (terminal) show()
}

function show(): void {
  if (active.size === 0) return
  const line = [...active].map(([name, started]) => `${name} (${since(started)})`).join(', ')
  if (terminal) process.stdout.write(`${CLEAR_LINE}… ${line}`)
  else if ([...active.values()].some((started) => performance.now() - started > 1000)) console.log(`… ${line}`)
}

function since(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`
}
