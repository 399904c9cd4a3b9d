import { type Logger, pino } from 'pino'

export type Log = Logger

const SECRET_KEYS = ['privateKey', 'keystorePassword', 'password', 'authorization']

export interface LogOptions {
  name: string
  level?: string
  /** Coloured lines for people; one JSON object per line otherwise. Default: on a terminal. */
  pretty?: boolean
}

/** Structured lines on stdout; secrets are removed at the top level and one below. */
export function createLog({ name, level = 'info', pretty = process.stdout.isTTY === true }: LogOptions): Log {
  const options = { name, level, redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), remove: true } }
  if (pretty) return pino({ ...options, transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } } })
  // Synchronous, so that the last line before an exit is written, and in its place.
  return pino(options, pino.destination({ dest: 1, sync: true }))
}
