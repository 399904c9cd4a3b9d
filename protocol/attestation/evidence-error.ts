/** Evidence is malformed, unauthentic or unacceptable. Every refusal here is one of these; anything else that is thrown is a fault of ours. */
export class EvidenceError extends Error {
  override name = 'EvidenceError'
}
