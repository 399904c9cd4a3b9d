import type { AddressInfo } from 'node:net'
import { type FastifyInstance, fastify } from 'fastify'
import { request } from 'undici'

/** Stands between a keeper and its chain, and can be taken away. */
export interface RpcProxy {
  url: string
  down(): Promise<void>
  up(): Promise<void>
}

export async function startRpcProxy(rpcUrl: string): Promise<RpcProxy> {
  let server: FastifyInstance | undefined
  let port = 0
  const up = async () => {
    server = fastify({ forceCloseConnections: true, bodyLimit: 64 * 1024 * 1024 })
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    server.post('/', async ({ body }, reply) => {
      const answer = await request(rpcUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body: body as Buffer })
      return reply
        .code(answer.statusCode)
        .type('application/json')
        .send(await answer.body.text())
    })
    await server.listen({ host: '127.0.0.1', port })
    port = (server.server.address() as AddressInfo).port
  }
  await up()
  return {
    url: `http://127.0.0.1:${port}`,
    up,
    async down() {
      await server?.close()
      server = undefined
    },
  }
}
