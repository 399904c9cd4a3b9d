import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'
import { unpackItem } from '../../../../protocol/compute/batch.ts'
import type { Answer, BatchTable, Tables } from '../tables.ts'
import type { Owed } from './due.ts'
import { allocate } from './selection.ts'

export type Batch = Selectable<BatchTable>

/** As in contracts/compute/IInferenceSettlement.sol. */
export const OUTCOMES = ['paid', 'partial', 'no_account', 'price_not_in_force', 'ceiling_reached'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** A BatchSettled event of this provider. */
export interface Settled {
  nonce: number
  root: string
  items: string[]
  charged: bigint[]
  /** One byte each, 0x hex. */
  outcomes: string
  blockNumber: number
  txHash: string
}

/** What settling means for one user. */
export interface Effect {
  user: string
  /** wei; what her answers cost and was not charged. */
  lost: bigint
  outcome: Outcome
}

/** The batches on record, and the answers in them. An answer is in one batch only, ever: in two it would be charged twice, which is a fault. */
export class Batches {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  /** What users owe for answers that are in no batch. */
  async owed(): Promise<(Owed & { priceVersion: number })[]> {
    const rows = await this.#db
      .selectFrom('answers')
      .select(['user', (on) => on.fn.sum<string>('fee').as('fees'), (on) => on.fn.min('created_at').as('oldest')])
      .select((on) => on.fn.min('price_version').as('price_version'))
      .where('state', '=', 'metered')
      .groupBy('user')
      .execute()
    return rows.map(({ user, fees, oldest, price_version }) => ({
      user,
      fees: BigInt(fees),
      oldest: Number(oldest),
      until: undefined,
      priceVersion: Number(price_version),
    }))
  }

  /** Answers of these users that are in no batch, in the order of (user, sequence). */
  async metered(users: readonly string[], limit: number): Promise<Answer[]> {
    return this.#db
      .selectFrom('answers')
      .selectAll()
      .where('state', '=', 'metered')
      .where('user', 'in', users)
      .orderBy('user')
      .orderBy('sequence')
      .limit(limit)
      .execute()
  }

  /** Batches that were signed and not seen on chain, the first one first. */
  async pending(): Promise<Batch[]> {
    return this.#db.selectFrom('batches').selectAll().where('state', '=', 'signed').orderBy('nonce').execute()
  }

  async lastNonce(): Promise<number> {
    const { last } = await this.#db
      .selectFrom('batches')
      .select((on) => on.fn.max('nonce').as('last'))
      .executeTakeFirstOrThrow()
    return Number(last ?? 0)
  }

  /** Writes a batch down with its answers, before anybody sees it. @throws when an answer is in another one */
  async record(batch: Omit<Batch, 'state' | 'tx_hash' | 'block_number' | 'charged' | 'outcomes'>, ids: readonly string[]): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      await trx.insertInto('batches').values(batch).execute()
      const { numUpdatedRows } = await trx
        .updateTable('answers')
        .set({ state: 'batched', batch: batch.nonce })
        // One parameter, whatever the number of answers.
        .where(sql<boolean>`id in (select json_array_elements_text(${JSON.stringify(ids)}::json))`)
        .where('state', '=', 'metered')
        .executeTakeFirstOrThrow()
      if (Number(numUpdatedRows) !== ids.length) throw new Error(`${ids.length - Number(numUpdatedRows)} of ${ids.length} answers are no longer to be settled`)
    })
  }

  /** The same batch with the signature of a newer key. */
  async resign(nonce: number, signer: string, signature: string): Promise<void> {
    await this.#db.updateTable('batches').set({ signer, signature }).where('nonce', '=', nonce).execute()
  }

  async sent(nonce: number, txHash: string): Promise<void> {
    await this.#db.updateTable('batches').set({ tx_hash: txHash }).where('nonce', '=', nonce).where('state', '=', 'signed').execute()
  }

  /** Takes a batch apart that the chain can never settle any more. Its nonce is not used again. */
  async dissolve(nonce: number): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      await trx.updateTable('answers').set({ state: 'metered', batch: null }).where('batch', '=', nonce).execute()
      await trx.deleteFrom('batches').where('nonce', '=', nonce).where('state', '=', 'signed').execute()
    })
  }

  /** Gives up answers that were made under a price version before `version`: nothing can be charged for them. */
  async writeOffBefore(version: number): Promise<Effect[]> {
    const rows = await this.#db
      .updateTable('answers')
      .set({ state: 'written_off' })
      .where('state', '=', 'metered')
      .where('price_version', '<', version)
      .returning(['user', 'fee'])
      .execute()
    return rows.map(({ user, fee }) => ({ user, lost: BigInt(fee), outcome: 'price_not_in_force' }))
  }

  /**
   * Notes what the chain charged: each answer is settled, or written off where the charge did not reach it.
   * @returns undefined for a batch that is not on record
   */
  async settle(trx: Transaction<Tables>, event: Settled): Promise<Effect[] | undefined> {
    const batch = await trx.selectFrom('batches').selectAll().where('nonce', '=', event.nonce).executeTakeFirst()
    if (!batch || batch.root !== event.root) return undefined
    if (batch.state === 'settled') return []
    await trx
      .updateTable('batches')
      .set({
        state: 'settled',
        block_number: event.blockNumber,
        tx_hash: event.txHash,
        charged: JSON.stringify(event.charged.map(String)),
        outcomes: event.outcomes,
      })
      .where('nonce', '=', event.nonce)
      .execute()
    const users = await this.#usersOf(trx, event.nonce)
    await trx.updateTable('answers').set({ state: 'settled' }).where('batch', '=', event.nonce).execute()
    const lost = new Map<string, { wei: bigint; outcome: Outcome }>()
    for (const { user, priceVersion, charged, outcome } of itemsOf(event)) {
      if (outcome === 'paid') continue
      const rows = await trx
        .selectFrom('answers')
        .select(['id', 'fee'])
        .where('batch', '=', event.nonce)
        .where('user', '=', user)
        .where('price_version', '=', priceVersion)
        .orderBy('sequence')
        .execute()
      const { inPart, unpaid } = allocate(rows, charged)
      const ids = [...(inPart ? [inPart] : []), ...unpaid].map(({ id }) => id)
      if (ids.length > 0) await trx.updateTable('answers').set({ state: 'written_off' }).where('id', 'in', ids).execute()
      const wei = rows.reduce((sum, { fee }) => sum + BigInt(fee), 0n) - charged
      lost.set(user, { wei: (lost.get(user)?.wei ?? 0n) + wei, outcome })
    }
    return users.map((user) => ({ user, lost: lost.get(user)?.wei ?? 0n, outcome: lost.get(user)?.outcome ?? 'paid' }))
  }

  /** What was settled after `toBlock` is signed and pending again. Returns whom it concerns. */
  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<string[]> {
    const undone = await trx.selectFrom('batches').select('nonce').where('block_number', '>', toBlock).execute()
    const users = new Set<string>()
    for (const { nonce } of undone) {
      for (const user of await this.#usersOf(trx, nonce)) users.add(user)
      await trx.updateTable('answers').set({ state: 'batched' }).where('batch', '=', nonce).execute()
      await trx.updateTable('batches').set({ state: 'signed', block_number: null, charged: null, outcomes: null }).where('nonce', '=', nonce).execute()
    }
    return [...users]
  }

  /** Everything in a batch, in the order of (user, sequence). */
  async answersOf(nonce: number): Promise<Answer[]> {
    return this.#db.selectFrom('answers').selectAll().where('batch', '=', nonce).orderBy('user').orderBy('sequence').execute()
  }

  async #usersOf(trx: Transaction<Tables>, nonce: number): Promise<string[]> {
    const rows = await trx.selectFrom('answers').select('user').distinct().where('batch', '=', nonce).execute()
    return rows.map(({ user }) => user)
  }
}

interface ChargedItem {
  user: string
  priceVersion: number
  charged: bigint
  outcome: Outcome
}

/** What was charged by user and price version. One user may have several items of a version: one holds 2^40 units. */
function itemsOf({ items, charged, outcomes }: Settled): ChargedItem[] {
  const merged = new Map<string, ChargedItem>()
  for (const [i, item] of items.entries()) {
    const { user, priceVersion } = unpackItem(item)
    const outcome = OUTCOMES[Number.parseInt(outcomes.slice(2 + 2 * i, 4 + 2 * i), 16)]!
    const known = merged.get(`${user} ${priceVersion}`)
    if (!known) merged.set(`${user} ${priceVersion}`, { user, priceVersion, charged: charged[i]!, outcome })
    else Object.assign(known, { charged: known.charged + charged[i]!, outcome: outcome === 'paid' ? known.outcome : outcome })
  }
  return [...merged.values()]
}
