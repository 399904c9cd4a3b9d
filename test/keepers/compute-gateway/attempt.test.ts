import { expect } from 'chai'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Agent } from 'undici'
import { AttemptFailed, attempt, type Call, Refused } from '../../../keepers/compute/gateway/attempt.ts'
import type { Provider } from '../../../keepers/compute/gateway/ranking.ts'
import { breakOffAfter, CHUNKS, completion, END, type OpenAiServer, startOpenAiServer } from './openai-server.ts'

const chat = (stream: boolean): Call => ({ path: '/chat/completions', body: Buffer.from(JSON.stringify({ model: 'm', stream })), stream, content: 'choices' })

describe('gateway: one attempt at one provider', () => {
  let server: OpenAiServer
  let dispatcher: Agent
  beforeEach(async () => {
    server = await startOpenAiServer()
    dispatcher = new Agent()
  })
  afterEach(async () => {
    await dispatcher.destroy()
    await server.stop()
  })
  const options = { authorization: 'Bearer b', idempotencyKey: 'k', firstByteMs: 5000, answerMs: 5000, stallMs: 5000 }
  const run = (call: Call, changes: Partial<typeof options> & { signal?: AbortSignal } = {}) =>
    attempt({ url: server.url } as Provider, call, { ...options, dispatcher, signal: new AbortController().signal, ...changes })
  const failure = (work: Promise<unknown>) =>
    work.then(
      () => expect.fail('it did not fail'),
      (error: unknown) => error,
    )
  async function gather(body: AsyncIterable<Uint8Array> | Buffer): Promise<string> {
    expect(Buffer.isBuffer(body)).to.equal(false)
    const parts: Uint8Array[] = []
    for await (const part of body as AsyncIterable<Uint8Array>) parts.push(part)
    return Buffer.concat(parts).toString()
  }

  it('given an answer, then it is returned byte for byte with its id, and the provider got the very request', async () => {
    const { id, contentType, body } = await run(chat(false))
    expect(id).to.match(/^[0-9a-f]{16}$/)
    expect(contentType).to.include('application/json')
    expect(body.toString()).to.equal(completion('answer'))
    expect(server.received[0]).to.deep.include({ path: '/v1/proxy/chat/completions', body: '{"model":"m","stream":false}' })
    expect(server.received[0]!.headers).to.deep.include({ authorization: 'Bearer b', 'idempotency-key': 'k', 'accept-encoding': 'identity' })
  })

  it('given a stream, then its events are returned byte for byte', async () => {
    expect(await gather((await run(chat(true))).body)).to.equal([...CHUNKS, END].join(''))
  })

  type Answer = (request: FastifyRequest, reply: FastifyReply) => unknown
  const error =
    (status: number, code: string, headers = {}): Answer =>
    (_, reply) =>
      reply
        .code(status)
        .headers(headers)
        .send({ error: { code, message: `because of ${code}` } })

  for (const [status, code] of [
    [400, 'invalid_request'],
    [404, 'not_found'],
    [413, 'body_too_large'],
    [422, 'idempotency_key_reused'],
  ] as const) {
    it(`given ${status} (${code}), then the request is at fault and the words are kept`, async () => {
      server.instead = error(status, code)
      const refused = (await failure(run(chat(false)))) as Refused
      expect(refused).to.be.instanceOf(Refused)
      expect(refused.status).to.equal(status)
      expect(JSON.parse(refused.body.toString()).error.message).to.equal(`because of ${code}`)
    })
  }

  for (const [status, code] of [
    [401, 'session_expired'],
    [402, 'insufficient_balance'],
    [404, 'model_not_found'],
    [404, 'endpoint_not_supported'],
    [429, 'too_many'],
    [500, 'internal_error'],
    [503, 'unavailable'],
  ] as const) {
    it(`given ${status} (${code}), then the provider is at fault, and says why and for how long`, async () => {
      server.instead = error(status, code, { 'retry-after': '7' })
      const failed = (await failure(run(chat(true)))) as AttemptFailed
      expect(failed).to.be.instanceOf(AttemptFailed)
      expect(failed).to.include({ status, retryAfter: 7, broken: false })
      expect(failed.message).to.equal(`HTTP ${status}, because of ${code}`)
    })
  }

  const bad: [what: string, stream: boolean, answer: Answer, message: string, broken?: boolean][] = [
    ['an answer that is not JSON', false, (_, reply) => reply.send('<html>'), 'its answer is not JSON'],
    ['an answer without choices', false, (_, reply) => reply.type('application/json').send('{"error":"x"}'), 'its answer has no choices'],
    ['null', false, (_, reply) => reply.type('application/json').send('null'), 'its answer has no choices'],
    ['an answer in place of a stream', true, (_, reply) => reply.type('application/json').send('{}'), 'instead of a stream'],
    ['a stream of nothing', true, (_, reply) => reply.type('text/event-stream').send(''), 'ended before the first event', true],
    ['a stream that begins with an error', true, (_, reply) => reply.type('text/event-stream').send('data: {"error":{"message":"oom"}}\n\n'), 'error: oom'],
    ['a stream that begins with garbage', true, (_, reply) => reply.type('text/event-stream').send('data: <html>\n\n'), 'not JSON'],
    ['a stream that breaks off before its first event ends', true, breakOffAfter(['data: {"cho']), '', true],
    ['an answer that breaks off', false, breakOffAfter(['{"choices":[']), '', true],
    ['a connection that is cut', false, (_, reply) => reply.hijack().raw.destroy(), '', true],
  ]
  for (const [what, stream, answer, message, broken = false] of bad) {
    it(`given ${what}, then another provider may answer`, async () => {
      server.instead = answer
      const failed = (await failure(run(chat(stream)))) as AttemptFailed
      expect(failed).to.be.instanceOf(AttemptFailed)
      expect(failed.message).to.include(message)
      expect(failed.broken).to.equal(broken)
    })
  }

  it('given a stream that breaks off later, then what was whole came through, and nothing torn', async () => {
    server.instead = breakOffAfter([CHUNKS[0]!, CHUNKS[1]!.slice(0, 20)])
    const { body } = await run(chat(true))
    const parts: string[] = []
    const failed = await failure(
      (async () => {
        for await (const part of body as AsyncIterable<Uint8Array>) parts.push(Buffer.from(part).toString())
      })(),
    )
    expect(parts.join('')).to.equal(CHUNKS[0])
    expect(failed).to.be.instanceOf(Error)
  })

  for (const stream of [false, true]) {
    it(`given silence, when ${stream ? 'a stream' : 'an answer'} should have come, then another provider may answer`, async () => {
      server.instead = (_, reply) => reply.hijack()
      const failed = (await failure(run(chat(stream), { firstByteMs: 50, answerMs: 50 }))) as AttemptFailed
      expect(failed).to.include({ message: 'no answer within 50 ms', broken: false })
    })
  }

  it('given headers and then silence, then a stream has not begun', async () => {
    server.instead = (_, reply) => reply.hijack().raw.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    expect(((await failure(run(chat(true), { firstByteMs: 100 }))) as Error).message).to.equal('no answer within 100 ms')
  })

  it('given nobody there, then nothing was done, and it need not be asked again', async () => {
    await server.stop()
    const failed = (await failure(run(chat(false)))) as AttemptFailed
    expect(failed).to.be.instanceOf(AttemptFailed)
    expect(failed.broken).to.equal(false)
  })

  it('given a client that leaves, then the request is given up', async () => {
    const gone = new AbortController()
    server.instead = (_, reply) => {
      gone.abort()
      reply.hijack()
    }
    const left = await failure(run(chat(false), { signal: gone.signal }))
    expect(left).to.not.be.instanceOf(AttemptFailed)
  })
})
