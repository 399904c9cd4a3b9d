import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { Registry } from 'prom-client'
import { type Backend, openBackend } from '../../../keepers/runtime/keeper.ts'
import { GiveUp, openQueue, type Queue, type QueueOptions } from '../../../keepers/runtime/queue.ts'
import { newDataDir } from '../../support/data-dir.ts'
import { eventually, rememberingLog } from './quiet.ts'
import { type Missing, postgresServer, redisServer, type Server } from './servers.ts'

interface Flavour {
  name: string
  start(): Promise<Server | Missing>
  options(server: Server): { dataDir?: string; redisUrl?: string; databaseUrl?: string }
}

const folder = async (): Promise<Server> => {
  const { path, remove } = await newDataDir()
  return { url: path, stop: async () => remove() }
}

const flavours: Flavour[] = [
  { name: 'PGlite', start: folder, options: ({ url }) => ({ dataDir: url }) },
  { name: 'PostgreSQL', start: postgresServer, options: ({ url }) => ({ databaseUrl: url }) },
  { name: 'Redis', start: redisServer, options: ({ url }) => ({ redisUrl: url }) },
]

for (const flavour of flavours) {
  describe(`a queue on ${flavour.name}`, () => {
    const { log, lines } = rememberingLog()
    let server: Server
    let backend: Backend
    let open: Queue<any>[]
    let names = 0

    const queue = async <T = number>(more: Partial<QueueOptions> = {}): Promise<Queue<T>> => {
      const opened = await openQueue<T>({
        keeper: `test/${process.pid}`,
        name: `queue ${names}`,
        backend,
        log,
        metrics: new Registry(),
        backoffMs: 20,
        lockMs: 1000,
        graceMs: 300,
        ...more,
      })
      open.push(opened)
      return opened
    }

    before(async function () {
      this.timeout(60_000)
      const started = await flavour.start()
      if (typeof started === 'string') {
        console.log(`      left out: ${started}`)
        return this.skip()
      }
      server = started
      backend = await openBackend({ ...flavour.options(server), log })
    })
    after(async () => {
      await backend?.close()
      await server?.stop()
    })
    beforeEach(() => {
      names++
      lines.length = 0
      open = []
    })
    afterEach(() => Promise.all(open.map((each) => each.close())))

    it('runs every job once, as many together as allowed', async () => {
      const jobs = await queue()
      let running = 0
      let most = 0
      const done: number[] = []
      await jobs.process(
        async ({ data }) => {
          most = Math.max(most, ++running)
          await sleep(10)
          running--
          done.push(data)
        },
        { concurrency: 3 },
      )
      for (let i = 0; i < 30; i++) await jobs.add(`job:${i}`, i)
      await eventually('all are done', () => done.length === 30)
      expect(done.toSorted((a, b) => a - b)).to.deep.equal(Array.from({ length: 30 }, (_, i) => i))
      expect(most).to.be.within(2, 3)
    })

    it('refuses a job whose id is known: waiting or done', async () => {
      const jobs = await queue()
      let runs = 0
      await jobs.add('same: 1', 1)
      await jobs.add('same: 1', 2)
      expect((await jobs.counts()).waiting).to.equal(1)
      await jobs.process(async ({ id, data }) => {
        expect([id, data]).to.deep.equal(['same: 1', 1])
        runs++
      })
      await eventually('it is done', async () => runs === 1 && (await jobs.counts()).active === 0)
      await jobs.add('same: 1', 3)
      await jobs.add('7', 1)
      expect(await jobs.counts()).to.deep.include({ failed: 0 })
      await eventually('the other ran', async () => lines.length > 0 || (await jobs.counts()).waiting === 0)
      expect(runs).to.be.at.most(2)
    })

    it('tries again, waiting longer each time, until it works', async () => {
      const jobs = await queue()
      const starts: number[] = []
      await jobs.process(async ({ attempt }) => {
        starts.push(Date.now())
        expect(attempt).to.equal(starts.length)
        if (attempt < 4) throw new Error('not yet')
      })
      await jobs.add('a', 1)
      await eventually('the fourth try', () => starts.length === 4)
      const waits = starts.slice(1).map((start, i) => start - starts[i]!)
      expect(waits[2]).to.be.greaterThan(20 * 2 * 2 * 0.75 - 5)
      expect(await jobs.deadLetters()).to.deep.equal([])
    })

    it('keeps a job that failed for good, says so, and runs it again when re-driven', async () => {
      const jobs = await queue<{ root: string }>({ attempts: 2 })
      let broken = true
      let successes = 0
      await jobs.process(async () => {
        if (broken) throw new Error('no such root')
        successes++
      })
      await jobs.add('a/1', { root: '0x01' })
      await jobs.add('a/2', { root: '0x02' })
      await eventually('both are dead', async () => (await jobs.counts()).failed === 2)
      const dead = await jobs.deadLetters()
      expect(dead.map(({ id, data, reason, attempts }) => ({ id, data, reason, attempts })).toSorted((a, b) => a.id.localeCompare(b.id))).to.deep.equal([
        { id: 'a/1', data: { root: '0x01' }, reason: 'no such root', attempts: 2 },
        { id: 'a/2', data: { root: '0x02' }, reason: 'no such root', attempts: 2 },
      ])
      expect(dead[0]!.failedAt.getTime()).to.be.closeTo(Date.now(), 10_000)
      await eventually('it is logged', () => lines.filter(({ level }) => level === 'error').length === 2)
      broken = false
      expect(await jobs.redrive('a/1')).to.equal(1)
      await eventually('the first works', () => successes === 1)
      expect(await jobs.redrive()).to.equal(1)
      await eventually('the second works', () => successes === 2)
      expect(await jobs.redrive('a/1')).to.equal(0)
      expect(await jobs.deadLetters()).to.deep.equal([])
    })

    it('does not try again what the handler gives up', async () => {
      const jobs = await queue()
      let tries = 0
      await jobs.process(async () => {
        tries++
        throw new GiveUp('this can never work')
      })
      await jobs.add('a', 1)
      await eventually('it is dead', async () => (await jobs.counts()).failed === 1)
      expect(tries).to.equal(1)
    })

    it('starts a delayed job when its time has come', async () => {
      const jobs = await queue()
      let started = 0
      await jobs.process(async () => {
        started = Date.now()
      })
      const added = Date.now()
      await jobs.add('a', 1, { delayMs: 300 })
      await eventually('it ran', () => started > 0)
      expect(started - added).to.be.within(290, 3000)
    })

    it('adds a job again and again, on one schedule per name, until cancelled', async () => {
      const jobs = await queue()
      let runs = 0
      await jobs.process(async ({ data }) => {
        expect(data).to.equal(5)
        runs++
      })
      await jobs.every('tick', 10_000, 4)
      await jobs.cancel('tick')
      const before = runs
      await jobs.every('tick', 100, 5)
      await jobs.every('tick', 100, 5)
      const start = Date.now()
      await eventually('five ticks', () => runs >= before + 5)
      expect(Date.now() - start).to.be.within(300, 3000)
      await jobs.cancel('tick')
      await sleep(250)
      const stopped = runs
      await sleep(300)
      expect(runs).to.equal(stopped)
    })

    it('lets running jobs finish when it closes', async () => {
      const jobs = await queue()
      let finished = false
      let started = false
      await jobs.process(async () => {
        started = true
        await sleep(150)
        finished = true
      })
      await jobs.add('a', 1)
      await eventually('it runs', () => started)
      await jobs.close()
      expect(finished).to.equal(true)
    })

    it('puts a job back that takes too long when it closes, without counting the attempt', async () => {
      const jobs = await queue({ attempts: 1 })
      let started = false
      await jobs.process(async ({ signal }) => {
        started = true
        await sleep(60_000, undefined, { signal })
      })
      await jobs.add('a', 1)
      await eventually('it runs', () => started)
      await jobs.close()
      const next = await queue({ attempts: 1 })
      const attempts: number[] = []
      await next.process(async ({ attempt }) => attempts.push(attempt))
      await eventually('it runs again', () => attempts.length === 1)
      expect(attempts).to.deep.equal([1])
    })

    it('shows its length in the metrics', async () => {
      const metrics = new Registry()
      const jobs = await queue({ metrics })
      await jobs.add('a', 1)
      await jobs.add('b', 1)
      expect(await metrics.metrics()).to.match(/^jobs\{queue="queue \d+",state="waiting"\} 2$/m)
    })

    it('loses no job when its process is killed in the middle of them', async function () {
      this.timeout(90_000)
      await backend.close() // PGlite's folder belongs to one process at a time
      const results = mkdtempSync(join(tmpdir(), 'perigee-queue-'))
      const file = join(results, 'done')
      const JOBS = 200
      const work = (jobs: number) => {
        const script = fileURLToPath(new URL('queue-victim.ts', import.meta.url))
        const loader = fileURLToPath(new URL('../../../scripts/ts.mjs', import.meta.url))
        return spawn(process.execPath, ['--import', loader, script, JSON.stringify(flavour.options(server)), file], {
          env: { ...process.env, JOBS: String(jobs) },
          stdio: ['ignore', 'pipe', 'inherit'],
        })
      }
      const done = () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [])
      try {
        for (let kill = 0; kill < 3; kill++) {
          const reached = done().length + 15
          const victim = work(kill === 0 ? JOBS : 0)
          const gone = new Promise((resolve) => victim.once('exit', resolve))
          await eventually('it works', () => done().length >= reached, 25_000)
          victim.kill('SIGKILL')
          await gone
        }
        const last = work(0)
        await eventually('all jobs are done', () => new Set(done()).size === JOBS, 25_000)
        last.kill('SIGKILL')
        await new Promise((resolve) => last.once('exit', resolve))
        // A job whose end was not recorded runs again: at most those in hand at each kill.
        expect(done().length - JOBS).to.be.at.most(3 * 4)
      } finally {
        rmSync(results, { recursive: true, force: true })
        backend = await openBackend({ ...flavour.options(server), log })
      }
    })
  })
}
