import { isEnoughWeight } from '../../../protocol/da/certificate.ts'
import { reasonOf } from '../../../sdk/errors.ts'

/** A signer has answered, and its answer was no. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

/** Whom to ask: indices in an epoch. */
export interface Asked {
  index: number
  account: string
  weight: bigint
}

export interface GatherOptions<T, M extends Asked> {
  members: readonly M[]
  /** Of the epoch; two thirds of it are enough. */
  totalWeight: bigint
  /** Its signal aborts when the answer is not waited for any longer. */
  ask: (member: M, signal: AbortSignal) => Promise<T>
  /** Whether a member is so far behind that it is not worth waiting for. */
  isLagging?: (member: M) => boolean
  /** How long to wait for the others once there are enough, and for enough, in ms. */
  graceMs: number
  timeoutMs: number
  signal: AbortSignal
}

export interface Failure {
  account: string
  weight: bigint
  reason: string
  kind: 'refused' | 'unreachable' | 'late'
}

export interface Gathered<T> {
  /** By index. What comes later than this was waited for is added nevertheless. */
  answers: ReadonlyMap<number, T>
  /** Why the others did not answer, by index. */
  failures: ReadonlyMap<number, Failure>
}

/**
 * Asks members, all at once, and waits: for all; or, once two thirds of the weight have answered, a little for the rest; or until so many have failed that it
 * can't be enough; or until time is up. So whoever is slow or dead holds nobody up.
 */
export async function gather<T, M extends Asked>(options: GatherOptions<T, M>): Promise<Gathered<T>> {
  const { members, totalWeight, ask, isLagging = () => false, graceMs, timeoutMs, signal } = options
  const answers = new Map<number, T>()
  const failures = new Map<number, Failure>()
  const over = Promise.withResolvers<void>()
  const noLonger = new AbortController()
  let answered = 0n
  let possible = members.reduce((sum, { weight }) => sum + weight, 0n)
  let grace: NodeJS.Timeout | undefined

  const look = () => {
    const waitedFor = members.filter(({ index }) => !answers.has(index) && !failures.has(index))
    if (waitedFor.length === 0 || !isEnoughWeight(possible, totalWeight)) return over.resolve()
    if (!isEnoughWeight(answered, totalWeight)) return
    if (waitedFor.every(isLagging)) return over.resolve()
    grace ??= setTimeout(over.resolve, graceMs)
  }
  const stop = () => over.reject(signal.reason)
  const timer = setTimeout(over.resolve, timeoutMs)
  signal.addEventListener('abort', stop, { once: true })
  for (const member of members) {
    const { index, account, weight } = member
    ask(member, noLonger.signal).then(
      (answer) => {
        answers.set(index, answer)
        answered += weight
        look()
      },
      (error: unknown) => {
        if (noLonger.signal.aborted) return
        failures.set(index, { account, weight, reason: reasonOf(error), kind: error instanceof Refused ? 'refused' : 'unreachable' })
        possible -= weight
        look()
      },
    )
  }
  try {
    signal.throwIfAborted()
    await over.promise
  } finally {
    clearTimeout(timer)
    clearTimeout(grace)
    signal.removeEventListener('abort', stop)
    noLonger.abort(new Error('it is not waited for any longer'))
  }
  const couldBeEnough = isEnoughWeight(possible, totalWeight)
  for (const { index, account, weight } of members) {
    if (couldBeEnough && !answers.has(index) && !failures.has(index)) failures.set(index, { account, weight, reason: 'no answer in time', kind: 'late' })
  }
  return { answers, failures }
}
