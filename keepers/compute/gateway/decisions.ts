/** One try at one provider. */
export interface AttemptRecord {
  provider: string
  /** From the request to the first byte of an answer, or to the failure. */
  ms: number
  outcome: 'answered' | 'refused' | 'failed'
  /** Of a failure. */
  reason?: string
}

/** What came of checking the signed receipt of an answer. */
export interface ReceiptRecord {
  status: 'pending' | 'verified' | 'failed' | 'unavailable'
  detail: string
}

/** Why a request went where it went, and what became of it. */
export interface Decision {
  id: string
  /** ISO 8601. */
  at: string
  user: string
  model: string
  path: string
  stream: boolean
  candidates: { provider: string; score: number; expectedFee: string; latencyMs: number | null; resting: boolean }[]
  passedOver: { provider: string; reason: string }[]
  attempts: AttemptRecord[]
  outcome: 'pending' | 'answered' | 'refused' | 'failed' | 'interrupted' | 'cancelled'
  /** Of the answer. */
  provider?: string
  /** The provider's name for the answer (ZG-Res-Key). */
  answer?: string
  receipt?: ReceiptRecord
}

/** The newest decisions, in memory. */
export class Decisions {
  readonly #kept = new Map<string, Decision>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  add(decision: Decision): Decision {
    this.#kept.set(decision.id, decision)
    if (this.#kept.size > this.#capacity) this.#kept.delete(this.#kept.keys().next().value!)
    return decision
  }

  /** Undefined when it is somebody else's, too. */
  find(id: string, user: string): Decision | undefined {
    const decision = this.#kept.get(id)
    return decision?.user === user ? decision : undefined
  }
}
