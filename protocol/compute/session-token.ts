import { type Addressable, getAddress, getBytes, id } from 'ethers'
import { z } from 'zod'
import { SESSION_TOKEN_ID } from './receipt.ts'
import { recoverPersonal } from './signature.ts'

/** What a user signs to be let in: a session of at most a day, or an API key. Compute §2.1. Times in unix ms. */
export interface SessionToken {
  address: string
  provider: string
  timestamp: number
  /** 0 = never (API keys only). */
  expiresAt: number
  nonce: string
  /** Counts how often the user has revoked everything. */
  generation: number
  /** 255 for a session. */
  tokenId: number
  /** keccak256 of the JSON text as it was received, which is what was signed. */
  digest: string
  signature: string
}

export type SessionFault = 'missing' | 'too-long' | 'malformed' | 'wrong-provider' | 'not-yet-valid' | 'expired' | 'too-long-lived' | 'bad-signature'

/** Why a bearer token does not count; `code` is for programs, the message for whoever made the request. */
export class SessionTokenError extends Error {
  override readonly name = 'SessionTokenError'
  readonly code: SessionFault

  constructor(code: SessionFault, message: string) {
    super(message)
    this.code = code
  }
}

/** Bytes of an Authorization header that are looked at: the public SDK makes about 530. */
export const MAX_BEARER_BYTES = 2048
/** A session ends within a day. */
export const MAX_SESSION_MS = 86_400_000
/** How far a user's clock may be ahead. */
export const CLOCK_SKEW_MS = 300_000

const PREFIX = 'Bearer app-sk-'
const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/)
const moment = z.int().min(0)
const fields = z.object({
  address,
  provider: address,
  timestamp: moment,
  expiresAt: moment,
  nonce: z.string().min(1).max(128),
  generation: z.int().min(0),
  tokenId: z.int().min(0).max(SESSION_TOKEN_ID),
})

/**
 * Reads an Authorization header. Nothing is believed yet: `verifySession` checks what can be checked without the chain.
 * @throws SessionTokenError missing, too-long, malformed
 */
export function parseBearer(header: string | undefined): SessionToken {
  if (header === undefined || header === '') throw new SessionTokenError('missing', 'there is no Authorization header')
  if (header.length > MAX_BEARER_BYTES) {
    throw new SessionTokenError('too-long', `the Authorization header has ${header.length} bytes, more than ${MAX_BEARER_BYTES}`)
  }
  if (!header.startsWith(PREFIX)) throw new SessionTokenError('malformed', `the Authorization header does not begin with "${PREFIX}"`)
  const text = decodeText(header.slice(PREFIX.length))
  const bar = text.indexOf('|')
  if (bar < 0) throw new SessionTokenError('malformed', 'the token has no signature: "|" is missing')
  const [raw, signature] = [text.slice(0, bar), text.slice(bar + 1)]
  if (!/^0x[0-9a-f]{130}$/i.test(signature)) throw new SessionTokenError('malformed', 'the signature is not 65 bytes in hex')
  const { address, provider, ...rest } = parseFields(raw)
  return { address: checksummed(address), provider: checksummed(provider), ...rest, digest: id(raw), signature }
}

/** What a session token is checked against. */
export interface SessionExpectation {
  provider: string
  now: Date
}

/**
 * Checks provider, times and signature. What the chain knows (generation, revoked keys, balance) is left to the caller.
 * @throws SessionTokenError wrong-provider, not-yet-valid, expired, too-long-lived, bad-signature
 */
export function verifySession(token: SessionToken, { provider, now }: SessionExpectation): void {
  checkSession(token, { provider, now })
  const signer = recoverPersonal(getBytes(token.digest), token.signature)?.address
  if (signer !== token.address) throw new SessionTokenError('bad-signature', `the token is not signed by ${token.address}`)
}

/** As `verifySession` without the signature: for a token whose signature was checked before. */
export function checkSession({ provider: meant, timestamp, expiresAt, tokenId }: SessionToken, { provider, now }: SessionExpectation): void {
  const time = now.getTime()
  if (meant.toLowerCase() !== provider.toLowerCase()) throw new SessionTokenError('wrong-provider', `the token is for ${meant}, this is ${provider}`)
  if (timestamp > time + CLOCK_SKEW_MS) throw new SessionTokenError('not-yet-valid', `the token is from ${iso(timestamp)}, which is in the future`)
  if (tokenId === SESSION_TOKEN_ID && (expiresAt === 0 || expiresAt > timestamp + MAX_SESSION_MS)) {
    throw new SessionTokenError('too-long-lived', 'a session must end within 24 hours of its beginning: ask for an API key instead')
  }
  if (expiresAt !== 0 && expiresAt <= time) throw new SessionTokenError('expired', `the token ended at ${iso(expiresAt)}`)
}

/** What signs EIP-191 messages: any ethers signer. */
export interface MessageSigner extends Addressable {
  signMessage(message: Uint8Array): Promise<string>
}

export interface NewSession {
  provider: string
  /** Unix ms; 0 = never (API keys only). */
  expiresAt: number
  timestamp: number
  nonce: string
  generation: number
  tokenId: number
}

/** Makes an Authorization header, the same bytes as the public SDK for the same fields. */
export async function createBearer(signer: MessageSigner, { provider, timestamp, expiresAt, nonce, generation, tokenId }: NewSession): Promise<string> {
  const raw = JSON.stringify({ address: await signer.getAddress(), provider, timestamp, expiresAt, nonce, generation, tokenId })
  const signature = await signer.signMessage(getBytes(id(raw)))
  return `${PREFIX}${Buffer.from(`${raw}|${signature}`).toString('base64')}`
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeText(base64: string): string {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new SessionTokenError('malformed', 'the token is not Base64')
  try {
    return utf8.decode(Buffer.from(base64, 'base64'))
  } catch {
    throw new SessionTokenError('malformed', 'the token is not UTF-8')
  }
}

function parseFields(raw: string): z.output<typeof fields> {
  let json: unknown
  try {
    json = JSON.parse(raw)
  } catch {
    throw new SessionTokenError('malformed', 'the token is not JSON')
  }
  const { success, data, error } = fields.safeParse(json)
  if (!success)
    throw new SessionTokenError('malformed', `the token's ${error.issues[0]!.path.join('.') || 'content'} is not valid: ${error.issues[0]!.message}`)
  return data
}

function checksummed(address: string): string {
  try {
    return getAddress(address)
  } catch {
    throw new SessionTokenError('malformed', `${address} has a wrong checksum`)
  }
}

const iso = (ms: number): string => (ms > 8.64e15 ? `${ms} ms` : new Date(ms).toISOString())
