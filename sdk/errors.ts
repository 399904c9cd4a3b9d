/** What went wrong, in the terms a program can act on. The CLI turns each into an exit code. */
export type ErrorCode =
  /** The call was malformed: a bad argument, a missing option. */
  | 'USAGE'
  /** The thing asked for is not there. */
  | 'NOT_FOUND'
  /** Bytes, a proof or a signature do not match what they claim to be. */
  | 'VERIFICATION_FAILED'
  /** A server could not be reached, or broke off. */
  | 'NETWORK'
  /** Something that should have happened did not within the time given. */
  | 'TIMEOUT'
  /** The chain refused or reverted the transaction. */
  | 'CHAIN'
  /** A server answered, and its answer was an error. */
  | 'REMOTE'
  /** The work could not be done for a reason none of the others names. */
  | 'FAILED'

export interface ErrorDetails {
  /** Facts behind the message, one per line when printed. */
  details?: string[]
  /** What the reader can do about it. */
  wayOut?: string
  cause?: unknown
}

/** The one error of this SDK: a short message, the facts behind it, and what to do. */
export class PerigeeError extends Error {
  override name = 'PerigeeError'
  readonly code: ErrorCode
  readonly shortMessage: string
  readonly details: string[]
  readonly wayOut: string | undefined

  constructor(code: ErrorCode, shortMessage: string, { details = [], wayOut, cause }: ErrorDetails = {}) {
    super([shortMessage, ...details.map((line) => `  ${line}`), ...(wayOut ? [wayOut] : [])].join('\n'), { cause })
    this.code = code
    this.shortMessage = shortMessage
    this.details = details
    this.wayOut = wayOut
  }
}

/** The first line of whatever was thrown, for use as a detail of another error. */
export function reasonOf(error: unknown): string {
  if (error instanceof PerigeeError) return error.details.length > 0 ? `${error.shortMessage} (${error.details.join('; ')})` : error.shortMessage
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  return error instanceof Error ? (error.message || error.name).split('\n', 1)[0]! : String(error)
}
