import { EventEmitter } from 'node:events'
import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { DiskFull, lockFolder } from './files.ts'
import { lastResult, type PgResult, statementMessage, type TypeParser } from './pg-statement.ts'

/**
 * One PostgreSQL running inside this process. It has a single session; `pool(schema)` hands out pools whose clients look like
 * connections of their own with that schema as search path.
 */
export class EmbeddedPostgres {
  private readonly postgres: PGlite
  private readonly folder: string | undefined
  private readonly unlock: () => void
  private readonly pools = new Set<PGlitePool>()
  private tail: Promise<unknown> = Promise.resolve()
  private searchPath = ''
  private closing: Promise<void> | undefined

  private constructor(postgres: PGlite, folder: string | undefined, unlock: () => void) {
    this.postgres = postgres
    this.folder = folder
    this.unlock = unlock
    postgres.onNotification((channel, payload) => {
      for (const pool of this.pools) pool.notify(channel, payload)
    })
  }

  /** @param dataDir its folder, taken for this process alone; without one everything is in memory */
  static async open(dataDir?: string): Promise<EmbeddedPostgres> {
    if (dataDir === undefined) return new EmbeddedPostgres(await PGlite.create(), undefined, () => {})
    const unlock = lockFolder(dataDir)
    const folder = join(dataDir, 'postgres')
    try {
      return new EmbeddedPostgres(await PGlite.create({ dataDir: folder }), folder, unlock)
    } catch (error) {
      unlock()
      if (isDiskFull(error) || spaceLeft(dataDir) < SPACE_TO_OPEN) throw new DiskFull(folder, { cause: error })
      throw new Error(
        `the embedded database in ${folder} does not open (${(error as Error).message}): restore a copy, or remove the folder, ` +
          'after which the keeper reads the chain again from the start',
        { cause: error },
      )
    }
  }

  pool(schema: string, parserOf: TypeParser): PGlitePool {
    const pool = new PGlitePool(this, schema, parserOf, () => this.pools.delete(pool))
    this.pools.add(pool)
    return pool
  }

  /** Waits for the session and keeps it until the returned function is called. */
  async take(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const before = this.tail
    this.tail = before.then(() => promise)
    await before
    return resolve
  }

  /** Runs a statement; the caller has the session. */
  async run(schema: string, parserOf: TypeParser, text: string, params: readonly unknown[] = []): Promise<PgResult> {
    if (this.closing) throw new Error('the embedded database is closed')
    try {
      if (this.searchPath !== schema) {
        await this.postgres.execProtocolStream(statementMessage(`SET search_path TO "${schema}"`, []))
        this.searchPath = schema
      }
      return lastResult(await this.postgres.execProtocolStream(statementMessage(text, params)), parserOf)
    } catch (error) {
      if (isDiskFull(error)) throw new DiskFull(this.folder ?? 'memory', { cause: error })
      throw error
    }
  }

  close(): Promise<void> {
    this.closing ??= this.take().then(async (release) => {
      try {
        await this.postgres.close()
      } finally {
        release()
        this.unlock()
      }
    })
    return this.closing
  }
}

/** PostgreSQL writes a log segment of 16 MiB when it opens; short of that it only says that it could not start. */
const SPACE_TO_OPEN = 16 * 1024 * 1024

function spaceLeft(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

/** PostgreSQL says 53100; the file system under it speaks WASI, where ENOSPC is 51 and EDQUOT 19. */
function isDiskFull(error: unknown): boolean {
  const { code, errno, message } = error as { code?: unknown; errno?: unknown; message?: string }
  return code === '53100' || code === 'ENOSPC' || code === 'EDQUOT' || errno === 51 || errno === 19 || /no space left/i.test(message ?? '')
}

/** The part of `pg.Pool` that Kysely and BullMQ use. */
export class PGlitePool extends EventEmitter {
  /** Tells BullMQ that a LISTEN in the same process can't be lost, so that it need not poll. */
  readonly options = { keepAlive: true }
  readonly server: EmbeddedPostgres
  readonly schema: string
  readonly parserOf: TypeParser
  private readonly clients = new Set<PGliteClient>()
  private readonly onEnd: () => void

  constructor(server: EmbeddedPostgres, schema: string, parserOf: TypeParser, onEnd: () => void) {
    super()
    this.setMaxListeners(0)
    this.server = server
    this.schema = schema
    this.parserOf = parserOf
    this.onEnd = onEnd
  }

  async connect(): Promise<PGliteClient> {
    const client = new PGliteClient(this, () => this.clients.delete(client))
    this.clients.add(client)
    return client
  }

  async query(text: string, params?: readonly unknown[]): Promise<PgResult> {
    const release = await this.server.take()
    try {
      return await this.server.run(this.schema, this.parserOf, text, params)
    } finally {
      release()
    }
  }

  notify(channel: string, payload: string): void {
    for (const client of this.clients) if (client.listensTo(channel)) client.emit('notification', { channel, payload })
  }

  async end(): Promise<void> {
    this.onEnd()
  }
}

const STATEMENT = /^\s*(?:--[^\n]*\n\s*)*(\w+)(?:\s+"?(\w+)"?)?/

/** One connection as its user sees it: from BEGIN to COMMIT or ROLLBACK it has the session to itself. */
export class PGliteClient extends EventEmitter {
  private readonly pool: PGlitePool
  private readonly onRelease: () => void
  private readonly channels = new Set<string>()
  private leaveSession: (() => void) | undefined

  constructor(pool: PGlitePool, onRelease: () => void) {
    super()
    this.setMaxListeners(0)
    this.pool = pool
    this.onRelease = onRelease
  }

  listensTo(channel: string): boolean {
    return this.channels.has(channel)
  }

  async query(text: string, params?: readonly unknown[]): Promise<PgResult> {
    const [, verb, object] = STATEMENT.exec(text.slice(0, 1000)) ?? []
    const command = verb?.toUpperCase()
    if (command === 'LISTEN') this.channels.add(object!)
    if (command === 'BEGIN' || (command === 'START' && object?.toUpperCase() === 'TRANSACTION')) this.leaveSession ??= await this.pool.server.take()
    if (!this.leaveSession) return this.pool.query(text, params)
    try {
      return await this.pool.server.run(this.pool.schema, this.pool.parserOf, text, params)
    } finally {
      if (command === 'COMMIT' || (command === 'ROLLBACK' && object?.toUpperCase() !== 'TO')) this.giveBack()
    }
  }

  release(): void {
    this.channels.clear()
    this.onRelease()
    if (!this.leaveSession) return
    // A connection that goes away in the middle of a transaction takes the transaction with it.
    void this.pool.server.run(this.pool.schema, this.pool.parserOf, 'ROLLBACK').then(
      () => this.giveBack(),
      () => this.giveBack(),
    )
  }

  private giveBack(): void {
    this.leaveSession?.()
    this.leaveSession = undefined
  }
}
