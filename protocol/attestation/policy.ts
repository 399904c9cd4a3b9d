/** What a report must say of itself to be of production: nobody outside may read or move what it attests. */

import { EvidenceError } from './evidence-error.ts'
import type { Quote, TdReport } from './quote.ts'
import { isDebuggable } from './tcb.ts'

/** The evidence is genuine, but of something that protects nothing. */
export class PolicyError extends EvidenceError {
  override name = 'PolicyError'
}

/** TD attributes by bit. Source: Intel TDX Module 1.5 ABI, 3.4.1. Bits that are not named here must be zero. */
const SEPT_VE_DISABLE = 28n
const ALLOWED = [
  SEPT_VE_DISABLE,
  30n, // PKS: supervisor protection keys
  31n, // KL: key locker
  63n, // PERFMON
]
/** With these the host, or a service it runs, may see or take away the domain's memory. */
const FORBIDDEN: Record<string, bigint> = { DEBUG: 0n, MIGRATABLE: 29n }

export function checkPolicy(quote: Quote): void {
  if (quote.tee === 'tdx') checkTrustDomain(quote.report)
  else if (isDebuggable(quote.report)) throw new PolicyError('the enclave is debuggable: its host can read its memory')
}

function checkTrustDomain({ tdAttributes, mrServiceTd }: TdReport): void {
  const attributes = Buffer.from(tdAttributes).readBigUInt64LE()
  const has = (bit: bigint) => ((attributes >> bit) & 1n) === 1n
  for (const [name, bit] of Object.entries(FORBIDDEN)) if (has(bit)) throw new PolicyError(`the trust domain has attribute ${name}`)
  const unknown = ALLOWED.reduce((rest, bit) => rest & ~(1n << bit), attributes)
  if (unknown !== 0n) throw new PolicyError(`the trust domain has attributes that are not known here: 0x${unknown.toString(16)}`)
  // Without it the host can inject exceptions by taking pages away, and learn from how the code reacts.
  if (!has(SEPT_VE_DISABLE)) throw new PolicyError('the trust domain lacks attribute SEPT_VE_DISABLE')
  if (mrServiceTd?.some((byte) => byte !== 0)) throw new PolicyError('a service domain is bound to the trust domain, which may move it')
}
