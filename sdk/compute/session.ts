import { randomBytes } from 'node:crypto'
import type { Signer } from 'ethers'
import { SESSION_TOKEN_ID } from '../../protocol/compute/receipt.ts'
import { createBearer } from '../../protocol/compute/session-token.ts'
import { chainError } from '../contracts.ts'
import type { ComputeContracts } from './contracts.ts'

/** Milliseconds that a session made for one request lasts; providers admit a day at most. */
const SESSION_MS = 3_600_000

export interface BearerOptions {
  /** An API key's id (0..254) makes a key that lasts; without one it is a session. */
  tokenId?: number | undefined
  /** Unix milliseconds; 0 = never, for API keys only. */
  expiresAt?: number | undefined
}

/** The value of an Authorization header: lets whoever has it ask `provider` in the signer's name, until it expires or is revoked. */
export async function bearerFor(
  { inference }: Pick<ComputeContracts, 'inference'>,
  provider: string,
  signer: Signer,
  { tokenId = SESSION_TOKEN_ID, expiresAt }: BearerOptions = {},
): Promise<string> {
  const { generation } = await inference.getAccount(await signer.getAddress(), provider).catch((error) => {
    throw chainError(`looking up the account at ${provider}`, error)
  })
  const timestamp = Date.now()
  return createBearer(signer, {
    provider,
    timestamp,
    expiresAt: expiresAt ?? (tokenId === SESSION_TOKEN_ID ? timestamp + SESSION_MS : 0),
    nonce: randomBytes(16).toString('hex'),
    generation: Number(generation),
    tokenId,
  })
}

/** What OpenAI clients call the API key: the header without its scheme. */
export const apiKeyOf = (bearer: string): string => bearer.slice('Bearer '.length)
