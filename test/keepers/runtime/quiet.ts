import type { Log } from '../../../keepers/runtime/log.ts'

export interface LogLine {
  level: string
  message: string
  facts: Record<string, unknown>
}

/** A log that remembers its lines instead of printing them. */
export function rememberingLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const write = (level: string) => (facts: Record<string, unknown> | string, message?: string) => {
    lines.push(typeof facts === 'string' ? { level, message: facts, facts: {} } : { level, message: message ?? '', facts })
  }
  const log: Record<string, unknown> = { level: 'trace', silent: () => {} }
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) log[level] = write(level)
  log.child = () => log
  return { log: log as unknown as Log, lines }
}

/** Waits for something that becomes true on its own; fails with `what` otherwise. */
export async function eventually(what: string, check: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`still not after ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
