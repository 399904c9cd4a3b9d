/** What verification says: every check by name with its result, so that a refusal can be read and an approval audited. */
import type { TcbStatus } from './collateral.ts'
import { EvidenceError } from './evidence-error.ts'
import type { Quote } from './quote.ts'

export interface Check {
  name: string
  ok: boolean
  /** What was compared, with the values; of a failed check, what is wrong. */
  detail: string
}

/** What came of checking one piece of evidence. */
export interface Findings {
  /** Every check held. */
  ok: boolean
  /** In the order in which they ran. What depends on something that failed did not run and is not listed. */
  checks: Check[]
}

/** Of a quote. */
export interface Verdict extends Findings {
  /** How up to date the platform is; absent where the evidence fails before that is known. */
  status?: TcbStatus
  /** Ids of Intel's security advisories that concern this platform's versions. */
  advisories: string[]
  /** The quote, where it could be read: not to be believed unless `ok`. */
  quote?: Quote
  /** Verified under a root of development: proves nothing about hardware. */
  simulated: boolean
}

/** Runs checks and remembers what came of each. */
export class Audit {
  readonly checks: Check[]

  /** `before`: what ran before. */
  constructor(before: readonly Check[] = []) {
    this.checks = [...before]
  }

  /** Runs `check`, which throws an EvidenceError if it does not hold; what it returns is `undefined` then. `detail` says what was found. */
  check<T>(name: string, check: () => T, detail: (found: T) => string): T | undefined {
    try {
      const found = check()
      this.checks.push({ name, ok: true, detail: detail(found) })
      return found
    } catch (error) {
      if (!(error instanceof EvidenceError)) throw error
      this.checks.push({ name, ok: false, detail: error.message })
      return undefined
    }
  }

  get ok(): boolean {
    return this.checks.every(({ ok }) => ok)
  }
}
