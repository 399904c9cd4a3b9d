import type { Kysely, Transaction } from 'kysely'
import { IFlow__factory } from '../../../typechain-types/index.ts'
import type { LogRange } from '../../runtime/follow.ts'

const flowInterface = IFlow__factory.createInterface()
export const SUBMIT_TOPIC = flowInterface.getEvent('Submit').topicHash

/** A submission that is to be kept alive. */
export interface Lease {
  seq: number
  startEntry: number
  sectors: number
}

interface LeaseTable {
  seq: number
  start_entry: number
  sectors: number
  block_number: number
  /** Unix seconds, as the market said when last asked: somebody else may have renewed since. Null when not asked yet. */
  until: number | null
}

export interface Tables {
  leases: LeaseTable
}

export const migrations = {
  '001_leases': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('leases')
        .addColumn('seq', 'bigint', (column) => column.primaryKey())
        .addColumn('start_entry', 'bigint', (column) => column.notNull())
        .addColumn('sectors', 'bigint', (column) => column.notNull())
        .addColumn('block_number', 'bigint', (column) => column.notNull())
        .addColumn('until', 'bigint')
        .execute()
      await db.schema.createIndex('leases_until').on('leases').column('until').execute()
    },
  },
}

/** The submissions of some uploaders and until when they are known to be paid for. */
export class Leases {
  readonly #db: Kysely<Tables>
  readonly #uploaders: ReadonlySet<string>

  constructor(db: Kysely<Tables>, uploaders: readonly string[]) {
    this.#db = db
    this.#uploaders = new Set(uploaders)
  }

  async apply(trx: Transaction<Tables>, { logs }: LogRange): Promise<void> {
    for (const log of logs) {
      const event = flowInterface.parseLog(log)
      if (event?.name !== 'Submit') continue
      const [sender, , seq, startEntry, sectors] = event.args
      if (!this.#uploaders.has(sender)) continue
      const row = { start_entry: Number(startEntry), sectors: Number(sectors), block_number: log.blockNumber, until: null }
      await trx
        .insertInto('leases')
        .values({ seq: Number(seq), ...row })
        .onConflict((on) => on.column('seq').doUpdateSet(row))
        .execute()
    }
  }

  /** Forgets submissions after `toBlock`, and everything about ends: a renewal may have been undone. */
  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    await trx.deleteFrom('leases').where('block_number', '>', toBlock).execute()
    await trx.updateTable('leases').set({ until: null }).execute()
  }

  /** Up to `limit` submissions behind `seq` whose lease is not known to reach `time` (unix seconds), in order. */
  async endingBefore(time: number, seq: number, limit: number): Promise<Lease[]> {
    const rows = await this.#db
      .selectFrom('leases')
      .select(['seq', 'start_entry as startEntry', 'sectors'])
      .where((on) => on.or([on('until', 'is', null), on('until', '<', time)]))
      .where('seq', '>', seq)
      .orderBy('seq')
      .limit(limit)
      .execute()
    return rows
  }

  async setUntil(seq: number, until: number): Promise<void> {
    await this.#db.updateTable('leases').set({ until }).where('seq', '=', seq).execute()
  }

  async count(): Promise<number> {
    const { count } = await this.#db
      .selectFrom('leases')
      .select((on) => on.fn.countAll<string>().as('count'))
      .executeTakeFirstOrThrow()
    return Number(count)
  }
}
