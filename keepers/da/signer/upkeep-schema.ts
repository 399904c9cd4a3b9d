import type { Kysely } from 'kysely'
import type { Migrations } from '../../runtime/database.ts'

/** How far the files were read: one record. */
export interface ScrubTable {
  /** The id of the holding that was read last; 0 between two rounds. */
  position: number
}

/** A signer that left, of its own will or not. */
export interface DepartureTable {
  /** Of its registration. */
  signer: number
  transaction: string
  block: number
}

export interface UpkeepTables {
  scrub: ScrubTable
  departures: DepartureTable
}

export const upkeepMigrations: Migrations = {
  '002_upkeep': {
    async up(db: Kysely<any>): Promise<void> {
      for (const column of ['seed', 'bls', 'ecdsa'])
        await db.schema
          .alterTable('batches')
          .alterColumn(column, (alter) => alter.dropNotNull())
          .execute()
      await db.schema
        .createTable('scrub')
        .addColumn('position', 'int8', (column) => column.notNull())
        .execute()
      await db.insertInto('scrub').values({ position: 0 }).execute()
      await db.schema
        .createTable('departures')
        .addColumn('signer', 'int4', (column) => column.notNull())
        .addColumn('transaction', 'text', (column) => column.notNull())
        .addColumn('block', 'int8', (column) => column.notNull())
        .addPrimaryKeyConstraint('departures_pk', ['signer', 'block'])
        .execute()
    },
  },
}
