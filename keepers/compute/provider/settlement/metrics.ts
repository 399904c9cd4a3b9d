import { formatEther } from 'ethers'
import type { Registry } from 'prom-client'
import { counter, gauge } from '../../../runtime/metrics.ts'
import type { Outcome } from './batches.ts'
import type { Owed } from './due.ts'

export type SettlementMetrics = ReturnType<typeof settlementMetrics>

/** What an operator watches of settlement. */
export function settlementMetrics(metrics: Registry) {
  const batches = counter(metrics, { name: 'settlement_batches_total', help: 'Batches by what became of them', labelNames: ['outcome'] })
  const users = counter(metrics, { name: 'settlement_charges_total', help: 'Charges of a user in a batch, by outcome', labelNames: ['outcome'] })
  const lost = counter(metrics, { name: 'settlement_bad_debt_ether_total', help: 'Fees that could not be charged' })
  const age = gauge(metrics, { name: 'settlement_oldest_answer_seconds', help: 'Age of the oldest answer that is in no batch; 0 without one' })
  const debtors = gauge(metrics, { name: 'settlement_debtors', help: 'Users who owe for answers that are in no batch' })
  return {
    batch: (outcome: 'settled' | 'refused') => batches.inc({ outcome }),
    settled(outcome: Outcome, wei: bigint) {
      users.inc({ outcome })
      lost.inc(Number(formatEther(wei)))
    },
    owed(owed: readonly Owed[], now: number) {
      debtors.set(owed.length)
      age.set(owed.length === 0 ? 0 : Math.max(now - Math.min(...owed.map(({ oldest }) => oldest)), 0))
    },
  }
}
