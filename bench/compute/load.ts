// Clients of a provider or of an upstream: takes its Load as JSON in the argument, prints what it measured.
import { Pool } from 'undici'

export interface Load {
  url: string
  authorization: string
  /** `streams`: how old tokens are when they arrive. `answers`: how long a whole answer takes. */
  kind: 'streams' | 'answers'
  count: number
  concurrency: number
}

/** Times in ms. */
export interface Measured {
  p50: number
  p99: number
  perSecond: number
}

const { url, authorization, kind, count, concurrency }: Load = JSON.parse(process.argv[2]!)
const { origin, pathname } = new URL(url)
const pool = new Pool(origin, { connections: concurrency })
const question = { model: 'test/model-1', messages: [{ role: 'user', content: 'hello' }], max_tokens: 300 }
const body = JSON.stringify(kind === 'streams' ? { ...question, stream: true } : question)
const times: number[] = []
const TOKEN = /"content":"([\d.]+)"/g

async function ask(): Promise<void> {
  const asked = performance.now()
  const headers = { authorization, 'content-type': 'application/json' }
  const response = await pool.request({ path: pathname, method: 'POST', headers, body })
  if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}: ${await response.body.text()}`)
  for await (const piece of response.body) {
    if (kind === 'answers') continue
    const now = performance.timeOrigin + performance.now()
    for (const [, sent] of (piece as Buffer).toString().matchAll(TOKEN)) times.push(now - Number(sent))
  }
  if (kind === 'answers') times.push(performance.now() - asked)
}

let left = count
const start = performance.now()
await Promise.all(
  Array.from({ length: concurrency }, async () => {
    while (left-- > 0) await ask()
  }),
)
const seconds = (performance.now() - start) / 1000
times.sort((a, b) => a - b)
const quantile = (share: number): number => times[Math.min(Math.floor(times.length * share), times.length - 1)]!
const measured: Measured = { p50: quantile(0.5), p99: quantile(0.99), perSecond: count / seconds }
process.stdout.write(`${JSON.stringify(measured)}\n`)
await pool.close()
