import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Wallet } from 'ethers'

const require = createRequire(import.meta.url)
const library = join(import.meta.dirname, '../../../node_modules/@0gfoundation/0g-compute-ts-sdk/lib.commonjs')

export interface SdkSession {
  rawMessage: string
  signature: string
  token: { timestamp: number; expiresAt: number; nonce: string; generation: number; tokenId: number }
}

/** The public SDK's own code that makes tokens, for an account with the given generation and no revoked keys. */
export function sdkBroker(user: Wallet, generation = 0) {
  const { ZGServingUserBrokerBase } = require(join(library, 'inference/broker/base.js'))
  const contract = { signer: user, getUserAddress: () => user.address, getAccount: async () => ({ generation: BigInt(generation), revokedBitmap: 0n }) }
  const cache = { getItem: async () => null, setItem: async () => {} }
  const broker = new ZGServingUserBrokerBase(contract, {}, {}, cache)
  return {
    session: (provider: string): Promise<SdkSession> => broker.generateSessionToken(provider),
    header: async (session: SdkSession): Promise<string> => {
      broker.userAcknowledged = async () => true
      broker.getOrCreateSession = async () => session
      return (await broker.getHeader('')).Authorization
    },
    apiKey: (provider: string, options: { tokenId?: number; expiresIn?: number }): Promise<{ rawToken: string }> => broker.createApiKey(provider, options),
  }
}

/** What `processResponse` ends with. */
export const sdkVerifies = (text: string, signature: string, signer: string): boolean =>
  require(join(library, 'inference/broker/verifier.js')).Verifier.verifySignature(text, signature, signer)

/** What the SDK's signing helpers of fine-tuning sign. */
export const sdkEncrypt = (): { signTaskID(signer: Wallet, id: string): Promise<string> } => require(join(library, 'common/utils/encrypt.js'))
