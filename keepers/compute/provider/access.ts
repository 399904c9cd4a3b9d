import { modelHash, SESSION_TOKEN_ID } from '../../../protocol/compute/receipt.ts'
import { checkSession, parseBearer, type SessionToken, SessionTokenError, verifySession } from '../../../protocol/compute/session-token.ts'
import { type Account, type Accounts, freeFunds, type KeyLimit, keyEpoch } from './accounts.ts'
import { ApiError, unauthorized, unavailable } from './errors.ts'
import type { Spend, Spender } from './spend.ts'
import type { Terms } from './terms.ts'

/** Tokens whose signature was checked and need not be again. */
const REMEMBERED = 20_000

export interface AccessOptions {
  provider: string
  accounts: Accounts
  spend: Spend
  terms: Terms
  /** Wei. */
  minimumReserve: bigint
}

/** Whose request it is, as far as the token alone says. */
export type Bearer = Pick<SessionToken, 'address' | 'tokenId' | 'generation'>

/** A request that was let in. */
export interface Admission extends Spender {
  /** Gives back what was set aside; to be called once, after the answer was counted or is given up. */
  release(): void
}

/** Who may ask, and for how much. */
export class Access {
  readonly #options: AccessOptions
  readonly #verified = new Map<string, SessionToken>()

  constructor(options: AccessOptions) {
    this.#options = options
  }

  /** @throws ApiError 401 */
  authenticate(authorization: string | undefined): Bearer {
    const { provider } = this.#options
    const expectation = { provider, now: new Date() }
    try {
      const known = this.#verified.get(authorization ?? '')
      if (known) {
        checkSession(known, expectation)
        return known
      }
      const token = parseBearer(authorization)
      verifySession(token, expectation)
      this.#verified.set(authorization!, token)
      if (this.#verified.size > REMEMBERED) this.#verified.delete(this.#verified.keys().next().value!)
      return token
    } catch (error) {
      if (error instanceof SessionTokenError) throw unauthorized(`session_${error.code.replaceAll('-', '_')}`, error.message)
      throw error
    }
  }

  /** Whether the chain lets the token in as well. @throws ApiError 401 */
  async check(bearer: Bearer): Promise<void> {
    await this.#settled(bearer.address, async () => requireLive(bearer, await this.#options.accounts.get(bearer.address)))
  }

  /**
   * Lets a request in that may cost up to `wei`, and sets that aside.
   * @throws ApiError 401 for the token, 403 for what its key may not do, 402 without the funds
   */
  admit(bearer: Bearer, model: string, wei: bigint): Promise<Admission> {
    const { accounts, spend, minimumReserve } = this.#options
    const { address: user, tokenId } = bearer
    return this.#settled(user, async () => {
      const account = await accounts.get(user)
      requireLive(bearer, account)
      const limit = await accounts.limit(user, tokenId)
      this.#requireAllowed(tokenId, limit, model)
      const spender = { user, tokenId, epoch: keyEpoch(account, limit) }
      const release = spend.reserve(spender, wei, { free: freeFunds(account), keyCap: limit.cap }, minimumReserve)
      return { ...spender, release }
    })
  }

  /** What is refused is looked at once more with what the chain says now: the user may just have paid, or set another limit. */
  async #settled<T>(user: string, look: () => Promise<T>): Promise<T> {
    const { accounts } = this.#options
    try {
      try {
        return await look()
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        await accounts.refresh(user)
        return await look()
      }
    } catch (error) {
      if (error instanceof ApiError) throw error
      throw unavailable('the account cannot be looked up on chain now', 2, error)
    }
  }

  #requireAllowed(tokenId: number, { expiresAt, models }: KeyLimit, model: string): void {
    if (expiresAt !== 0 && this.#options.terms.isOver(expiresAt)) {
      throw unauthorized('key_expired', `key ${tokenId} ended at ${new Date(expiresAt * 1000).toISOString()}, as its owner set on chain`)
    }
    if (models && !models.has(modelHash(model))) throw new ApiError(403, 'model_not_allowed', `key ${tokenId} may not use ${model}`)
  }
}

function requireLive({ address, tokenId, generation }: Bearer, account: Account): void {
  if (!account.exists) throw unauthorized('no_account', `${address} has no account at this provider: transfer funds to it first`)
  if (!account.acknowledged) throw unauthorized('not_acknowledged', `${address} has not acknowledged this provider's signer`)
  if (generation !== account.generation) {
    throw unauthorized(
      'generation_revoked',
      `the token is of generation ${generation}, valid are those of ${account.generation}: all earlier ones were revoked`,
    )
  }
  if (tokenId !== SESSION_TOKEN_ID && (account.revokedBitmap >> BigInt(tokenId)) & 1n) throw unauthorized('key_revoked', `key ${tokenId} was revoked`)
}
