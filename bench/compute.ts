import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startMarket } from '../test/keepers/compute-provider/market.ts'
import type { Load, Measured } from './compute/load.ts'
import type { Row } from './report.ts'

export const about = 'a provider of inference: what it adds to an upstream, and answers signed and recorded a second'

const STREAMS = 64
const REQUESTS = 10_000
const OVERHEAD_P50_MS = 3
const OVERHEAD_P99_MS = 15
const ANSWERS_PER_SECOND = 1000

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

interface Child {
  url: string
  stop(): Promise<void>
}

/** Runs a server in a process of its own, which prints its URL. */
async function serve(path: string, argument: string): Promise<Child> {
  const child = spawn(process.execPath, ['--import', file('../scripts/ts.mjs'), file(path), argument], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const ended = exited.then(([code]) => {
    throw new Error(`${path} ended with ${code}`)
  })
  const [url] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string]
  return {
    url,
    async stop() {
      child.kill()
      await Promise.allSettled([exited, ended])
    },
  }
}

async function measure(load: Load): Promise<Measured> {
  const child = spawn(process.execPath, ['--import', file('../scripts/ts.mjs'), file('compute/load.ts'), JSON.stringify(load)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return JSON.parse(line)
}

/** Upstream, provider and clients are a process each, the chain is in this one. */
export async function rows(progress: (what: string) => void): Promise<Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'perigee-bench-'))
  const market = await startMarket()
  const upstream = await serve('compute/upstream.ts', '')
  try {
    progress('a provider, and a user who pays it')
    const config = market.config({ url: upstream.url }, { dataDir, maxConcurrentPerUser: 256, settleDryRun: true })
    const provider = await serve('../test/keepers/compute-provider/victim.ts', JSON.stringify(config))
    try {
      const authorization = await market.bearer(await market.user())
      const bare = { url: `${upstream.url}/chat/completions`, authorization }
      const through = { url: `${provider.url}/v1/proxy/chat/completions`, authorization }
      progress(`${STREAMS} streams from the upstream`)
      const direct = await measure({ ...bare, kind: 'streams', count: STREAMS, concurrency: STREAMS })
      progress(`${STREAMS} streams through the provider`)
      const relayed = await measure({ ...through, kind: 'streams', count: STREAMS, concurrency: STREAMS })
      progress('answers a second, to warm up')
      await measure({ ...through, kind: 'answers', count: REQUESTS / 5, concurrency: STREAMS })
      progress('answers a second')
      const answers = await measure({ ...through, kind: 'answers', count: REQUESTS, concurrency: STREAMS })
      return [
        overhead('p50', relayed.p50 - direct.p50, OVERHEAD_P50_MS),
        overhead('p99', relayed.p99 - direct.p99, OVERHEAD_P99_MS),
        {
          id: 'compute.answers',
          what: `answers from a null upstream, signed and on record, ${STREAMS} at a time`,
          value: answers.perSecond,
          unit: '/s',
          better: 'more',
          target: ANSWERS_PER_SECOND,
        },
        { id: 'compute.answer.p99', what: 'of these, the time of one, p99', value: answers.p99, unit: 'ms', better: 'less' },
      ]
    } finally {
      await provider.stop()
    }
  } finally {
    await upstream.stop()
    await market.stop()
    await rm(dataDir, { recursive: true })
  }
}

/** A token's way from the upstream to the client takes this much longer with the provider between them. */
const overhead = (quantile: 'p50' | 'p99', value: number, target: number): Row => ({
  id: `compute.overhead.${quantile}`,
  what: `delay of a token through the provider, ${STREAMS} streams of 50 tokens/s, ${quantile}`,
  value: Math.max(value, 0),
  unit: 'ms',
  better: 'less',
  target,
})
