import { hexlify, type Log } from 'ethers'
import type { Kysely, Transaction } from 'kysely'
import { encodeG1, type G1Point, type G2Point } from '../../../protocol/da/bls.ts'
import type { EpochMember } from '../../../sdk/da/epochs.ts'
import { IDASigners__factory } from '../../../typechain-types/index.ts'
import type { Tables } from './schema.ts'

const signers = IDASigners__factory.createInterface()
export const REGISTERED_TOPIC = signers.getEvent('SignerRegistered').topicHash

/** The signers' keys in G2: an epoch has those in G1 alone, and the log of a registration tells both. */
export class SignerKeys {
  readonly #db: Kysely<Tables>
  readonly #caughtUp: () => Promise<void>
  /** By those in G1. */
  readonly #known = new Map<string, G2Point>()

  /** @param caughtUp resolves once the log is read up to where the chain is now */
  constructor(db: Kysely<Tables>, caughtUp: () => Promise<void>) {
    this.#db = db
    this.#caughtUp = caughtUp
  }

  /** In the order of the members. @throws an Error for one whose registration is not in the log */
  async ofMembers(members: readonly Pick<EpochMember, 'id' | 'key'>[]): Promise<G2Point[]> {
    if (!(await this.#read(members))) {
      await this.#caughtUp()
      await this.#read(members)
    }
    return members.map(({ id, key }) => {
      const found = this.#known.get(nameOf(key))
      if (!found) throw new Error(`the registration of signer ${id} is not in the log: is fromBlock behind the deployment?`)
      return found
    })
  }

  /** Takes the keys of registrations, in the transaction that moves the place in the log. */
  async apply(trx: Transaction<Tables>, logs: readonly Pick<Log, 'topics' | 'data'>[]): Promise<void> {
    const rows = logs.flatMap((log) => {
      const event = signers.parseLog(log)
      if (event?.name !== 'SignerRegistered') return []
      const { key, keyG2 } = event.args
      return [{ key: nameOf(key), key_g2: JSON.stringify([...keyG2.x, ...keyG2.y].map(String)) }]
    })
    if (rows.length === 0) return
    await trx
      .insertInto('signer_keys')
      .values(rows)
      .onConflict((on) => on.doNothing())
      .execute()
  }

  /** Reads what is not known yet. Whether all of it was there. */
  async #read(members: readonly Pick<EpochMember, 'key'>[]): Promise<boolean> {
    const wanted = members.map(({ key }) => nameOf(key)).filter((name) => !this.#known.has(name))
    if (wanted.length === 0) return true
    const rows = await this.#db.selectFrom('signer_keys').selectAll().where('key', 'in', wanted).execute()
    for (const { key, key_g2 } of rows) {
      const [xi, xr, yi, yr] = key_g2.map(BigInt) as [bigint, bigint, bigint, bigint]
      this.#known.set(key, { x: [xi, xr], y: [yi, yr] })
    }
    return rows.length === wanted.length
  }
}

const nameOf = ({ x, y }: G1Point): string => hexlify(encodeG1({ x, y }))
