import { setTimeout as sleep } from 'node:timers/promises'
import { fastify } from 'fastify'
import { hex } from './pora-vectors.ts'
import type { UniformLog } from './uniform-log.ts'

/** A storage node as its miner sees it, for a log that never was uploaded. */
export interface LogNode {
  url: string
  /** How often each load was asked for. */
  asked: Map<number, number>
  /** How long it takes to answer with a load, in ms. */
  delayMs: number
  /** What it knows of the log, or undefined for nothing yet. */
  log: UniformLog | undefined
  stop(): Promise<void>
}

export async function startLogNode(log?: UniformLog): Promise<LogNode> {
  const app = fastify({ forceCloseConnections: true })
  const node: LogNode = { url: '', asked: new Map(), delayMs: 0, log, stop: async () => app.close() }

  app.get<{ Params: { load: string } }>('/flow/loads/:load', async ({ params }, reply) => {
    const load = Number(params.load)
    node.asked.set(load, (node.asked.get(load) ?? 0) + 1)
    await sleep(node.delayMs)
    const { log } = node
    if (!log || (load + 1) * 1024 > log.length) return reply.code(404).send()
    const seals = Array.from({ length: 64 }, (_, j) => log.seal(load * 1024 + 16 * j))
    return reply.type('application/octet-stream').send(Buffer.concat(seals))
  })

  app.post<{ Body: { id: number; params: [number, string] } }>('/', async ({ body: { id, params } }) => {
    const { log } = node
    if (!log || params[1] !== hex(log.root())) return { jsonrpc: '2.0', id, error: { code: -32000, message: 'unknown root' } }
    // The miner starts at the seal's node: what is below it may be anything.
    const below = Array.from({ length: 5 }, () => new Uint8Array(32))
    const siblings = log.proof(params[0])
    const lemma = [...below, ...siblings, log.root()].map(hex)
    return { jsonrpc: '2.0', id, result: { lemma, path: lemma.slice(2).map((_, height) => (params[0] >> height) % 2 === 0) } }
  })

  node.url = await app.listen({ port: 0, host: '127.0.0.1' })
  return node
}
