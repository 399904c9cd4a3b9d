import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { type Backend, createRuntime, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { eventually, rememberingLog } from './quiet.ts'

describe('what a keeper stands on', () => {
  const { log } = rememberingLog()
  let dataDir: DataDir
  let backend: Backend
  let runtimes: Runtime[]
  let names = 0

  const open = (): Runtime => {
    const runtime = createRuntime({ name: `test/keeper/${names++}`, backend, log })
    runtimes.push(runtime)
    return runtime
  }

  before(async function () {
    this.timeout(60_000)
    dataDir = await newDataDir()
    backend = await openBackend({ dataDir: dataDir.path, log })
  })
  after(async () => {
    await backend.close()
    dataDir.remove()
  })
  beforeEach(() => {
    runtimes = []
  })
  afterEach(() => Promise.all(runtimes.map((runtime) => runtime.close())))

  it('is shared by several keepers without mixing their tables, jobs and numbers', async () => {
    const seen: string[][] = []
    for (const runtime of [open(), open()]) {
      const database = await runtime.database({ '001': { up: (db) => db.schema.createTable('own').addColumn('name', 'text').execute() } })
      await database.insertInto('own').values({ name: runtime.name }).execute()
      const jobs: string[] = []
      const queue = await runtime.queue<string>('work')
      await queue.process(async ({ data }) => jobs.push(data))
      await queue.add('same id', runtime.name)
      await eventually('its job is done', () => jobs.length === 1)
      const rows = await database.selectFrom('own').select('name').execute()
      seen.push([runtime.name, ...jobs, ...rows.map(({ name }) => name)])
      expect(await runtime.metrics.metrics()).to.include(`keeper="${runtime.name}"`)
    }
    for (const [name, ...others] of seen) expect(others).to.deep.equal([name, name])
  })

  it('finishes work in hand before it closes what the work needs', async () => {
    const runtime = open()
    const database = await runtime.database({ '001': { up: (db) => db.schema.createTable('done').addColumn('id', 'text').execute() } })
    const queue = await runtime.queue<null>('work')
    let started = false
    let problem: unknown
    await queue.process(async ({ id }) => {
      started = true
      await sleep(100)
      if (runtime.signal.aborted) problem = 'the signal was already aborted'
      await database
        .insertInto('done')
        .values({ id })
        .execute()
        .catch((error: unknown) => {
          problem = error
        })
    })
    await queue.add('a', null)
    await eventually('it runs', () => started)
    await runtime.close()
    expect(problem).to.equal(undefined)
    expect(runtime.signal.aborted).to.equal(true)
  })

  it('shows its dead jobs to the operator and runs them again, but not for strangers', async () => {
    const runtime = open()
    const queue = await runtime.queue<{ root: string }>('uploads', { attempts: 1 })
    let broken = true
    let successes = 0
    await queue.process(async () => {
      if (broken) throw new Error('no such root')
      successes++
    })
    const http = runtime.http({ host: '127.0.0.1', port: 0, ready: async () => undefined })
    await http.listen()
    for (const id of ['1', '2', '3']) await queue.add(id, { root: id })
    const list = async () => (await (await fetch(`${http.url}/dead-letters`)).json()) as { queue: string; id: string; reason: string }[]
    await eventually('they are dead', async () => (await list()).length === 3)
    expect((await list()).map(({ queue, reason }) => [queue, reason])).to.deep.equal(Array(3).fill(['uploads', 'no such root']))

    const redrive = (query: string, headers: Record<string, string> = {}) => fetch(`${http.url}/dead-letters/redrive${query}`, { method: 'POST', headers })
    const strangers: Record<string, string>[] = [{ origin: 'http://page' }, { 'x-forwarded-for': '1.2.3.4' }]
    for (const headers of strangers) expect((await redrive('', headers)).status).to.equal(403)
    for (const query of ['?queue=none', '?id=1', '?colour=red']) expect((await redrive(query)).status).to.equal(400)
    broken = false
    expect(await (await redrive('?queue=uploads&id=2')).json()).to.deep.equal({ redriven: 1 })
    expect(await (await redrive('')).json()).to.deep.equal({ redriven: 2 })
    await eventually('all worked', () => successes === 3)
    expect(await list()).to.deep.equal([])
  })
})
