import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { request } from 'undici'

export interface RpcCall {
  method: string
  params: any[]
}

export interface Gate {
  url: string
  /** Resolves with the call at which the gate closed: it and everything after it gets no answer. */
  closed: Promise<RpcCall>
  stop(): Promise<void>
}

/**
 * An endpoint in front of a chain that closes at the first call that `at` picks: before the call reaches the chain, or (`answered`) after, so that only
 * its answer is lost.
 */
export async function startGate(target: string, at: (call: RpcCall) => boolean, answered: boolean): Promise<Gate> {
  const { promise, resolve } = Promise.withResolvers<RpcCall>()
  let isClosed = false
  const forward = async (body: string) => (await request(target, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).body.text()
  const server = createServer(async (incoming, outgoing: ServerResponse) => {
    const body = Buffer.concat(await incoming.toArray()).toString()
    if (isClosed) return
    const found = [JSON.parse(body)].flat().find(at)
    if (found) {
      isClosed = true
      if (answered) await forward(body)
      resolve(found)
      return
    }
    const answer = await forward(body)
    if (!isClosed) outgoing.writeHead(200, { 'content-type': 'application/json' }).end(answer)
  })
  // An idle connection must not close while a slow victim is about to use it.
  server.keepAliveTimeout = 0
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    closed: promise,
    stop: () =>
      new Promise((stopped) => {
        server.close(() => stopped())
        server.closeAllConnections()
      }),
  }
}
