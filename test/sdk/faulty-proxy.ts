import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, request } from 'undici'

/** What a proxy does with a request: hand it on, answer in the server's place, or break the connection. */
export type Verdict = 'pass' | 'break' | { status: number; body: string }

/** One request as the faults see it; `rpc` is the JSON-RPC method, where it is one. */
export interface SeenRequest {
  method: string
  path: string
  rpc: string | undefined
}

export interface Faults {
  before?: (seen: SeenRequest) => Verdict
  /** Changes an answer's body on its way back. */
  after?: (seen: SeenRequest, body: Buffer) => Buffer
}

export interface FaultyProxy {
  url: string
  /** Every request so far, in order. */
  seen: SeenRequest[]
  faults: Faults
  /** Stops listening and breaks all connections, as a killed process does. */
  kill(): Promise<void>
}

/** A server in front of a real one that misbehaves as told. */
export async function startFaultyProxy(target: string, faults: Faults = {}): Promise<FaultyProxy> {
  const agent = new Agent()
  const server = createServer((incoming, outgoing) => {
    relay(incoming, outgoing).catch(() => outgoing.destroy())
  })
  const proxy: FaultyProxy = {
    url: '',
    seen: [],
    faults,
    kill: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await Promise.all([closed, agent.destroy()])
    },
  }

  async function relay(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = Buffer.concat(await incoming.toArray())
    const path = incoming.url!
    const rpc = incoming.method === 'POST' && path === '/' ? (JSON.parse(body.toString()) as { method: string }).method : undefined
    const seen: SeenRequest = { method: incoming.method!, path, rpc }
    proxy.seen.push(seen)
    const verdict = proxy.faults.before?.(seen) ?? 'pass'
    if (verdict === 'break') {
      outgoing.destroy()
      return
    }
    if (verdict !== 'pass') {
      outgoing.writeHead(verdict.status, { 'content-type': 'application/json' }).end(verdict.body)
      return
    }
    const headers = { 'content-type': incoming.headers['content-type'], range: incoming.headers.range }
    const answer = await request(`${target.replace(/\/$/, '')}${path}`, {
      method: incoming.method as 'GET',
      headers,
      body: body.length > 0 ? body : null,
      dispatcher: agent,
    })
    const original = Buffer.from(await answer.body.arrayBuffer())
    const changed = proxy.faults.after?.(seen, original) ?? original
    outgoing.writeHead(answer.statusCode, { 'content-type': String(answer.headers['content-type']), 'content-length': changed.length }).end(changed)
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return proxy
}
