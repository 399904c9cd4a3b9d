import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { openPostgres } from '../../keepers/runtime/database.ts'
import pglite from '../../node_modules/@electric-sql/pglite/package.json' with { type: 'json' }

const CACHE = new URL('../../cache/', import.meta.url).pathname

export interface DataDir {
  path: string
  remove(): void
}

/** A new folder for `dataDir` whose embedded PostgreSQL is made already: making one takes five seconds of CPU, copying one a moment. */
export async function newDataDir(): Promise<DataDir> {
  const path = mkdtempSync(join(tmpdir(), 'perigee-data-'))
  cpSync(await template(), path, { recursive: true })
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

async function template(): Promise<string> {
  const made = join(CACHE, `postgres-${pglite.version}`)
  if (existsSync(made)) return made
  mkdirSync(CACHE, { recursive: true })
  const making = mkdtempSync(`${made}-`)
  await (await openPostgres({ dataDir: making, log: pino({ enabled: false }) })).close()
  try {
    renameSync(making, made)
  } catch (error) {
    if (!existsSync(made)) throw error
    rmSync(making, { recursive: true }) // another process was faster
  }
  return made
}
