import type { G2Point } from '../../../protocol/da/bls.ts'
import type { EpochMember } from '../../../sdk/da/epochs.ts'
import type { IDASigners } from '../../../typechain-types/index.ts'

/** The signers' keys in G2: an epoch has those in G1 alone, and a registration tells both. They never change. */
export class SignerKeys {
  readonly #signers: IDASigners
  readonly #fromBlock: number
  readonly #keys = new Map<number, G2Point>()

  /** @param fromBlock that of the deployment */
  constructor(signers: IDASigners, fromBlock: number) {
    this.#signers = signers
    this.#fromBlock = fromBlock
  }

  async ofMembers(members: readonly Pick<EpochMember, 'id'>[]): Promise<G2Point[]> {
    if (members.some(({ id }) => !this.#keys.has(id))) await this.#read()
    return members.map(({ id }) => {
      const key = this.#keys.get(id)
      if (!key) throw new Error(`the registration of signer ${id} is not in the log: is fromBlock behind the deployment?`)
      return key
    })
  }

  async #read(): Promise<void> {
    for (const { args } of await this.#signers.queryFilter(this.#signers.filters.SignerRegistered(), this.#fromBlock)) {
      const { x, y } = args.keyG2
      this.#keys.set(Number(args.id), { x: [x[0], x[1]], y: [y[0], y[1]] })
    }
  }
}
