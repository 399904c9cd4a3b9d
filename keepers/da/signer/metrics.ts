import type { Kysely } from 'kysely'
import type { Registry } from 'prom-client'
import { counter, gauge } from '../../runtime/metrics.ts'
import type { Challenges } from './challenges.ts'
import type { IntakeOptions } from './intake.ts'
import type { Registration } from './registration.ts'
import type { Tables } from './schema.ts'

/** What an operator watches: what comes in and how it ends, what is held, and what is asked of it. */
export function observe(
  metrics: Registry,
  { db, challenges, registration }: { db: Kysely<Tables>; challenges: Challenges; registration: Registration },
): Pick<IntakeOptions, 'count'> {
  const blobs = counter(metrics, { name: 'da_signer_blobs_total', help: 'Blobs that came to be stored, by outcome', labelNames: ['outcome'] })
  const bytes = counter(metrics, { name: 'da_signer_row_bytes_total', help: 'Bytes of their rows', labelNames: ['outcome'] })
  gauge(metrics, {
    name: 'da_signer_blobs',
    help: 'Blobs held, by whether they have a certificate',
    labelNames: ['certified'],
    async collect() {
      const { all, listed } = await db
        .selectFrom('holdings')
        .select(({ fn }) => [fn.countAll<number>().as('all'), fn.count<number>('listed').as('listed')])
        .executeTakeFirstOrThrow()
      this.set({ certified: 'yes' }, Number(listed))
      this.set({ certified: 'no' }, Number(all) - Number(listed))
    },
  })
  gauge(metrics, {
    name: 'da_signer_damaged_blobs',
    help: 'Blobs of whose rows some are damaged or gone',
    async collect() {
      const { count } = await db
        .selectFrom('holdings')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('damaged', '=', true)
        .executeTakeFirstOrThrow()
      this.set(Number(count))
    },
  })
  gauge(metrics, {
    name: 'da_signer_open_challenges',
    help: 'Challenges against this signer that wait for its answer',
    async collect() {
      this.set((await challenges.open()).length)
    },
  })
  gauge(metrics, {
    name: 'da_signer_active',
    help: 'Whether it takes part in epochs that begin from now on',
    collect() {
      this.set(registration.active ? 1 : 0)
    },
  })
  return {
    count(outcome, size) {
      blobs.inc({ outcome })
      bytes.inc({ outcome }, size)
    },
  }
}
