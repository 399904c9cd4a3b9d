import type { Counter, Registry } from 'prom-client'
import { counter, gauge } from '../../runtime/metrics.ts'
import { progress } from './log.ts'
import type { KvDatabase } from './schema.ts'

export interface KvMetrics {
  decided: Counter<'result'>
  downloads: Counter<'outcome'>
}

export function createKvMetrics(registry: Registry, db: KvDatabase): KvMetrics {
  gauge(registry, {
    name: 'kv_applied_seq',
    help: 'Every submission below this number is decided',
    async collect() {
      this.set((await progress(db)).appliedSeq)
    },
  })
  gauge(registry, {
    name: 'kv_known_seq',
    help: 'Every submission below this number has been read from the chain',
    async collect() {
      this.set((await progress(db)).nextSeq)
    },
  })
  return {
    decided: counter(registry, { name: 'kv_submissions_total', help: 'Submissions decided, by result', labelNames: ['result'] }),
    downloads: counter(registry, { name: 'kv_downloads_total', help: 'Attempts to fetch the data of a submission, by outcome', labelNames: ['outcome'] }),
  }
}
