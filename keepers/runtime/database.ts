import { runMigrations } from 'bullmq'
import { Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import pRetry from 'p-retry'
import pg from 'pg'
import { maskUrl } from './config.ts'
import type { Log } from './log.ts'
import type { TypeParser } from './pg-statement.ts'
import { EmbeddedPostgres } from './pglite-pool.ts'
import { runtimeMigrations } from './tables.ts'

export type Migrations = Record<string, Migration>

/** A keeper's tables, in a PostgreSQL schema of its own. `database.transaction().execute(async (trx) => …)` is all or nothing. */
export type Database<T = any> = Kysely<T>

/** The PostgreSQL behind one or several keepers: a server, or one embedded in this process. */
export interface Postgres {
  readonly kind: 'postgres' | 'pglite'
  /** A pool whose unqualified names are in `schema`; ended by its user. */
  pool(schema: string, use: 'tables' | 'queue'): PostgresPool
  close(): Promise<void>
}

const QUEUE_SCHEMA = 'bullmq'

/** int8 columns read as numbers: positions, sizes and block numbers are far below 2^53. Amounts belong in numeric, which reads as text. */
function exactNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 value ${text} is beyond 2^53: keep it in a numeric column`)
  return value
}

/** The types of our tables; the queue reads its own as node-postgres does, int8 as text. */
const tableTypes: TypeParser = (oid) => (oid === pg.types.builtins.INT8 ? exactNumber : pg.types.getTypeParser(oid))

export interface PostgresOptions {
  /** A server to use; without it one is embedded, in `dataDir`, or in memory when there is none either. */
  databaseUrl?: string | undefined
  dataDir?: string | undefined
  log: Log
}

/** @throws when the server does not answer, or the folder is locked, full or damaged */
export async function openPostgres({ databaseUrl, dataDir, log }: PostgresOptions): Promise<Postgres> {
  const postgres = databaseUrl === undefined ? await openEmbedded(dataDir) : openServer(databaseUrl, log)
  const pool = postgres.pool(QUEUE_SCHEMA, 'queue')
  const prepare = async () => {
    const client = await pool.connect()
    try {
      await runMigrations(client as unknown as Parameters<typeof runMigrations>[0], QUEUE_SCHEMA)
    } finally {
      client.release()
    }
  }
  try {
    await pRetry(prepare, { retries: 4, minTimeout: 250, shouldRetry: ({ error }) => isStartingUp(error) })
  } catch (error) {
    await postgres.close()
    if (databaseUrl === undefined) throw error
    throw new Error(`PostgreSQL at ${maskUrl(databaseUrl)} can't be used: ${reason(error)}`, { cause: error })
  } finally {
    await pool.end()
  }
  return postgres
}

async function openEmbedded(dataDir: string | undefined): Promise<Postgres> {
  const server = await EmbeddedPostgres.open(dataDir)
  return {
    kind: 'pglite',
    pool: (schema, use) => server.pool(schema, use === 'queue' ? pg.types.getTypeParser : tableTypes) as unknown as PostgresPool,
    close: () => server.close(),
  }
}

function openServer(databaseUrl: string, log: Log): Postgres {
  return {
    kind: 'postgres',
    pool(schema, use) {
      const pool = new pg.Pool({
        connectionString: databaseUrl,
        options: `-c search_path="${schema}"`,
        application_name: `perigee ${schema}`,
        connectionTimeoutMillis: 10_000,
        keepAlive: true,
        max: use === 'queue' ? 4 : 10,
        ...(use === 'tables' ? { types: { getTypeParser: tableTypes as typeof pg.types.getTypeParser } } : {}),
      })
      // A dropped idle connection is replaced at the next query, which reports it if that fails too.
      pool.on('error', (error) => log.warn({ err: error, schema }, 'a database connection was lost'))
      return pool as unknown as PostgresPool
    },
    close: async () => {},
  }
}

/** Whether a server started together with us may answer in a moment. */
function isStartingUp(error: Error & { code?: string }): boolean {
  return error.code === '57P03' || error.code === 'ECONNREFUSED'
}

/** Connecting to a name with several addresses fails with an AggregateError whose own message is empty. */
const reason = (error: unknown): string =>
  error instanceof AggregateError ? error.errors.map((each: Error) => each.message).join('; ') : (error as Error).message

/** "storage/node" keeps its tables in schema storage_node. */
export const schemaName = (keeper: string): string => keeper.replaceAll(/[^a-z0-9]+/g, '_')

/**
 * Opens a schema and brings its tables up to date, those of the runtime (cursors, transactions) and the keeper's own.
 * @param schema lower-case name; made when missing
 */
export async function openDatabase<T = any>(postgres: Postgres, schema: string, migrations: Migrations): Promise<Database<T>> {
  const database = new Kysely<T>({ dialect: new PostgresDialect({ pool: postgres.pool(schema, 'tables') }) })
  try {
    await createSchema(database, schema)
    await migrate(database, schema, 'runtime', runtimeMigrations)
    await migrate(database, schema, 'keeper', migrations)
  } catch (error) {
    await database.destroy()
    throw new Error(`the tables of ${schema} could not be brought up to date: ${reason(error)}`, { cause: error })
  }
  return database
}

async function createSchema(database: Database, schema: string): Promise<void> {
  try {
    await sql`create schema if not exists ${sql.id(schema)}`.execute(database)
  } catch (error) {
    // Two processes that start together may both find it missing; the second then trips over the first one's.
    if ((error as { code?: string }).code !== '23505') throw error
  }
}

async function migrate(database: Database, schema: string, owner: 'runtime' | 'keeper', migrations: Migrations): Promise<void> {
  const migrator = new Migrator({
    db: database,
    provider: { getMigrations: async () => migrations },
    // Named, or the tables of another keeper on the same server are taken for ours.
    migrationTableSchema: schema,
    migrationTableName: `${owner}_migration`,
    migrationLockTableName: `${owner}_migration_lock`,
  })
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}
