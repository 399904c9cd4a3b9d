import { id } from 'ethers'

/**
 * What served an answer, as exactly as it can be said. A digest where there is a file, a name and version where there is not; "unknown" where nobody
 * can tell, which is a statement too.
 */
export interface ModelSpec {
  weights: string
  tokenizer: string
  /** How messages become a prompt. */
  template: string
  engine: string
  dtype: string
}

/** `specHash` of a receipt: keccak256 of the JSON text with these five keys in this order. */
export function specHash({ weights, tokenizer, template, engine, dtype }: ModelSpec): string {
  return id(JSON.stringify({ weights, tokenizer, template, engine, dtype }))
}
