import type { Registry } from 'prom-client'
import { counter, gauge, histogram, SECONDS } from '../../runtime/metrics.ts'
import type { Gathered } from './gather.ts'

export type DisperserMetrics = ReturnType<typeof disperserMetrics>

/** What an operator watches. */
export function disperserMetrics(metrics: Registry) {
  const accepted = counter(metrics, { name: 'disperser_accepted_bytes_total', help: 'Bytes of accepted blobs' })
  const refused = counter(metrics, { name: 'disperser_turned_away_total', help: 'Blobs that were not accepted, by the gRPC code', labelNames: ['code'] })
  const ended = counter(metrics, { name: 'disperser_blobs_total', help: 'Blobs by what became of them', labelNames: ['outcome'] })
  const stages = histogram(metrics, {
    name: 'disperser_stage_seconds',
    help: 'Time of each stage; total: from acceptance to the certificate',
    labelNames: ['stage'],
    buckets: SECONDS,
  })
  const failures = counter(metrics, {
    name: 'disperser_signer_failures_total',
    help: 'What signers did not do, by signer, call, and whether they refused, could not be reached, or took longer than the others were waited for',
    labelNames: ['signer', 'call', 'kind'],
  })
  const signed = histogram(metrics, {
    name: 'disperser_signed_weight_ratio',
    help: 'Part of the weight that signed a batch',
    buckets: [0.67, 0.75, 0.8, 0.9, 0.95, 0.99, 1],
  })
  const blobs = histogram(metrics, { name: 'disperser_batch_blobs', help: 'Blobs of a batch', buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256] })
  const gas = histogram(metrics, {
    name: 'disperser_batch_gas',
    help: 'Gas of the transaction that certified a batch, by scheme',
    labelNames: ['scheme'],
    buckets: [75_000, 100_000, 150_000, 200_000, 300_000, 500_000, 1_000_000],
  })
  const redeemed = counter(metrics, { name: 'disperser_promises_total', help: 'Promises of payment by what became of them', labelNames: ['outcome'] })
  return {
    accepted: (bytes: number) => accepted.inc(bytes),
    turnedAway: (code: string) => refused.inc({ code }),
    ended: (outcome: 'certified' | 'refused' | 'unsigned', blobs = 1) => ended.inc({ outcome }, blobs),
    /** Starts the clock of a stage; the result stops it. */
    stage: (stage: 'encode' | 'store' | 'sign' | 'certify') => stages.startTimer({ stage }),
    total: (seconds: number) => stages.observe({ stage: 'total' }, seconds),
    failures(call: 'store' | 'sign', { failures: all }: Pick<Gathered<unknown>, 'failures'>) {
      for (const { account, kind } of all.values()) failures.inc({ signer: account, call, kind })
    },
    batch(blobCount: number, signedRatio: number, scheme: string, gasUsed: bigint) {
      blobs.observe(blobCount)
      signed.observe(signedRatio)
      gas.observe({ scheme }, Number(gasUsed))
    },
    redeemed: (outcome: string) => redeemed.inc({ outcome }),
  }
}

/** Shows what is under way at each scrape. */
export function observeQueues(metrics: Registry, read: () => Record<string, number>): void {
  gauge(metrics, {
    name: 'disperser_queue',
    help: 'Blobs waiting to be encoded, blobs waiting for a batch, batches under way, bytes pending and encoded bytes in memory',
    labelNames: ['queue'],
    collect() {
      for (const [queue, depth] of Object.entries(read())) this.set({ queue }, depth)
    },
  })
}
