import { createHash } from 'node:crypto'
import { type FastifyReply, type FastifyRequest, fastify } from 'fastify'

/** A request as a provider got it. */
export interface Received {
  path: string
  body: string
  headers: Record<string, string | string[] | undefined>
}

/** A small server that answers as a provider does, or as a test wants it to. */
export interface OpenAiServer {
  url: string
  received: Received[]
  /** Answers instead, while it is set. */
  instead?: ((request: FastifyRequest, reply: FastifyReply) => unknown) | undefined
  models: string[]
  stop(): Promise<void>
}

export const CHUNKS = ['one', 'two', 'three'].map(
  (content) => `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${content} "}}]}\n\n`,
)
export const END = 'data: [DONE]\n\n'

export const completion = (content: string) =>
  JSON.stringify({
    id: 'x',
    object: 'chat.completion',
    created: 0,
    model: 'm',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  })

export async function startOpenAiServer({ name = 'answer', port = 0 }: { name?: string; port?: number } = {}): Promise<OpenAiServer> {
  const app = fastify({ forceCloseConnections: true })
  const server: OpenAiServer = { url: '', received: [], models: ['m'], stop: () => app.close() }
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.get('/v1/models', async () => ({ object: 'list', data: server.models.map((id) => ({ id, object: 'model' })) }))
  app.post('/v1/proxy/*', async (request, reply) => {
    const body = (request.body as Buffer).toString()
    server.received.push({ path: request.url, body, headers: request.headers })
    if (server.instead) return server.instead(request, reply)
    reply.header('zg-res-key', createHash('sha256').update(`${name} ${server.received.length}`).digest('hex').slice(0, 16))
    if (request.url.endsWith('/embeddings'))
      return reply.type('application/json').send('{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1,2]}],"model":"m"}')
    if ((JSON.parse(body) as { stream?: boolean }).stream) return reply.type('text/event-stream').send([...CHUNKS, END].join(''))
    return reply.type('application/json').send(completion(name))
  })
  server.url = await app.listen({ port, host: '127.0.0.1' })
  return server
}

/** Sends the beginning of a stream and cuts the connection. */
export function breakOffAfter(texts: string[]) {
  return (_: FastifyRequest, reply: FastifyReply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    reply.raw.write(texts.join(''), () => reply.raw.destroy())
  }
}
