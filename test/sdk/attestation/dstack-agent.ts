import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fastify } from 'fastify'
import type { Tee } from '../../../sdk/attestation/tee.ts'

export interface DstackAgent {
  socket: string
  /** Requests so far, by method. */
  calls: { method: string; body: unknown }[]
  /** Answers the next request with this instead. */
  next?: { status: number; body: string } | undefined
  /** The data it quotes instead of what it is given. */
  quoteInstead?: Uint8Array | undefined
  stop(): Promise<void>
}

/** The HTTP API of dstack's guest agent at a socket of its own; what it says comes from `tee`. */
export async function startDstackAgent(tee: Tee): Promise<DstackAgent> {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-dstack-'))
  const app = fastify()
  const agent: DstackAgent = {
    socket: join(folder, 'dstack.sock'),
    calls: [],
    async stop() {
      await app.close()
      rmSync(folder, { recursive: true })
    },
  }
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const evidence = (data: Uint8Array) => tee.quote(data)

  app.addHook('preHandler', async (request, reply) => {
    agent.calls.push({ method: request.url, body: request.body })
    const { next } = agent
    agent.next = undefined
    if (next) return reply.code(next.status).type('application/json').send(next.body)
  })
  app.post<{ Body: { path: string } }>('/GetKey', async ({ body }) => ({ key: hex(await tee.key(body.path)), signature_chain: ['aa', 'bb'] }))
  app.post<{ Body: { report_data: string } }>('/GetQuote', async ({ body }) => {
    const data = agent.quoteInstead ?? Buffer.concat([Buffer.from(body.report_data, 'hex'), Buffer.alloc(64)]).subarray(0, 64)
    const { quote, eventLog, vmConfig } = await evidence(data)
    return { quote: hex(quote), event_log: eventLog, report_data: hex(data), vm_config: vmConfig }
  })
  app.post('/Info', async () => {
    const { tcbInfo, vmConfig } = await evidence(new Uint8Array(64))
    const { compose_hash } = JSON.parse(tcbInfo) as { compose_hash: string }
    return {
      app_id: compose_hash.slice(0, 40),
      instance_id: 'ab'.repeat(20),
      app_cert: '',
      tcb_info: tcbInfo,
      app_name: 'test',
      compose_hash,
      vm_config: vmConfig,
    }
  })
  await app.listen({ path: agent.socket })
  return agent
}
