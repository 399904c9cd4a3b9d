import pRetry, { AbortError } from 'p-retry'
import { PerigeeError } from './errors.ts'

/** Milliseconds between looks: from the first to the last, each half as long again as the one before. */
const SHORTEST = 50
const LONGEST = 1_000

export interface WaitOptions {
  /** Milliseconds; waiting always ends. */
  timeout: number
  signal?: AbortSignal | undefined
  /** Makes the error to end with, from what can be learnt at that time about why it did not happen. */
  late: () => PerigeeError | Promise<PerigeeError>
}

const notYet = new Error('not yet')

/**
 * Looks until `look` finds something other than undefined. A server that cannot be reached for a while is looked at again;
 * any other error ends the waiting.
 */
export async function waitFor<T>(look: () => Promise<T | undefined>, { timeout, signal, late }: WaitOptions): Promise<T> {
  const attempt = async (): Promise<T> => {
    const found = await look().catch((error) => {
      if (error instanceof PerigeeError && error.code === 'NETWORK') throw error
      throw new AbortError(error as Error)
    })
    if (found === undefined) throw notYet
    return found
  }
  const options = {
    retries: Number.POSITIVE_INFINITY,
    factor: 1.5,
    minTimeout: SHORTEST,
    maxTimeout: LONGEST,
    maxRetryTime: timeout,
    ...(signal ? { signal } : {}),
  }
  return pRetry(attempt, options).catch(async (error) => {
    if (signal?.aborted || (error !== notYet && !(error instanceof PerigeeError && error.code === 'NETWORK'))) throw error
    throw await late()
  })
}
