/** What verification says: every check by name with its result, so that a refusal can be read and an approval audited. */
import type { TcbStatus } from './collateral.ts'
import type { Quote } from './quote.ts'

export interface Check {
  name: string
  ok: boolean
  /** What was compared, with the values; of a failed check, what is wrong. */
  detail: string
}

export interface Verdict {
  /** Every check held. */
  ok: boolean
  /** How up to date the platform is; absent where the evidence fails before that is known. */
  status?: TcbStatus
  /** Ids of Intel's security advisories that concern this platform's versions. */
  advisories: string[]
  /** In the order in which they ran. What depends on something that failed did not run and is not listed. */
  checks: Check[]
  /** The quote, where it could be read: not to be believed unless `ok`. */
  quote?: Quote
  /** Verified under a root of development: proves nothing about hardware. */
  simulated: boolean
}
