import { randomBytes } from 'node:crypto'
import { createBearer, type MessageSigner } from '../../../protocol/compute/session-token.ts'
import type { Provider } from './ranking.ts'

/** Providers take sessions of up to a day; a stolen one is worth less the shorter it is. */
const LIFETIME_MS = 6 * 3_600_000
const RENEW_MS = 600_000

interface Session {
  header: Promise<string>
  generation: number
  expiresAt: number
}

/** Session tokens at providers, signed by the gateway's account and kept while they last. */
export class Sessions {
  readonly #signer: MessageSigner
  readonly #sessions = new Map<string, Session>()

  constructor(signer: MessageSigner) {
    this.#signer = signer
  }

  /** The Authorization header for a provider. */
  header({ address, generation }: Provider, tokenId: number): Promise<string> {
    const id = `${address} ${tokenId}`
    const known = this.#sessions.get(id)
    const timestamp = Date.now()
    if (known && known.generation === generation && known.expiresAt - timestamp > RENEW_MS) return known.header
    const expiresAt = timestamp + LIFETIME_MS
    const nonce = randomBytes(16).toString('hex')
    const header = createBearer(this.#signer, { provider: address, timestamp, expiresAt, nonce, generation, tokenId })
    this.#sessions.set(id, { header, generation, expiresAt })
    return header
  }
  /** Makes the next one anew. */
  forget({ address }: Provider, tokenId: number): void {
    this.#sessions.delete(`${address} ${tokenId}`)
  }
}
