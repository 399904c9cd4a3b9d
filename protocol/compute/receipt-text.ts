import { createHash } from 'node:crypto'

/** What the text that a TEE signs for one answer commits to. Hex of 32 bytes with 0x. */
export interface ReceiptText {
  /** SHA-256 of the request's body and of the response's body, as they crossed the wire. */
  requestHash: string
  responseHash: string
  /** EIP-712 digest of the receipt, which binds user, model, usage, fee, chain and contract: `receiptDigest`. */
  receiptHash: string
}

/**
 * The text that the TEE key signs (EIP-191), in the form of the public compute SDK with the receipt's digest behind it:
 *   hex(SHA-256(request)):hex(SHA-256(response)):0xhex(digest)
 * The SDK takes any text, so nothing breaks; ours checks every part.
 */
export function receiptText({ requestHash, responseHash, receiptHash }: ReceiptText): string {
  return `${requestHash.slice(2)}:${responseHash.slice(2)}:${receiptHash}`
}

/** Reads such a text; undefined if it is another one. */
export function parseReceiptText(text: string): ReceiptText | undefined {
  const parts = /^([0-9a-f]{64}):([0-9a-f]{64}):(0x[0-9a-f]{64})$/.exec(text)
  return parts ? { requestHash: `0x${parts[1]}`, responseHash: `0x${parts[2]}`, receiptHash: parts[3]! } : undefined
}

/** SHA-256 of a body, as in receipts. */
export const bodyHash = (body: Uint8Array): string => `0x${createHash('sha256').update(body).digest('hex')}`
