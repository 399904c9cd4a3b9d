import type { SettlementConfig } from './config.ts'

/** What one user owes. */
export interface Owed {
  user: string
  /** wei */
  fees: bigint
  /** Unix seconds of the oldest answer. */
  oldest: number
  /** Unix seconds after which some of it may no longer be charged: a refund unlocks, or an old price lapses. */
  until: number | undefined
}

export type DuePolicy = Pick<SettlementConfig, 'settleValue' | 'settleAfterSeconds' | 'settleLatestSeconds' | 'settleGasPercent' | 'settleMarginSeconds'>

export interface Due {
  /** Whom to charge, the most urgent first. */
  users: string[]
  /** Of these, whose money is about to go: what there is has to be taken now. */
  urgent: ReadonlySet<string>
  reason: 'leaving' | 'value' | 'age'
}

/** Gas of a batch of n items is about BASE_GAS + n · ITEM_GAS. */
const BASE_GAS = 72_000n
const ITEM_GAS = 9_000n

/** Whether a batch is worth making now, and of whom. Undefined: wait. */
export function dueNow(owed: readonly Owed[], now: number, gasPrice: bigint, policy: DuePolicy): Due | undefined {
  const { settleValue, settleAfterSeconds, settleLatestSeconds, settleGasPercent, settleMarginSeconds } = policy
  const isUrgent = ({ until }: Owed) => until !== undefined && until > now && until - settleMarginSeconds <= now
  const isLate = ({ oldest }: Owed) => now - oldest >= settleLatestSeconds
  /** Gas may take its share of the fees, and up to all of them from those who can't wait. */
  const isWorth = (fees: bigint, gas: bigint, cannotWait: boolean) => {
    const percent = cannotWait && settleGasPercent < 100 ? 100n : BigInt(settleGasPercent)
    return gas * gasPrice * 100n <= fees * percent
  }
  const worth = owed.filter((one) => one.fees > 0n && isWorth(one.fees, ITEM_GAS, isUrgent(one) || isLate(one)))
  const fees = worth.reduce((sum, one) => sum + one.fees, 0n)
  const urgent = worth.filter(isUrgent)
  const oldest = Math.min(...worth.map((one) => one.oldest))
  const reason = urgent.length > 0 ? 'leaving' : fees >= settleValue ? 'value' : now - oldest >= settleAfterSeconds ? 'age' : undefined
  if (reason === undefined || !isWorth(fees, BASE_GAS + ITEM_GAS * BigInt(worth.length), urgent.length > 0 || worth.some(isLate))) return undefined
  const order = (one: Owed) => (isUrgent(one) ? one.until! - Number.MAX_SAFE_INTEGER : one.oldest)
  const users = worth.sort((a, b) => order(a) - order(b)).map(({ user }) => user)
  return { users, urgent: new Set(urgent.map(({ user }) => user)), reason }
}
