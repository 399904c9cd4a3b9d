import type { Kysely } from 'kysely'
import type { Registry } from 'prom-client'
import { gauge } from '../../runtime/metrics.ts'
import type { Tables } from './schema.ts'
import type { Submissions } from './submissions.ts'

/** What an operator watches: how much there is, and whether any of it is missing here. */
export function observe(metrics: Registry, { db, submissions }: { db: Kysely<Tables>; submissions: Submissions }): void {
  gauge(metrics, {
    name: 'storage_node_submissions',
    help: 'Submissions in the log',
    async collect() {
      this.set(await submissions.count())
    },
  })
  gauge(metrics, {
    name: 'storage_node_unfinished_submissions',
    help: 'Submissions of which a segment is missing here, pruned ones included',
    async collect() {
      const { count } = await db
        .selectFrom('submissions')
        .select((on) => on.fn.countAll<number>().as('count'))
        .where('finalized_at', 'is', null)
        .executeTakeFirstOrThrow()
      this.set(Number(count))
    },
  })
}
