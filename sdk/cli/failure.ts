import { type ErrorCode, PerigeeError } from '../errors.ts'

const EXIT_CODES: Record<ErrorCode, number> = { FAILED: 1, REMOTE: 1, USAGE: 2, NOT_FOUND: 3, VERIFICATION_FAILED: 4, NETWORK: 5, TIMEOUT: 5, CHAIN: 6 }
const INTERRUPTED = 130

/** For the help text. */
export const exitCodes = '0 ok, 1 failure, 2 usage, 3 not found, 4 verification failed, 5 network or timeout, 6 refused by the chain, 130 interrupted.'

export function exitCodeOf(error: unknown): number {
  if (error instanceof Error && error.name === 'AbortError') return INTERRUPTED
  return error instanceof PerigeeError ? EXIT_CODES[error.code] : 1
}

/** Prints an error for a person, or with `json` for a program. A fault of ours keeps its stack. */
export function fail(error: unknown, { json }: { json: boolean }): void {
  const interrupted = exitCodeOf(error) === INTERRUPTED
  const { code, shortMessage, details, wayOut } =
    error instanceof PerigeeError
      ? error
      : interrupted
        ? { code: 'INTERRUPTED', shortMessage: 'interrupted', details: [], wayOut: 'Run the same command again to go on from here.' }
        : { code: 'FAILED', shortMessage: error instanceof Error ? (error.stack ?? error.message) : String(error), details: [], wayOut: undefined }
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message: shortMessage, details, ...(wayOut ? { wayOut } : {}) } })}\n`)
  else process.stderr.write([`error: ${shortMessage}`, ...details.map((line) => `  ${line}`), ...(wayOut ? [wayOut] : []), ''].join('\n'))
}
