import { setTimeout as sleep } from 'node:timers/promises'
import { concat, keccak256, ZeroHash } from 'ethers'
import type { Kysely, Transaction } from 'kysely'
import { unpackItem } from '../../../protocol/compute/batch.ts'
import { SESSION_TOKEN_ID } from '../../../protocol/compute/receipt.ts'
import { type IInferenceServing, IInferenceServing__factory } from '../../../typechain-types/index.ts'
import type { LogRange } from '../../runtime/follow.ts'
import type { Tables } from './tables.ts'

const events = IInferenceServing__factory.createInterface()
const DAY_SECONDS = 86_400

/** A user's account at this provider, as the chain has it. Amounts in wei. */
export interface Account {
  exists: boolean
  acknowledged: boolean
  balance: bigint
  pendingRefund: bigint
  generation: number
  revokedBitmap: bigint
  /** Undefined without a ceiling. */
  ceiling: { weiPerDay: bigint; spentToday: bigint; day: number } | undefined
}

/** What a user lets one of her keys do. */
export interface KeyLimit {
  cap: bigint | undefined
  /** Unix seconds; 0 = never. */
  expiresAt: number
  /** Unix seconds at which the limit was set; 0 if it never was. */
  since: number
  /** keccak256 of the names; undefined = any. */
  models: ReadonlySet<string> | undefined
}

interface Entry {
  /** performance.now() of the question. */
  at: number
  account: Promise<Account>
  keys: Map<number, Promise<KeyLimit>>
}

export interface AccountsOptions {
  serving: IInferenceServing
  provider: string
  db: Kysely<Tables>
  /** Resolves when every event up to the chain's newest block is applied. */
  caughtUp: () => Promise<void>
}

/** Accounts remembered; those not asked about for the longest time are asked for again. */
const REMEMBERED = 50_000
/** A ceiling that was lowered takes effect without another event. */
const MAX_AGE_MS = 300_000
/** A refusal waits until what it rests on was asked this long (ms) after the last time: nobody can make us ask more often. */
const REFRESH_MS = 250

/** Accounts and key limits, remembered until an event says that they changed. */
export class Accounts {
  readonly #options: AccountsOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: AccountsOptions) {
    this.#options = options
  }

  get(user: string): Promise<Account> {
    return this.#entry(user).account
  }

  limit(user: string, tokenId: number): Promise<KeyLimit> {
    if (tokenId === SESSION_TOKEN_ID) return Promise.resolve(NO_LIMIT)
    const { keys } = this.#entry(user)
    const known = keys.get(tokenId)
    if (known) return known
    const limit = this.#askLimit(user, tokenId)
    keys.set(tokenId, limit)
    limit.catch(() => keys.delete(tokenId))
    return limit
  }

  /** Asks again, for everyone who has to know whether a refusal still holds. */
  async refresh(user: string): Promise<void> {
    const entry = this.#entries.get(user)
    if (entry) {
      const left = entry.at + REFRESH_MS - performance.now()
      if (left > 0) await sleep(left)
      // Somebody else who waited may have asked, or an event come.
      if (this.#entries.get(user) === entry) this.#entries.delete(user)
    }
    await this.get(user)
  }

  /** Forgets whom the logs speak of, and keeps the models of keys, of which the chain has the hash only. */
  async apply(trx: Transaction<Tables>, { logs }: LogRange): Promise<void> {
    const { provider } = this.#options
    for (const log of logs) {
      const event = events.parseLog(log)
      if (!event || event.args.provider !== provider) continue
      if (event.name === 'BatchSettled') for (const item of event.args.items as string[]) this.#entries.delete(unpackItem(item).user)
      if (event.args.user === undefined) continue
      this.#entries.delete(event.args.user)
      if (event.name !== 'KeyLimitSet') continue
      const { user, tokenId, modelHashes } = event.args
      const row = { models: JSON.stringify([...modelHashes]) }
      await trx
        .insertInto('key_models')
        .values({ user, token_id: Number(tokenId), block_number: log.blockNumber, log_index: log.index, ...row })
        .onConflict((on) => on.columns(['user', 'token_id', 'block_number', 'log_index']).doUpdateSet(row))
        .execute()
    }
  }

  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    await trx.deleteFrom('key_models').where('block_number', '>', toBlock).execute()
    this.#entries.clear()
  }

  #entry(user: string): Entry {
    const known = this.#entries.get(user)
    if (known && performance.now() - known.at < MAX_AGE_MS) return known
    const account = this.#ask(user)
    const entry = { at: performance.now(), account, keys: new Map() }
    this.#entries.set(user, entry)
    account.catch(() => {
      if (this.#entries.get(user) === entry) this.#entries.delete(user)
    })
    if (this.#entries.size > REMEMBERED) this.#entries.delete(this.#entries.keys().next().value!)
    return entry
  }

  async #ask(user: string): Promise<Account> {
    const { serving, provider } = this.#options
    if (!(await serving.accountExists(user, provider))) return NO_ACCOUNT
    const [account, ceiling] = await Promise.all([serving.getAccount(user, provider), serving.ceiling(user, provider)])
    const { acknowledged, balance, pendingRefund, generation, revokedBitmap } = account
    return {
      exists: true,
      acknowledged,
      balance,
      pendingRefund,
      generation: Number(generation),
      revokedBitmap,
      ceiling: ceiling.weiPerDay === 0n ? undefined : { weiPerDay: ceiling.weiPerDay, spentToday: ceiling.spentToday, day: today() },
    }
  }

  async #askLimit(user: string, tokenId: number): Promise<KeyLimit> {
    const { serving, provider } = this.#options
    const { cap, expiresAt, since, modelsHash } = await serving.keyLimit(user, provider, tokenId)
    const models = modelsHash === ZeroHash ? undefined : await this.#models(user, tokenId, modelsHash)
    return { cap: cap === 0n ? undefined : cap, expiresAt: Number(expiresAt), since: Number(since), models }
  }

  /** @throws when the event that names the models was not found: then nothing can be allowed */
  async #models(user: string, tokenId: number, hash: string): Promise<ReadonlySet<string>> {
    const find = async () => {
      const rows = await this.#options.db
        .selectFrom('key_models')
        .select('models')
        .where('user', '=', user)
        .where('token_id', '=', tokenId)
        .orderBy('block_number', 'desc')
        .orderBy('log_index', 'desc')
        .execute()
      return rows.map(({ models }) => JSON.parse(models) as string[]).find((models) => keccak256(concat(models)) === hash)
    }
    let models = await find()
    if (!models) {
      await this.#options.caughtUp()
      models = await find()
    }
    if (!models) throw new Error(`the models of key ${tokenId} of ${user} are not known`)
    return new Set(models)
  }
}

const NO_ACCOUNT: Account = {
  exists: false,
  acknowledged: false,
  balance: 0n,
  pendingRefund: 0n,
  generation: 0,
  revokedBitmap: 0n,
  ceiling: undefined,
}

const NO_LIMIT: KeyLimit = { cap: undefined, expiresAt: 0, since: 0, models: undefined }

const today = (): number => Math.floor(Date.now() / 1000 / DAY_SECONDS)

/** What may be charged from an account today, in wei: what waits to be refunded is no promise to a provider. */
export function freeFunds({ balance, pendingRefund, ceiling }: Account): bigint {
  const free = balance - pendingRefund
  if (!ceiling) return free
  const left = ceiling.weiPerDay - (ceiling.day === today() ? ceiling.spentToday : 0n)
  return left < free ? left : free
}

/** Since when the spend of a key counts: from when its limit was set, or from when all keys were revoked. */
export const keyEpoch = ({ generation }: Account, { since }: KeyLimit): string => `${generation}:${since}`
