import type { IInferenceServing } from '../../../../typechain-types/index.ts'
import { isRevert } from '../../../runtime/revert.ts'

/** What an account holds for this provider, as the chain has it. Amounts in wei, times in unix seconds. */
export interface Funds {
  exists: boolean
  balance: bigint
  /** What was asked back, and when it is out of reach. */
  refunds: { amount: bigint; unlocksAt: number }[]
  /** What the user's ceiling leaves today; undefined without one. */
  underCeiling: bigint | undefined
}

const NONE: Funds = { exists: false, balance: 0n, refunds: [], underCeiling: undefined }

export async function readFunds(serving: IInferenceServing, user: string, provider: string, lockTime: number): Promise<Funds> {
  try {
    const [account, ceiling] = await Promise.all([serving.getAccount(user, provider), serving.ceiling(user, provider)])
    return {
      exists: true,
      balance: account.balance,
      refunds: account.refunds.map(({ amount, createdAt }) => ({ amount, unlocksAt: Number(createdAt) + lockTime })),
      underCeiling: ceiling.weiPerDay === 0n ? undefined : positive(ceiling.weiPerDay - ceiling.spentToday),
    }
  } catch (error) {
    if (isRevert(error)) return NONE // AccountNotExists
    throw error
  }
}

/** What can be charged at `now`: everything but refunds that have unlocked, under the ceiling. */
export function chargeable({ balance, refunds, underCeiling }: Funds, now: number): bigint {
  const gone = refunds.filter(({ unlocksAt }) => unlocksAt <= now).reduce((sum, { amount }) => sum + amount, 0n)
  const within = balance - gone
  return underCeiling === undefined || within < underCeiling ? within : underCeiling
}

/** When the next refund is out of reach, if there is one. */
export function nextUnlock({ refunds }: Funds, now: number): number | undefined {
  const coming = refunds.map(({ unlocksAt }) => unlocksAt).filter((time) => time > now)
  return coming.length > 0 ? Math.min(...coming) : undefined
}

const positive = (wei: bigint): bigint => (wei < 0n ? 0n : wei)
