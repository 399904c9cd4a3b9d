import { expect } from 'chai'
import fc from 'fast-check'
import { type Backend, BackendError, type BackendRequest } from '../../../keepers/compute/provider/backends/backend.ts'
import { EventStream } from '../../../keepers/compute/provider/backends/event-stream.ts'
import { createUpstream, type UpstreamOptions } from '../../../keepers/compute/provider/backends/upstream.ts'
import { faultOf, never, requestOf, textOf } from './requests.ts'
import { chunk, done, json, startUpstream, stream, type UpstreamServer, usageChunk } from './upstream-server.ts'

const timeouts = { connect: 1000, firstByte: 5000, idle: 5000 }

describe('upstream backend', () => {
  let server: UpstreamServer | undefined
  let backend: Backend | undefined
  afterEach(async () => {
    await backend?.close()
    await server?.stop()
    server = backend = undefined
  })

  async function start(answer: Parameters<typeof startUpstream>[0], options: Partial<UpstreamOptions> = {}) {
    server = await startUpstream(answer)
    backend = createUpstream({ url: server.url, models: [], timeouts, ...options })
    return { backend, asked: server.asked }
  }
  const answered = {
    id: 'x',
    choices: [{ message: { content: 'hi' } }],
    usage: { prompt_tokens: 7, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 3 } },
  }

  it('given a request, when the upstream answers, then the bytes of both pass unchanged and the usage is told', async () => {
    const text = `${JSON.stringify(answered, null, 2)}\n`
    const { backend, asked } = await start((_, response) => json(response, text), { key: 'secret' })
    const body = '{ "model": "m", "seed": 9007199254740993, "messages": [] }'
    const response = await backend.complete(requestOf(body), never)
    expect(await textOf(response)).to.equal(text)
    expect(response.usage()).to.deep.equal({ kind: 'tokens', promptTokens: 7, completionTokens: 2, cachedTokens: 3 })
    expect(response.contentType).to.equal('application/json')
    expect(asked).to.have.length(1)
    expect(asked[0]).to.include({ method: 'POST', path: '/v1/chat/completions', body })
    expect(asked[0]!.headers).to.include({ authorization: 'Bearer secret', 'content-type': 'application/json', 'accept-encoding': 'identity' })
  })

  it('given a seed, when it answers, then the receipt can name it', async () => {
    const { backend } = await start((_, response) => json(response, answered))
    const seedOf = async (seed: unknown) => (await backend.complete(requestOf({ model: 'm', seed }), never)).seed
    expect([await seedOf(42), await seedOf(-1), await seedOf(undefined), await seedOf('x')]).to.deep.equal([42n, 2n ** 64n - 1n, 0n, 0n])
  })

  it('given a request without a model, when it is sent, then the model is written into it and nothing else changes', async () => {
    const { backend, asked } = await start((_, response) => json(response, answered))
    await backend.complete(requestOf('{"messages":[ ],"seed":9007199254740993}\n'), never)
    await backend.complete(requestOf('{}'), never)
    await backend.complete(requestOf('{"model":"other"}', { model: 'm' }), never)
    expect(asked.map(({ body }) => body)).to.deep.equal(['{"messages":[ ],"seed":9007199254740993,"model":"m"}\n', '{"model":"m"}', '{"model":"m"}'])
  })

  it('given a stream, when the client did not ask for usage, then it is asked for and left out', async () => {
    const { backend, asked } = await start((_, response) => stream(response).end(`: hello\n\n${chunk('a')}${chunk('b')}${usageChunk(5, 2)}${done}`))
    const response = await backend.complete(requestOf('{"model":"m","stream":true}'), never)
    expect(await textOf(response)).to.equal(`: hello\n\n${chunk('a')}${chunk('b')}${done}`)
    expect(response.usage()).to.deep.equal({ kind: 'tokens', promptTokens: 5, completionTokens: 2, cachedTokens: 0 })
    expect(asked[0]!.body).to.equal('{"model":"m","stream":true,"stream_options":{"include_usage":true}}')
  })

  it('given a stream, when the client asked for usage, then its request and every event pass', async () => {
    const { backend, asked } = await start((_, response) => stream(response).end(`${chunk('a', { usage: null })}${usageChunk(5, 2)}${done}`))
    const body = '{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
    const response = await backend.complete(requestOf(body), never)
    expect(await textOf(response)).to.equal(`${chunk('a', { usage: null })}${usageChunk(5, 2)}${done}`)
    expect(asked[0]!.body).to.equal(body)
    await backend.complete(requestOf('{"model":"m","stream":true,"stream_options":{"include_usage":false,"x":1}}'), never)
    expect(JSON.parse(asked[1]!.body).stream_options).to.deep.equal({ include_usage: true, x: 1 })
  })

  it('given a stream whose last chunk holds text and usage, when it passes, then the text is not lost', async () => {
    const last = chunk('b', { usage: { prompt_tokens: 1, completion_tokens: 2 } })
    const { backend } = await start((_, response) => stream(response).end(chunk('"usage": {') + last + done))
    const response = await backend.complete(requestOf({ model: 'm', stream: true }), never)
    expect(await textOf(response)).to.equal(chunk('"usage": {') + last + done)
    expect(response.usage()).to.include({ completionTokens: 2 })
  })

  it('given a stream cut into pieces anywhere, when it passes, then it is the same', async () => {
    const whole = Buffer.from(chunk('grüße 🙂') + chunk('\\n "usage":{ }').replaceAll('\n', '\r\n') + usageChunk(3, 4) + done + chunk('after the end'))
    const expected = chunk('grüße 🙂') + chunk('\\n "usage":{ }') + done
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(whole.length), { maxLength: 12 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length]
        const bytes = (async function* () {
          for (let i = 1; i < at.length; i++) yield whole.subarray(at[i - 1], at[i])
        })()
        const events = new EventStream({ bytes, wantsUsage: false })
        expect(() => events.usage()).to.throw(BackendError, /not ended/)
        const parts: Uint8Array[] = []
        for await (const part of events) parts.push(part)
        expect(Buffer.concat(parts).toString()).to.equal(expected)
        expect(events.usage()).to.deep.equal({ kind: 'tokens', promptTokens: 3, completionTokens: 4, cachedTokens: 0 })
      }),
      { seed: 13, numRuns: 100 },
    )
  })

  it('given other endpoints, when they answer, then what they took is told in their own terms', async () => {
    const answers: Record<string, unknown> = {
      '/v1/embeddings': { data: [], usage: { prompt_tokens: 4, total_tokens: 4 } },
      '/v1/images/generations': { data: [{ url: 'a' }, { url: 'b' }] },
      '/v1/audio/transcriptions': { text: 'hi', usage: { type: 'duration', seconds: 3.2 } },
    }
    const { backend, asked } = await start(({ path }, response) => json(response, answers[path]))
    const usageOf = async (endpoint: BackendRequest['endpoint']) => (await backend.complete(requestOf({ model: 'm' }, { endpoint }), never)).usage()
    expect(await usageOf('embeddings')).to.deep.equal({ kind: 'tokens', promptTokens: 4, completionTokens: 0, cachedTokens: 0 })
    expect(await usageOf('images/generations')).to.deep.equal({ kind: 'images', images: 2 })
    const multipart = { endpoint: 'audio/transcriptions' as const, contentType: 'multipart/form-data; boundary=x', json: undefined, body: Buffer.from('--x--') }
    const response = await backend.complete(requestOf({}, multipart), never)
    expect(response.usage()).to.deep.equal({ kind: 'seconds', seconds: 3.2 })
    expect(asked.at(-1)).to.include({ body: '--x--' })
    expect(asked.at(-1)!.headers['content-type']).to.equal('multipart/form-data; boundary=x')
  })

  it('given an answer without usage, with nonsense or with something else, then nothing is to be charged', async () => {
    const cases: [unknown, string][] = [
      [{ choices: [] }, 'no-usage'],
      [{ usage: { prompt_tokens: -1, completion_tokens: 1 } }, 'no-usage'],
      [{ usage: { prompt_tokens: 1.5, completion_tokens: 1 } }, 'no-usage'],
      ['[', 'garbage'],
      ['"text"', 'garbage'],
      ['<html>', 'garbage'],
    ]
    let next: unknown
    const { backend } = await start((_, response) => json(response, next))
    for (const [answer, code] of cases) {
      next = answer
      expect((await faultOf(backend.complete(requestOf({ model: 'm' }), never))).code, JSON.stringify(answer)).to.equal(code)
    }
  })

  it('given a stream that breaks off, ends early, errs, or says nothing of usage, then it ends with the reason', async () => {
    const cases: [string, string, RegExp][] = [
      [chunk('a'), 'died', /middle/],
      [chunk('a') + usageChunk(1, 1), 'died', /middle/],
      [chunk('a') + done, 'no-usage', /without saying/],
      [`${chunk('a')}data: {"error":{"message":"out of memory"}}\n\n`, 'died', /out of memory/],
      [`${chunk('a')}event: error\ndata: oops\n\n`, 'died', /oops/],
      [`${chunk('a')}data: {"usage":{\n\n`, 'garbage', /not JSON/],
      [`${chunk('a')}data: {"usage":{"prompt_tokens":"1"}}\n\n`, 'no-usage', /usage is/],
      [`${chunk('a')}data: ${'x'.repeat(4_300_000)}`, 'garbage', /without end/],
    ]
    let next = ''
    const { backend } = await start((_, response) => stream(response).end(next))
    for (const [text, code, message] of cases) {
      next = text
      const response = await backend.complete(requestOf({ model: 'm', stream: true }), never)
      const fault = await faultOf(textOf(response))
      expect([fault.code, message.test(fault.message)], fault.message).to.deep.equal([code, true])
      expect(() => response.usage()).to.throw(BackendError)
    }
  })

  it('given bytes that are not UTF-8 in a stream, then it ends with the reason', async () => {
    const { backend } = await start((_, response) => stream(response).end(Buffer.from([...Buffer.from(chunk('a')), 0xff, 0xfe])))
    expect((await faultOf(backend.complete(requestOf({ model: 'm', stream: true }), never).then(textOf))).code).to.equal('garbage')
  })

  it('given a stream that begins with an error, then it is an error and no stream', async () => {
    const { backend } = await start((_, response) => stream(response).end('data: {"error":{"message":"no such adapter"}}\n\n'))
    expect((await faultOf(backend.complete(requestOf({ model: 'm', stream: true }), never))).message).to.match(/no such adapter/)
  })

  it('given an upstream that dies or stalls in the middle, then the stream ends with the reason and it says why it is not ready', async () => {
    let act: (response: Parameters<typeof stream>[0]) => void = (response) => response.destroy()
    const { backend } = await start(
      (_, response) => {
        stream(response).write(chunk('a'))
        act(response)
      },
      { timeouts: { ...timeouts, idle: 300 } },
    )
    const open = async () => textOf(await backend.complete(requestOf({ model: 'm', stream: true }), never))
    expect((await faultOf(open())).code).to.equal('died')
    act = () => {}
    const stalled = await faultOf(open())
    expect([stalled.code, stalled.status]).to.deep.equal(['stalled', 504])
    expect(backend.problem()).to.match(/silent for 300 ms/)
    act = (response) => response.end(usageChunk(1, 1) + done)
    await open()
    expect(backend.problem()).to.equal(undefined)
  })

  it('given an upstream that does not answer in time, or is not there, then it is unreachable', async () => {
    const { backend } = await start(() => {}, { timeouts: { ...timeouts, firstByte: 300 } })
    const slow = await faultOf(backend.complete(requestOf({ model: 'm' }), never))
    expect([slow.code, slow.status]).to.deep.equal(['unreachable', 504])
    const { url } = server!
    await server!.stop()
    const gone = createUpstream({ url, models: [], timeouts })
    const fault = await faultOf(gone.complete(requestOf({ model: 'm' }), never))
    expect([fault.code, fault.status, fault.forClient]).to.deep.equal(['unreachable', 502, false])
    expect(gone.problem()).to.match(/cannot be reached/)
    await gone.close()
  })

  it('given a refusal, then what concerns the client is told and what concerns the operator is not', async () => {
    let next: [number, unknown, Record<string, string>?] = [400, '']
    const { backend } = await start((_, response) => json(response, next[1], next[0], next[2]))
    const refused = async (...answer: typeof next) => {
      next = answer
      const { code, status, retryAfter, message, forClient } = await faultOf(backend.complete(requestOf({ model: 'm' }), never))
      return { code, status, retryAfter, message, forClient }
    }
    expect(await refused(400, { error: { message: 'context too long' } })).to.include({
      code: 'rejected',
      status: 400,
      message: 'context too long',
      forClient: true,
    })
    expect(await refused(422, { detail: 'bad tool' })).to.include({ code: 'rejected', status: 422, message: 'bad tool' })
    expect(await refused(404, { error: 'no model' })).to.include({ code: 'rejected', status: 404, message: 'no model' })
    expect(await refused(429, '', { 'retry-after': '7' })).to.include({ code: 'overloaded', status: 503, retryAfter: 7, forClient: true })
    expect(await refused(503, '')).to.include({ code: 'overloaded', retryAfter: undefined })
    expect(await refused(401, { error: { message: 'key sk-123 is wrong' } })).to.include({ code: 'misconfigured', status: 503, forClient: false })
    expect(backend.problem()).to.match(/refuses this provider/)
    expect(await refused(500, 'stack trace')).to.include({ code: 'died', status: 502, forClient: false })
    expect((await refused(400, '')).message).to.equal('no reason given')
  })

  it('given a request for a stream, when the answer is none, then it is garbage', async () => {
    const { backend } = await start((_, response) => json(response, answered))
    expect((await faultOf(backend.complete(requestOf({ model: 'm', stream: true }), never))).code).to.equal('garbage')
  })

  it('given a caller that goes away, then the upstream is let go too', async () => {
    let closed: Promise<void> | undefined
    const { backend } = await start((_, response) => {
      closed = new Promise((resolve) => response.on('close', resolve))
      stream(response).write(chunk('a'))
    })
    const controller = new AbortController()
    const response = await backend.complete(requestOf({ model: 'm', stream: true }), controller.signal)
    const reading = textOf(response).catch((error) => error)
    controller.abort(new Error('the client has gone'))
    expect((await reading).message).to.equal('the client has gone')
    await closed

    const broken = await backend.complete(requestOf({ model: 'm', stream: true }), never)
    for await (const _ of broken.body) break
    await closed
  })

  it('given a kept connection that the upstream has closed, then the request is made again on another', async () => {
    let count = 0
    const { backend } = await start((_, response) => {
      if (++count === 2) response.destroy()
      else json(response, answered)
    })
    await backend.complete(requestOf({ model: 'm' }), never)
    expect(await textOf(await backend.complete(requestOf({ model: 'm' }), never))).to.contain('hi')
    expect(count).to.equal(3)
  })

  it('given the list of models, then those wanted are served, and what is hearsay is marked', async () => {
    const list = { object: 'list', data: [{ id: 'm', root: '/models/m', owned_by: 'vllm', max_model_len: 8192 }, { id: 'n' }] }
    const { backend, asked } = await start((_, response) => json(response, list), { models: ['m'], spec: { dtype: 'bf16' } })
    const models = await backend.models()
    expect(models.map(({ id, contextLength }) => [id, contextLength])).to.deep.equal([['m', 8192]])
    expect(models[0]!.spec).to.deep.equal({ weights: 'reported:/models/m', tokenizer: 'unknown', template: 'unknown', engine: 'reported:vllm', dtype: 'bf16' })
    await backend.models()
    expect(asked.map(({ path }) => path)).to.deep.equal(['/v1/models'])
  })

  it('given a model that the upstream does not list, or no list at all, then it says so', async () => {
    let next: unknown = { data: [{ id: 'm' }] }
    const { backend } = await start((_, response) => json(response, next), { models: ['absent'] })
    const missing = await faultOf(backend.models())
    expect([missing.code, missing.message]).to.deep.equal(['misconfigured', 'the upstream does not list absent'])
    next = { models: [] }
    expect((await faultOf(backend.models())).code).to.equal('garbage')
  })
})
