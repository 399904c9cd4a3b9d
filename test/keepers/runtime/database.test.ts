import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Kysely, sql } from 'kysely'
import { type Database, type Migrations, openDatabase, openPostgres, type Postgres } from '../../../keepers/runtime/database.ts'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { rememberingLog } from './quiet.ts'
import { postgresServer, type Server } from './servers.ts'

const { log } = rememberingLog()

const migrations: Migrations = {
  '001': {
    up: (db: Kysely<any>) =>
      db.schema
        .createTable('item')
        .addColumn('id', 'int8', (column) => column.primaryKey())
        .addColumn('bytes', 'bytea')
        .addColumn('wei', 'numeric')
        .execute(),
  },
}

describe('the database of a keeper', () => {
  for (const kind of ['pglite', 'postgres'] as const) {
    describe(`on ${kind}`, () => {
      let dataDir: DataDir
      let server: Server | undefined
      let postgres: Postgres
      let a: Database
      let b: Database

      before(async function () {
        this.timeout(60_000)
        dataDir = await newDataDir()
        const started = kind === 'postgres' ? await postgresServer() : undefined
        if (typeof started === 'string') {
          console.log(`      left out: ${started}`)
          return this.skip()
        }
        server = started
        postgres = await openPostgres({ databaseUrl: server?.url, dataDir: dataDir.path, log })
        const run = `t${Date.now().toString(36)}`
        a = await openDatabase(postgres, `${run}_a`, migrations)
        b = await openDatabase(postgres, `${run}_b`, migrations)
      })
      after(async () => {
        await a?.destroy()
        await b?.destroy()
        await postgres?.close()
        await server?.stop()
        dataDir.remove()
      })
      beforeEach(async () => {
        await a.deleteFrom('item').execute()
        await b.deleteFrom('item').execute()
      })

      it('has tables of its own, also in plain SQL', async () => {
        await a.insertInto('item').values({ id: 1 }).execute()
        await b.insertInto('item').values({ id: 2 }).execute()
        const rows = await Promise.all([a, b].map((each) => sql<{ id: number }>`select id from item`.execute(each)))
        expect(rows.map((each) => each.rows)).to.deep.equal([[{ id: 1 }], [{ id: 2 }]])
      })

      it('reads positions as numbers, bytes as bytes and amounts as text', async () => {
        const wei = (2n ** 200n).toString()
        await a
          .insertInto('item')
          .values({ id: 2 ** 40, bytes: Buffer.from([1, 255]), wei })
          .execute()
        const row = await a.selectFrom('item').selectAll().executeTakeFirstOrThrow()
        expect(row.id).to.equal(2 ** 40)
        expect(row.bytes).to.be.instanceOf(Uint8Array)
        expect([...row.bytes]).to.deep.equal([1, 255])
        expect(row.wei).to.equal(wei)
      })

      it('refuses to round an integer', async () => {
        await a.insertInto('item').values({ id: '9007199254740993' }).execute()
        const error = await a
          .selectFrom('item')
          .selectAll()
          .execute()
          .catch((error: Error) => error)
        expect(String(error)).to.include('int8 value 9007199254740993 is beyond 2^53')
        await sql`delete from item`.execute(a)
      })

      it('undoes a failed transaction, while others wait or go on', async () => {
        const failing = a.transaction().execute(async (trx) => {
          await trx.insertInto('item').values({ id: 1 }).execute()
          await new Promise((resolve) => setTimeout(resolve, 30))
          throw new Error('no')
        })
        const other = b.insertInto('item').values({ id: 1 }).execute()
        const outcome = await Promise.allSettled([failing, other])
        expect(outcome.map(({ status }) => status)).to.deep.equal(['rejected', 'fulfilled'])
        expect(await a.selectFrom('item').selectAll().execute()).to.deep.equal([])
        expect(await b.selectFrom('item').select('id').execute()).to.deep.equal([{ id: 1 }])
      })

      it('does not claim to have committed what a swallowed error aborted', async () => {
        await a.insertInto('item').values({ id: 1 }).execute()
        const outcome = await a
          .transaction()
          .execute(async (trx) => {
            await trx.insertInto('item').values({ id: 2 }).execute()
            await trx
              .insertInto('item')
              .values({ id: 1 })
              .execute()
              .catch(() => {})
          })
          .catch((error: Error) => error)
        expect(outcome).to.be.instanceOf(Error)
        expect(await a.selectFrom('item').select('id').execute()).to.deep.equal([{ id: 1 }])
      })

      it('undoes to a savepoint', async () => {
        await a.transaction().execute(async (trx) => {
          await trx.insertInto('item').values({ id: 1 }).execute()
          await sql`savepoint s`.execute(trx)
          await sql`insert into item (id) values (1)`.execute(trx).catch(() => {})
          await sql`rollback to savepoint s`.execute(trx)
          await trx.insertInto('item').values({ id: 2 }).execute()
        })
        expect(await a.selectFrom('item').select('id').orderBy('id').execute()).to.deep.equal([{ id: 1 }, { id: 2 }])
      })

      it('counts the rows it changed', async () => {
        await a
          .insertInto('item')
          .values([{ id: 1 }, { id: 2 }])
          .execute()
        expect(Number((await a.updateTable('item').set({ wei: '1' }).executeTakeFirst()).numUpdatedRows)).to.equal(2)
        expect(Number((await a.deleteFrom('item').where('id', '=', 1).executeTakeFirst()).numDeletedRows)).to.equal(1)
      })

      it('sends and reads values of each type alike', async () => {
        const bytes = Buffer.from([0, 255])
        const { rows } =
          await sql`select ${1.5}::float8 as float, ${true}::bool as yes, ${null}::text as nothing, ${'{"a":[1]}'}::jsonb as json, ${bytes}::bytea as bytes,
          ${['a', 'b"']}::text[] as texts, ${new Date(1_700_000_000_123)}::timestamptz as time, ${'ü'}::text as text, ${-3}::int4 as int`.execute(a)
        const time = new Date(1_700_000_000_123)
        expect(rows).to.deep.equal([{ float: 1.5, yes: true, nothing: null, json: { a: [1] }, bytes, texts: ['a', 'b"'], time, text: 'ü', int: -3 }])
      })

      it('goes on after a statement that fails, whatever is wrong with it', async () => {
        const wrong = [sql`selec ${1}`, sql`select ${'x'}::int4`, sql`select * from nothing where id = ${1}`, sql`select 1 / ${0}::int4`]
        const outcome = await Promise.allSettled(wrong.map((statement) => statement.execute(a)))
        expect(outcome.map((each) => each.status === 'rejected' && each.reason.code)).to.deep.equal(['42601', '22P02', '42P01', '22012'])
        const { rows } = await sql`select ${7}::int4 as seven`.execute(a)
        expect(rows).to.deep.equal([{ seven: 7 }])
      })

      it('serves many transactions at once', async () => {
        await a.insertInto('item').values({ id: 1, wei: '0' }).execute()
        const increment = () =>
          a.transaction().execute(async (trx) => {
            const { wei } = await trx.selectFrom('item').select('wei').where('id', '=', 1).forUpdate().executeTakeFirstOrThrow()
            await trx
              .updateTable('item')
              .set({ wei: String(BigInt(wei) + 1n) })
              .execute()
          })
        await Promise.all(Array.from({ length: 25 }, increment))
        expect(await a.selectFrom('item').select('wei').execute()).to.deep.equal([{ wei: '25' }])
      })
    })
  }

  describe('embedded in a folder', () => {
    let dataDir: DataDir
    let folder: string
    beforeEach(async () => {
      dataDir = await newDataDir()
      folder = dataDir.path
    })
    afterEach(() => dataDir.remove())

    it('keeps its rows', async () => {
      for (let run = 1; run <= 2; run++) {
        const postgres = await openPostgres({ dataDir: folder, log })
        const database = await openDatabase(postgres, 'kept', migrations)
        await database.insertInto('item').values({ id: run }).execute()
        const rows = await database.selectFrom('item').select('id').orderBy('id').execute()
        expect(rows.map(({ id }) => id)).to.deep.equal(run === 1 ? [1] : [1, 2])
        await database.destroy()
        await postgres.close()
      }
    })

    it('is not opened twice', async () => {
      const postgres = await openPostgres({ dataDir: folder, log })
      const error = await openPostgres({ dataDir: folder, log }).catch((error: Error) => error)
      expect(String(error)).to.include(`${folder} is already in use by this process`)
      await postgres.close()
    })

    it('says what to do when its files are damaged, and lets go of the folder', async () => {
      await (await openPostgres({ dataDir: folder, log })).close()
      truncateSync(join(folder, 'postgres', 'global', 'pg_control'), 100)
      for (let attempt = 0; attempt < 2; attempt++) {
        const error = await openPostgres({ dataDir: folder, log }).catch((error: Error) => error)
        expect(String(error)).to.match(/the embedded database in .* does not open .*: restore a copy, or remove the folder/)
      }
    })
  })

  it('says when a server does not answer', async function () {
    this.timeout(60_000)
    const error = await openPostgres({ databaseUrl: 'postgres://me:secret@127.0.0.1:1/x', log }).catch((error: Error) => error)
    expect(String(error)).to.match(/PostgreSQL at postgres:\/\/me:\*\*\*@127\.0\.0\.1:1\/x can't be used: .*ECONNREFUSED/)
  })
})
