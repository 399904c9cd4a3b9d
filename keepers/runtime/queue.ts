import { type Job as BullJob, Queue as BullQueue, type ConnectionOptions, createPostgresBackend, DelayedError, UnrecoverableError, Worker } from 'bullmq'
import type { Registry } from 'prom-client'
import type { Postgres } from './database.ts'
import type { Log } from './log.ts'
import { counter, gauge, histogram, SECONDS } from './metrics.ts'

/** Thrown by a handler when trying again can't help: the job goes to the dead letters at once. */
export class GiveUp extends UnrecoverableError {}

export interface Job<T> {
  /** As given to `add`; a scheduled job has its schedule's name and time. */
  id: string
  data: T
  /** 1 at the first try. */
  attempt: number
  /** Aborts when the keeper must stop: leave with an error soon, and the job is put back without counting the attempt. */
  signal: AbortSignal
}

export interface DeadLetter<T> {
  id: string
  data: T
  reason: string
  attempts: number
  failedAt: Date
}

export interface JobCounts {
  waiting: number
  delayed: number
  active: number
  failed: number
}

export interface AddOptions {
  /** Earliest start from now, in ms. */
  delayMs?: number
}

/** Jobs that survive a crash. Each is run at least once, so a handler must bear being repeated. */
export interface Queue<T> {
  /** Adds a job unless one of this id is known: waiting, running, dead, or done within `rememberMs`. */
  add(id: string, data: T, options?: AddOptions): Promise<void>
  /** Adds a job now and every `ms` from then on; the same name replaces the schedule, also after a restart. */
  every(name: string, ms: number, data: T): Promise<void>
  cancel(name: string): Promise<void>
  /** Runs jobs, `concurrency` at a time. Call it once. */
  process(handler: (job: Job<T>) => Promise<unknown>, options?: { concurrency?: number }): Promise<void>
  counts(): Promise<JobCounts>
  /** Jobs that failed for good, the latest first. */
  deadLetters(limit?: number): Promise<DeadLetter<T>[]>
  /** Gives dead jobs all their attempts again: one, or all. Returns how many. */
  redrive(id?: string): Promise<number>
  /** Takes no more jobs and waits for the running ones; those that take longer than `graceMs` are put back. */
  close(): Promise<void>
}

export interface QueueOptions {
  keeper: string
  name: string
  /** Where jobs live: in the Redis if there is one, else in PostgreSQL. */
  backend: { postgres: Postgres; redisUrl: string | undefined }
  log: Log
  metrics: Registry
  /** Tries before a job is dead. */
  attempts: number
  /** Wait before the second try, in ms; doubles each time, up to an hour. */
  backoffMs: number
  /** How long the id of a finished job is refused, in ms. */
  rememberMs: number
  /** A job whose process has died is taken up by another after this, in ms. */
  lockMs: number
  /** How long `close` waits for running jobs, in ms. */
  graceMs: number
}

const DEFAULTS = { attempts: 8, backoffMs: 1000, rememberMs: 86_400_000, lockMs: 10_000, graceMs: 5000 }
const MAX_BACKOFF_MS = 3_600_000
/** A job that was running this often when its process died is taken for the cause, and ends among the dead letters. */
const MAX_CRASHES = 10

/** Scheduled work comes again by itself, so only its latest runs are worth keeping. */
const SCHEDULED = { removeOnComplete: { count: 100 }, removeOnFail: { count: 100 } }

type Defaulted = keyof typeof DEFAULTS

/** BullMQ reads a colon as its own separator and digits as its own counter. */
const storedId = (id: string): string => `job-${encodeURIComponent(id)}`
const givenId = (stored: string): string => (stored.startsWith('job-') ? decodeURIComponent(stored.slice(4)) : stored)

export async function openQueue<T>(given: Omit<QueueOptions, Defaulted> & Partial<Pick<QueueOptions, Defaulted>>): Promise<Queue<T>> {
  const options: QueueOptions = { ...DEFAULTS, ...given }
  const { keeper, name, backend, log, metrics, attempts, backoffMs, rememberMs, lockMs, graceMs } = options
  const fullName = `${keeper}/${name}`.replaceAll(':', '-')
  const { connection, factory, release } = connect(backend)
  const jobOptions = {
    attempts,
    backoff: { type: 'capped' },
    removeOnComplete: { age: Math.ceil(rememberMs / 1000) },
    removeOnFail: false,
  }
  const queue = new BullQueue<any, unknown, string>(fullName, { connection, defaultJobOptions: jobOptions }, factory)
  const onError = occasionally((error) => log.warn({ err: error, queue: name }, 'the queue does not answer'))
  queue.on('error', onError)
  await queue.waitUntilReady()
  const stopping = new AbortController()
  let worker: Worker<any, unknown, string> | undefined

  const counts = async (): Promise<JobCounts> => {
    const all = await queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active', 'failed')
    return { waiting: (all.waiting ?? 0) + (all.prioritized ?? 0), delayed: all.delayed ?? 0, active: all.active ?? 0, failed: all.failed ?? 0 }
  }
  const unobserve = observe(metrics, name, counts)
  const duration = histogram(metrics, { name: 'job_duration_seconds', help: 'Time a job ran', labelNames: ['queue', 'outcome'], buckets: SECONDS })
  const deaths = counter(metrics, { name: 'jobs_dead_total', help: 'Jobs that failed for good', labelNames: ['queue'] })

  const run = async (handler: (job: Job<T>) => Promise<unknown>, job: BullJob<any, unknown, string>, token?: string) => {
    const stop = duration.startTimer({ queue: name })
    let outcome = 'done'
    try {
      await handler({ id: givenId(job.id!), data: job.data as T, attempt: job.attemptsMade + 1, signal: stopping.signal })
    } catch (error) {
      outcome = 'failed'
      if (!stopping.signal.aborted) throw error
      outcome = 'put back'
      await job.moveToDelayed(Date.now(), token)
      throw new DelayedError()
    } finally {
      stop({ outcome })
    }
  }

  let closing: Promise<void> | undefined
  const close = async () => {
    unobserve()
    const timer = setTimeout(() => stopping.abort(), graceMs)
    await worker?.close()
    clearTimeout(timer)
    await queue.close()
    await release()
  }

  return {
    async add(id, data, { delayMs = 0 } = {}) {
      await queue.add(name, data, { jobId: storedId(id), delay: delayMs })
    },
    async every(schedule, ms, data) {
      await queue.upsertJobScheduler(schedule, { every: ms }, { name, data, opts: { ...jobOptions, ...SCHEDULED } })
    },
    async cancel(schedule) {
      await queue.removeJobScheduler(schedule)
    },
    async process(handler, { concurrency = 1 } = {}) {
      worker = new Worker(
        fullName,
        (job, token) => run(handler, job, token),
        {
          connection,
          concurrency,
          lockDuration: lockMs,
          stalledInterval: Math.ceil(lockMs / 2),
          maxStalledCount: MAX_CRASHES,
          settings: { backoffStrategy: (made) => Math.round(Math.min(backoffMs * 2 ** (made - 1), MAX_BACKOFF_MS) * (0.75 + Math.random() / 2)) },
        },
        factory,
      )
      worker.on('error', onError)
      worker.on('failed', (job, error) => {
        const dead = job === undefined || job.finishedOn !== undefined
        const facts = { err: error, queue: name, job: job && givenId(job.id!), attempt: job?.attemptsMade }
        if (dead) {
          deaths.inc({ queue: name })
          log.error(facts, 'a job failed for good: find out why, then re-drive it')
        } else log.warn(facts, 'a job failed and will be tried again')
      })
      await worker.waitUntilReady()
    },
    counts,
    async deadLetters(limit = 100) {
      const jobs = await queue.getJobs(['failed'], 0, limit - 1, false)
      return jobs.map((job) => ({
        id: givenId(job.id!),
        data: job.data as T,
        reason: job.failedReason,
        attempts: job.attemptsMade,
        failedAt: new Date(job.finishedOn ?? job.timestamp),
      }))
    },
    async redrive(id) {
      const named = id === undefined ? undefined : await queue.getJob(storedId(id))
      const jobs = id === undefined ? await queue.getJobs(['failed'], 0, -1) : named && (await named.isFailed()) ? [named] : []
      for (const job of jobs) await job.retry('failed', { resetAttemptsMade: true })
      return jobs.length
    },
    close() {
      closing ??= close()
      return closing
    },
  }
}

/** Clients repeat an outage at every attempt to reconnect; a line a minute is enough. */
function occasionally(report: (error: Error) => void): (error: Error) => void {
  let last = Number.NEGATIVE_INFINITY
  return (error) => {
    if (Date.now() - last < 60_000) return
    last = Date.now()
    report(error)
  }
}

function connect({ postgres, redisUrl }: QueueOptions['backend']) {
  if (redisUrl !== undefined) {
    const connection: ConnectionOptions = { url: redisUrl, maxRetriesPerRequest: null }
    return { connection, factory: undefined, release: async () => {} }
  }
  const pool = postgres.pool('bullmq', 'queue')
  return { connection: pool as unknown as ConnectionOptions, factory: createPostgresBackend as any, release: () => pool.end() }
}

/** Shows the queue's length at each scrape, until the returned function is called. */
function observe(metrics: Registry, queue: string, counts: () => Promise<JobCounts>): () => void {
  const sources = (metricSources.get(metrics) ?? new Map()) as Map<string, () => Promise<JobCounts>>
  metricSources.set(metrics, sources)
  sources.set(queue, counts)
  gauge(metrics, {
    name: 'jobs',
    help: 'Jobs by state',
    labelNames: ['queue', 'state'],
    async collect() {
      for (const [name, read] of sources) {
        for (const [state, count] of Object.entries(await read())) this.set({ queue: name, state }, count)
      }
    },
  })
  return () => sources.delete(queue)
}

const metricSources = new WeakMap<Registry, Map<string, () => Promise<JobCounts>>>()
