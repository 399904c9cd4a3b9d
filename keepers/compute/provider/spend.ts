import { type Kysely, sql } from 'kysely'
import { ApiError } from './errors.ts'
import type { Tables } from './tables.ts'

/** What an account may be charged for, as the chain has it. Amounts in wei. */
export interface Funds {
  /** Balance less what waits to be refunded, and no more than a ceiling leaves for today. */
  free: bigint
  /** What the key may spend in all; undefined without a limit. */
  keyCap: bigint | undefined
}

/** A request that is about to cost something. */
export interface Spender {
  user: string
  tokenId: number
  /** Since when the key's spend counts; another epoch starts it from 0. */
  epoch: string
}

/** The numbers of a receipt that count up. */
export interface Count {
  sequence: number
  cumulativeFee: bigint
  keySpend: bigint
}

interface KeyTotals {
  spent: bigint
  reserved: bigint
}

interface Totals {
  sequence: number
  cumulative: bigint
  /** Fees of answers that the chain has not charged yet. */
  unsettled: bigint
  /** What requests under way may come to cost. */
  reserved: bigint
  /** By key and epoch: answers of one epoch may be complete after those of the next. */
  keys: Map<string, KeyTotals>
}

const ether = (wei: bigint): string => `${Number(wei) / 1e18}`

/** What every user owes and may still spend: in memory, from the tables at the start, changed only between two awaits. */
export class Spend {
  readonly #db: Kysely<Tables>
  readonly #users = new Map<string, Totals>()

  private constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  static async load(db: Kysely<Tables>): Promise<Spend> {
    const spend = new Spend(db)
    await spend.reload()
    return spend
  }

  /** Reads the totals of one user, or of all, from the tables again; what is reserved stays. */
  async reload(user?: string): Promise<void> {
    const answers = () => {
      const query = this.#db.selectFrom('answers')
      return user === undefined ? query : query.where('user', '=', user)
    }
    const [last, keys, open] = await Promise.all([
      answers().distinctOn('user').select(['user', 'sequence', 'cumulative_fee']).orderBy('user').orderBy('sequence', 'desc').execute(),
      answers()
        .distinctOn(['user', 'token_id', 'key_epoch'])
        .select(['user', 'token_id', 'key_epoch', 'key_spend'])
        .orderBy('user')
        .orderBy('token_id')
        .orderBy('key_epoch')
        .orderBy('sequence', 'desc')
        .execute(),
      answers()
        .select(['user', (on) => on.fn.sum<string>('fee').as('fees')])
        .where('state', 'in', ['metered', 'batched'])
        .groupBy('user')
        .execute(),
    ])
    for (const [name, totals] of this.#users) {
      if (user !== undefined && name !== user) continue
      Object.assign(totals, { sequence: 0, cumulative: 0n, unsettled: 0n })
      for (const key of totals.keys.values()) key.spent = 0n
    }
    for (const row of last) Object.assign(this.#of(row.user), { sequence: row.sequence, cumulative: BigInt(row.cumulative_fee) })
    for (const { user, token_id: tokenId, key_epoch: epoch, key_spend } of keys) this.#key({ user, tokenId, epoch }).spent = BigInt(key_spend)
    for (const row of open) this.#of(row.user).unsettled = BigInt(row.fees)
  }

  /** Reads again what users owe, after the chain charged them. Answers that are counted here and not yet written are owed too. */
  async refresh(users: readonly string[]): Promise<void> {
    const rows = await this.#db
      .selectFrom('answers')
      .select(['user', (on) => on.fn.max<string>('cumulative_fee').as('written')])
      .select((on) => on.fn.coalesce(on.fn.sum<string>('fee').filterWhere('state', 'in', ['metered', 'batched']), sql<string>`0`).as('open'))
      .where('user', 'in', users)
      .groupBy('user')
      .execute()
    for (const { user, written, open } of rows) {
      const totals = this.#of(user)
      totals.unsettled = BigInt(open) + totals.cumulative - BigInt(written)
    }
  }

  unsettled(user: string): bigint {
    return this.#users.get(user)?.unsettled ?? 0n
  }

  /** Wei that all users together owe. */
  total(): bigint {
    let sum = 0n
    for (const { unsettled } of this.#users.values()) sum += unsettled
    return sum
  }

  /**
   * Sets aside what a request may cost at most. Looking and taking are one step, so that many requests cannot pass on the same money.
   * @param minimum wei that must be free beyond it
   * @returns what gives it back; to be called once, after the answer was counted
   * @throws ApiError 402 without the funds, 403 at the limit of the key
   */
  reserve(spender: Spender, wei: bigint, { free, keyCap }: Funds, minimum: bigint): () => void {
    const { user, tokenId } = spender
    const totals = this.#of(user)
    const available = free - totals.unsettled - totals.reserved
    if (available < wei + minimum) {
      const owed = totals.unsettled + totals.reserved
      throw new ApiError(
        402,
        'insufficient_quota',
        `this request may cost ${ether(wei)} and ${ether(available > 0n ? available : 0n)} is free: ${ether(free)} in the account less ${ether(owed)} owed or reserved${minimum > 0n ? `, and ${ether(minimum)} must remain` : ''}. Transfer more to this provider`,
      )
    }
    const key = this.#key(spender)
    if (keyCap !== undefined && key.spent + key.reserved + wei > keyCap) {
      throw new ApiError(
        403,
        'key_limit_reached',
        `key ${tokenId} may spend ${ether(keyCap)}, of which ${ether(key.spent + key.reserved)} is spent or reserved; this request may cost ${ether(wei)}`,
      )
    }
    totals.reserved += wei
    key.reserved += wei
    return () => {
      totals.reserved -= wei
      key.reserved -= wei
    }
  }

  /** Counts one more answer. */
  count(spender: Spender, fee: bigint): Count {
    const totals = this.#of(spender.user)
    const key = this.#key(spender)
    key.spent += fee
    totals.sequence++
    totals.cumulative += fee
    totals.unsettled += fee
    return { sequence: totals.sequence, cumulativeFee: totals.cumulative, keySpend: key.spent }
  }

  #of(user: string): Totals {
    let totals = this.#users.get(user)
    if (!totals) {
      totals = { sequence: 0, cumulative: 0n, unsettled: 0n, reserved: 0n, keys: new Map() }
      this.#users.set(user, totals)
    }
    return totals
  }

  #key({ user, tokenId, epoch }: Spender): KeyTotals {
    const { keys } = this.#of(user)
    const name = `${tokenId} ${epoch}`
    let key = keys.get(name)
    if (!key) {
      key = { spent: 0n, reserved: 0n }
      keys.set(name, key)
    }
    return key
  }
}
