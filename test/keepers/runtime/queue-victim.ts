// A worker to be killed: `queue-victim.ts <backend options as JSON> <file>` appends the id of each job it finishes to the file.
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { openPostgres, type Postgres } from '../../../keepers/runtime/database.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { openQueue } from '../../../keepers/runtime/queue.ts'

const [json, file] = process.argv.slice(2) as [string, string]
const options: { dataDir?: string; databaseUrl?: string; redisUrl?: string } = JSON.parse(json)
const log = createLog({ name: 'victim', level: 'warn', pretty: false })
// A queue on Redis has no use for the database, which takes seconds to make.
const postgres = options.redisUrl === undefined ? await openPostgres({ ...options, log }) : (undefined as unknown as Postgres)
const queue = await openQueue<{ ms: number }>({
  keeper: 'test',
  name: 'crash',
  backend: { postgres, redisUrl: options.redisUrl },
  log,
  metrics: new Registry(),
  lockMs: 1000,
})
const total = Number(process.env.JOBS ?? 0)
for (let i = 0; i < total; i++) await queue.add(`job ${i}`, { ms: 15 })
process.stdout.write('added\n')
await queue.process(
  async ({ id, data }) => {
    await sleep(data.ms)
    appendFileSync(file, `${id}\n`)
  },
  { concurrency: 4 },
)
