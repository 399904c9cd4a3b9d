import type { Kysely } from 'kysely'
import { migrations, type Tables } from '../../../keepers/da/disperser/schema.ts'
import { createRuntime, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'

/** The disperser's tables in a database of their own, in memory. */
export async function openTables(): Promise<{ db: Kysely<Tables>; close(): Promise<void> }> {
  const log = createLog({ name: 'test', level: 'silent' })
  const backend = await openBackend({ log })
  const runtime = createRuntime({ name: 'da/disperser', backend, log })
  const db = await runtime.database<Tables>(migrations)
  return {
    db,
    async close() {
      await runtime.close()
      await backend.close()
    },
  }
}
