import type { IInferenceServing } from '../../../../typechain-types/index.ts'
import type { Chain } from '../../../runtime/chain.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Answer } from '../tables.ts'
import type { Batches, Effect } from './batches.ts'
import type { SettlementConfig } from './config.ts'
import { type Due, dueNow, type Owed } from './due.ts'
import { chargeable, type Funds, nextUnlock, readFunds } from './funds.ts'
import type { SettlementMetrics } from './metrics.ts'
import { type Limit, payable } from './selection.ts'

/** Users charged at once: about two million gas. */
const MAX_USERS = 200
/** Answers in one batch: a tree of them takes some 100 ms to make. */
const MAX_ANSWERS = 1000
/** Seconds that a transaction may take: a refund that unlocks sooner is out of reach. */
const UNLOCK_GUARD = 60

export interface Plan {
  due: Due
  answers: Answer[]
}

export interface PlannerOptions {
  batches: Batches
  chain: Chain
  serving: IInferenceServing
  provider: string
  config: SettlementConfig
  metrics: SettlementMetrics
  /** Told of answers that can't be charged any more. */
  lost: (effects: readonly Effect[]) => void
  log: Log
}

/** Looks at what is owed and at what there is, and decides on the next batch. */
export class Planner {
  readonly #options: PlannerOptions
  /** Accounts of users who owe something, until an event says that they changed. */
  readonly #funds = new Map<string, Funds>()

  constructor(options: PlannerOptions) {
    this.#options = options
  }

  forget(user: string): void {
    this.#funds.delete(user)
  }

  forgetAll(): void {
    this.#funds.clear()
  }

  /** What to settle now; undefined when it is better to wait. */
  async next(): Promise<Plan | undefined> {
    const { serving, batches, chain, config, metrics, log } = this.#options
    const { timestamp } = await chain.head()
    const now = Math.max(timestamp, Math.floor(Date.now() / 1000))
    const lockTime = Number(await serving.lockTime())
    const owed = await batches.owed()
    metrics.owed(owed, now)
    if (owed.length === 0) return undefined
    const lapses = await this.#lapses(owed, now, lockTime)
    const limits = new Map<string, Limit>()
    const collectable: Owed[] = []
    for (const one of owed) {
      const funds = await this.#fundsOf(one.user, lockTime)
      const wei = chargeable(funds, now + UNLOCK_GUARD)
      if (wei <= 0n) {
        log.debug({ user: one.user, exists: funds.exists }, 'has nothing that could be charged: it is tried again')
        continue
      }
      const until = earliest(nextUnlock(funds, now), lapses.get(one.priceVersion))
      collectable.push({ ...one, fees: atMost(wei, one.fees), until })
      limits.set(one.user, { wei, takeAll: false })
    }
    const { gasPrice } = await chain.provider.getFeeData()
    const due = dueNow(collectable, now, gasPrice ?? 0n, config)
    if (!due) return undefined
    const users = due.users.slice(0, MAX_USERS)
    for (const user of users) if (due.urgent.has(user)) limits.get(user)!.takeAll = true
    const answers = payable(await batches.metered(users, MAX_ANSWERS), limits)
    return answers.length > 0 ? { due, answers } : undefined
  }

  /** When prices that answers were made under can no longer be charged, by version. What can't be charged any more is given up. */
  async #lapses(owed: readonly { priceVersion: number }[], now: number, lockTime: number): Promise<Map<number, number>> {
    const { serving, provider, batches, lost } = this.#options
    const { current } = await serving.priceVersion(provider)
    const lapses = new Map<number, number>()
    for (const version of new Set(owed.map(({ priceVersion }) => priceVersion))) {
      if (version >= Number(current)) continue
      const { effectiveAt: supersededAt } = await serving.priceOf(provider, version + 1)
      const until = Number(supersededAt) + lockTime
      lapses.set(version, until)
      if (until > now) continue
      lost(await batches.writeOffBefore(version + 1))
    }
    return lapses
  }

  async #fundsOf(user: string, lockTime: number): Promise<Funds> {
    const known = this.#funds.get(user)
    if (known) return known
    const funds = await readFunds(this.#options.serving, user, this.#options.provider, lockTime)
    // What a ceiling leaves changes with the day, without an event.
    if (funds.underCeiling === undefined) this.#funds.set(user, funds)
    return funds
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}

function atMost(limit: bigint, wei: bigint): bigint {
  if (wei > limit) return limit
  return wei
}
