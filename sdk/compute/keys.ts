import { id } from 'ethers'
import { mined } from '../contracts.ts'
import type { ComputeContracts } from './contracts.ts'

type Inference = Pick<ComputeContracts, 'inference'>

export interface KeyLimits {
  /** Wei that the key may spend in all; 0 = no cap. */
  cap?: bigint | undefined
  /** Unix seconds; 0 = never. */
  expiresAt?: number | undefined
  /** Names of the models it may ask; empty = any. */
  models?: string[] | undefined
}

/** Limits an API key of the signer at a provider, from now on. */
export async function limitKey(
  { inference }: Inference,
  provider: string,
  tokenId: number,
  { cap = 0n, expiresAt = 0, models = [] }: KeyLimits,
): Promise<string> {
  return mined('limiting the key', () => inference.setKeyLimit(provider, tokenId, cap, expiresAt, models.map(id)))
}

/** Ends API keys of the signer at a provider; without ids all of them, sessions included. */
export async function revokeKeys({ inference }: Inference, provider: string, tokenIds?: number[]): Promise<string> {
  return mined('revoking', () => (tokenIds ? inference.revokeTokens(provider, tokenIds) : inference.revokeAllTokens(provider)))
}
