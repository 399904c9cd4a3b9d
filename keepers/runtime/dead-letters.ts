import { BlockList } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { DeadLetter, Queue } from './queue.ts'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether it was typed on this machine: not by a page in a browser, nor passed on by a proxy that stands on it. */
function isOperator({ socket, headers }: FastifyRequest): boolean {
  const address = socket.remoteAddress ?? ''
  const local = loopback.check(address.replace(/^::ffff:/, ''), address.includes(':') && !address.startsWith('::ffff:') ? 'ipv6' : 'ipv4')
  return local && headers.origin === undefined && headers.forwarded === undefined && headers['x-forwarded-for'] === undefined
}

const target = z.strictObject({ queue: z.string().optional(), id: z.string().optional() })

/**
 * For the operator, from the same machine only: GET /dead-letters lists the jobs that failed for good, POST /dead-letters/redrive runs
 * them again (`?queue=` those of one queue, `?queue=&id=` one).
 */
export function serveDeadLetters(app: FastifyInstance, queues: ReadonlyMap<string, Queue<any>>): void {
  const onRequest = async (request: FastifyRequest) => {
    if (!isOperator(request)) throw Object.assign(new Error('only from the machine the keeper runs on'), { statusCode: 403 })
  }
  app.get('/dead-letters', { onRequest }, async () => {
    const letters: (DeadLetter<unknown> & { queue: string })[] = []
    for (const [queue, jobs] of queues) letters.push(...(await jobs.deadLetters()).map((letter) => ({ queue, ...letter })))
    return letters
  })
  app.post('/dead-letters/redrive', { onRequest }, async (request, reply) => {
    const parsed = target.safeParse(request.query)
    const { queue, id } = parsed.data ?? {}
    if (!parsed.success || (id !== undefined && queue === undefined) || (queue !== undefined && !queues.has(queue))) {
      return reply.code(400).send({ error: `expected ?queue= one of ${[...queues.keys()].join(', ')}, with &id= or without, or neither` })
    }
    let redriven = 0
    for (const [name, jobs] of queues) if (queue === undefined || queue === name) redriven += await jobs.redrive(id)
    return { redriven }
  })
}
