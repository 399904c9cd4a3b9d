import type { EpochMember, EpochReader } from '../../../sdk/da/epochs.ts'
import { SignerLink, type SignerLinkOptions } from './signer-link.ts'

/** The connections to signers, one each, made when it is first needed. */
export class SignerLinks {
  readonly #epochs: Pick<EpochReader, 'urlOf'>
  readonly #options: Omit<SignerLinkOptions, 'account' | 'url'>
  readonly #links = new Map<number, SignerLink>()

  constructor(epochs: Pick<EpochReader, 'urlOf'>, options: Omit<SignerLinkOptions, 'account' | 'url'>) {
    this.#epochs = epochs
    this.#options = options
  }

  of({ id, account }: Pick<EpochMember, 'id' | 'account'>): SignerLink {
    const known = this.#links.get(id)
    if (known) return known
    const link = new SignerLink({ ...this.#options, account, url: () => this.#epochs.urlOf({ id }) })
    this.#links.set(id, link)
    return link
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
  }
}
