import { formatEther } from 'ethers'
import type { Registry } from 'prom-client'
import { gauge } from '../../runtime/metrics.ts'
import type { Slots } from './slots.ts'
import type { Spend } from './spend.ts'
import type { Standing } from './standing.ts'

/** What an operator watches: how busy it is, what it is owed, and until when its signer counts. */
export function observe(metrics: Registry, { slots, spend, standing }: { slots: Slots; spend: Spend; standing: Standing }): void {
  gauge(metrics, {
    name: 'requests_at_work',
    help: 'Requests that the backend works on',
    collect() {
      this.set(slots.busy)
    },
  })
  gauge(metrics, {
    name: 'requests_queued',
    help: 'Requests that wait for their turn',
    collect() {
      this.set(slots.waiting)
    },
  })
  gauge(metrics, {
    name: 'unsettled_ether',
    help: 'Fees of answers that the chain has not charged yet',
    collect() {
      this.set(Number(formatEther(spend.total())))
    },
  })
  gauge(metrics, {
    name: 'signer_attested_until_seconds',
    help: 'When the attestation of the signer ends (unix time); 0 without one',
    collect() {
      this.set(standing.attestedUntil)
    },
  })
}
