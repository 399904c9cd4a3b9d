import { createHash } from 'node:crypto'
import { SESSION_TOKEN_ID } from '../../../protocol/compute/receipt.ts'
import type { Config } from './config.ts'
import { GatewayError } from './errors.ts'

/** Who asks. */
export interface User {
  name: string
  /** What their requests are made with: the id of an API key on chain, or 255 for a session. */
  tokenId: number
}

const EVERYBODY: User = { name: 'everybody', tokenId: SESSION_TOKEN_ID }
/** Keys are looked up by their hash, so that how long it takes says nothing about them. */
const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex')

/** Finds out who asks by their API key. */
export class Users {
  readonly #byHash: Map<string, User>

  constructor(apiKeys: Config['apiKeys']) {
    this.#byHash = new Map(Object.entries(apiKeys).map(([name, { key, tokenId = SESSION_TOKEN_ID }]) => [hashOf(key), { name, tokenId }]))
  }

  /** @throws GatewayError 401 */
  authenticate(authorization: string | undefined): User {
    if (this.#byHash.size === 0) return EVERYBODY
    const key = /^Bearer\s+(\S+)$/i.exec(authorization ?? '')?.[1]
    if (key === undefined) throw new GatewayError(401, 'missing_api_key', 'this gateway wants an API key, as "Authorization: Bearer …"')
    const user = this.#byHash.get(hashOf(key))
    if (!user) throw new GatewayError(401, 'invalid_api_key', 'this gateway does not know this API key')
    return user
  }
}
