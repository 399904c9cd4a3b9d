import { request as httpRequest } from 'node:http'
import { expect } from 'chai'
import type { Wallet } from 'ethers'
import { startFaultyProxy } from '../../sdk/faulty-proxy.ts'
import { chunk, done, json, stream, type UpstreamServer, usageChunk } from '../compute-backends/upstream-server.ts'
import { eventually } from '../runtime/quiet.ts'
import { type Answering, ask, codeOf, FEE, type Market, QUESTION, type Running, startMarket, startModel } from './market.ts'

/** What the model does with a question that says so. */
const BEHAVIOURS: Record<string, Answering> = {
  'falls silent': (_, response) => void stream(response).write(chunk('one ')),
  'never begins': () => {},
  dies: (_, response) => void stream(response).write(chunk('one '), () => response.destroy()),
  'dies at once': (_, response) => void response.destroy(),
  'ends early': (_, response) => void stream(response).end(chunk('one ')),
  'tells no usage': (_, response) => void stream(response).end(chunk('one ') + done),
  'tells no usage at all': (_, response) => json(response, { choices: [] }),
  'streams garbage': (_, response) => void stream(response).end('data: {"usage": {broken\n\n'),
  'is no JSON': (_, response) => json(response, '<html>'),
  'is not UTF-8': (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0x7b, 0xff, 0x7d])),
  fails: (_, response) => json(response, { error: { message: 'out of memory at 0xdeadbeef' } }, 500),
  'is busy': (_, response) => json(response, { error: { message: 'busy' } }, 429, { 'retry-after': '7' }),
  'says no': (_, response) => json(response, { error: { message: 'temperature is too hot' } }, 400),
  'refuses the provider': (_, response) => json(response, { error: { message: 'bad key sk-secret' } }, 401),
}

describe('what may go wrong with an answer', function () {
  this.timeout(180_000)
  let market: Market
  let model: UpstreamServer
  let provider: Running
  let user: Wallet
  let bearer: string
  /** Resolves when the model may go on with 'waits'. */
  let goOn: () => void

  before(async () => {
    market = await startMarket()
    model = await startModel(async (asked, response) => {
      const name = Object.keys(BEHAVIOURS).find((name) => asked.body.includes(`"${name}"`))
      if (name) return BEHAVIOURS[name]!(asked, response)
      if (!asked.body.includes('"waits"')) return false
      const { promise, resolve } = Promise.withResolvers<void>()
      goOn = resolve
      stream(response).write(chunk('one '))
      await promise
      response.end(chunk('two') + usageChunk(10, 3) + done)
    })
    provider = await market.start(model, { stallMs: 300, deadlineMs: 2000, maxConcurrent: 2, maxQueued: 1, queueMs: 300, drainBytes: 100_000 })
    user = await market.user()
    bearer = await market.bearer(user)
  })
  after(async () => {
    await provider?.stop()
    await model?.stop()
    await market?.stop()
  })

  const saying = (content: string, more: object = {}) => ({ ...QUESTION, messages: [{ role: 'user', content }], ...more })

  const metrics = async () => (await fetch(`${provider.url}/metrics`)).text()

  async function owed(): Promise<bigint> {
    const response = await fetch(`${provider.url}/v1/user/${user.address}/unsettledfee`, { headers: { authorization: bearer } })
    return BigInt(((await response.json()) as { unsettledFee: string }).unsettledFee)
  }

  const CASES: [behaviour: string, stream: boolean, status: number, code: string][] = [
    ['never begins', false, 502, 'upstream_unreachable'],
    ['dies at once', false, 502, 'upstream_died'],
    ['tells no usage at all', false, 502, 'upstream_no_usage'],
    ['is no JSON', false, 502, 'upstream_garbage'],
    ['is not UTF-8', false, 502, 'upstream_garbage'],
    ['fails', false, 502, 'upstream_died'],
    ['is busy', false, 503, 'unavailable'],
    ['says no', false, 400, 'invalid_request'],
    ['refuses the provider', false, 503, 'upstream_misconfigured'],
    ['says no', true, 400, 'invalid_request'],
    ['is no JSON', true, 502, 'upstream_garbage'],
  ]
  for (const [behaviour, stream, status, code] of CASES) {
    it(`given a model that ${behaviour}${stream ? ', asked for a stream' : ''}: ${status} ${code}, and no charge`, async () => {
      const before = await owed()
      const answer = await ask(provider.url, bearer, saying(behaviour, { stream }))
      if (behaviour === 'never begins') expect([502, 504]).to.include(answer.status)
      else expect([answer.status, codeOf(answer)]).to.deep.equal([status, code])
      expect(answer.text).not.to.match(/secret|deadbeef/)
      if (behaviour === 'is busy') expect(answer.headers.get('retry-after')).to.equal('7')
      expect(await owed()).to.equal(before)
    })
  }

  for (const behaviour of ['falls silent', 'dies', 'ends early', 'tells no usage', 'streams garbage']) {
    it(`given a model that ${behaviour} in the middle of a stream, the stream ends with an error and without [DONE], and no charge`, async () => {
      const before = await owed()
      const answer = await ask(provider.url, bearer, saying(behaviour, { stream: true }))
      const last = answer.text.trim().split('\n\n').at(-1)!
      const error = answer.status === 200 ? JSON.parse(last.replace(/^data: /, '')).error : JSON.parse(answer.text).error
      expect(error.message).to.match(/you are not charged/)
      expect(answer.text).not.to.include('[DONE]')
      expect(await owed()).to.equal(before)
      expect((await fetch(`${provider.url}/v1/receipt/${answer.id || 'none'}`)).status).to.equal(404)
    })
  }

  /** Asks for a stream and goes away after its first bytes. */
  function leaveEarly(question: object): Promise<void> {
    return new Promise((resolve, reject) => {
      const body = JSON.stringify(question)
      const url = new URL(`${provider.url}/v1/proxy/chat/completions`)
      const request = httpRequest(url, { method: 'POST', headers: { authorization: bearer, 'content-type': 'application/json' } }, (response) => {
        response.once('data', () => {
          response.destroy()
          resolve()
        })
      })
      request.on('error', reject)
      request.end(body)
    })
  }

  it('given a client that goes away in the middle, the answer is taken to its end, charged and on record', async () => {
    const before = await owed()
    await leaveEarly(saying('waits', { stream: true }))
    goOn()
    await eventually('it is charged', async () => (await owed()) === before + FEE)
  })

  it('given a client that goes away from a model that then dies, no charge', async () => {
    const before = await owed()
    await leaveEarly(saying('falls silent', { stream: true }))
    await eventually('its place is free', async () => /requests_at_work\{.*\} 0/.test(await metrics()))
    expect(await owed()).to.equal(before)
  })

  it('given all places taken, one waits and the next is told 503; the one that waited too long as well', async () => {
    const busy = [0, 1].map(() => ask(provider.url, bearer, saying('falls silent', { stream: true })))
    await eventually('both are at work', async () => /requests_at_work\{.*\} 2/.test(await metrics()))
    const next = await Promise.all([ask(provider.url, bearer), ask(provider.url, bearer)])
    const refused = next.filter(({ status }) => status === 503)
    expect(refused.length).to.be.greaterThan(0)
    for (const { headers } of refused) expect(Number(headers.get('retry-after'))).to.be.greaterThan(0)
    await Promise.all(busy)
    expect((await ask(provider.url, bearer)).status).to.equal(200)
  })

  const BAD: [what: string, body: string | Uint8Array, status: number, code: string][] = [
    ['an empty body', '', 400, 'invalid_request'],
    ['a body that is not JSON', '{"model"', 400, 'invalid_request'],
    ['a list', '[]', 400, 'invalid_request'],
    ['a number', '7', 400, 'invalid_request'],
    ['invalid UTF-8', Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xff]), Buffer.from('"}')]), 400, 'invalid_request'],
    ['no model', '{}', 400, 'invalid_request'],
    ['a model that is not served', '{"model":"other"}', 404, 'model_not_found'],
    ['a limit that is no number', JSON.stringify({ ...QUESTION, max_tokens: 'many' }), 400, 'invalid_request'],
    ['33 MiB', Buffer.alloc(33 * 1024 * 1024, ' '), 413, 'body_too_large'],
  ]
  for (const [what, body, status, code] of BAD) {
    it(`given ${what}: ${status} ${code}, in OpenAI's shape`, async () => {
      const answer = await ask(provider.url, bearer, body)
      expect([answer.status, codeOf(answer)]).to.deep.equal([status, code])
      expect(JSON.parse(answer.text).error).to.have.keys(['message', 'type', 'param', 'code'])
    })
  }

  it('given a chain that is away, requests are admitted for a while and then no more; back again, they are', async () => {
    await provider.stop()
    const endpoint = await startFaultyProxy(market.chain.url)
    provider = await market.start(model, { staleMs: 1000, rpcUrl: endpoint.url })
    expect((await ask(provider.url, bearer)).status).to.equal(200)
    endpoint.faults.before = () => 'break'
    expect((await ask(provider.url, bearer)).status).to.equal(200)
    await eventually('it refuses', async () => (await ask(provider.url, bearer)).status === 503)
    expect((await fetch(`${provider.url}/readyz`)).status).to.equal(503)
    delete endpoint.faults.before
    await eventually('it answers', async () => (await ask(provider.url, bearer)).status === 200)
    await provider.stop()
    provider = await market.start(model)
    await endpoint.kill()
  })
})
