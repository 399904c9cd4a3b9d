import { expect } from 'chai'
import { parseEther } from 'ethers'
import OpenAI, { APIError } from 'openai'
import type { Decision } from '../../../keepers/compute/gateway/decisions.ts'
import { type Backend, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import type { AttestationChain } from '../../support/attestation.ts'
import { startRpcProxy } from '../../support/rpc-proxy.ts'
import { eventually } from '../runtime/quiet.ts'
import { type RunningGateway, registerService, startGateway, startMarketplace } from './marketplace.ts'
import { breakOffAfter, CHUNKS, type OpenAiServer, startOpenAiServer } from './openai-server.ts'

describe('gateway', function () {
  this.timeout(120_000)
  let chain: AttestationChain
  let backend: Backend
  let cheap: OpenAiServer
  let dear: OpenAiServer
  let cheapAddress: string
  let dearAddress: string
  let running: RunningGateway | undefined

  before(async () => {
    chain = await startMarketplace()
    backend = await openBackend({ log: createLog({ name: 'test', level: 'silent' }) })
    cheap = await startOpenAiServer({ name: 'cheap' })
    dear = await startOpenAiServer({ name: 'dear' })
    cheapAddress = await registerService(chain, { account: 6, url: cheap.url, inputPrice: 10n, outputPrice: 20n, funds: parseEther('2') })
    dearAddress = await registerService(chain, { account: 7, url: `${dear.url}/`, inputPrice: 1000n, outputPrice: 2000n, funds: parseEther('2') })
  })
  after(async () => {
    await cheap.stop()
    await dear.stop()
    await backend.close()
    await chain.stop()
  })
  afterEach(async () => {
    for (const server of [cheap, dear]) {
      server.instead = undefined
      server.received.length = 0
      server.models = ['m']
    }
    await running?.stop()
    running = undefined
  })

  /** Price decides alone, so that the order is known. */
  const start = async (changes: object = {}, name?: string) => {
    running = await startGateway(chain, backend, { latencyWeight: 0, ...changes }, name)
    return running
  }
  const post = (body: object | string, headers: Record<string, string> = {}, path = '/v1/chat/completions') =>
    fetch(`${running!.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  const chat = { model: 'm', messages: [{ role: 'user', content: 'hello' }] }
  const decisionOf = async (response: Response, headers = {}) =>
    (await (await fetch(`${running!.url}/v1/decisions/${response.headers.get('x-perigee-decision')}`, { headers })).json()) as Decision
  const content = async (response: Response) => ((await response.json()) as OpenAI.ChatCompletion).choices[0]!.message.content
  const down = (_: unknown, reply: { code(status: number): { send(body: object): unknown } }) => reply.code(500).send({ error: { message: 'out of order' } })

  it("given OpenAI's own client, then chat, streams, completions, embeddings and models work as they do there", async () => {
    const { url } = await start()
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 })
    const answer = await client.chat.completions.create({ ...chat, messages: [{ role: 'user', content: 'hello' }] })
    expect(answer.choices[0]!.message.content).to.equal('cheap')
    const stream = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hello' }], stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).to.equal('one two three ')
    expect((await client.completions.create({ model: 'm', prompt: 'hello' })).choices.length).to.equal(1)
    expect((await client.embeddings.create({ model: 'm', input: 'hello', encoding_format: 'float' })).data[0]!.embedding).to.deep.equal([1, 2])
    const models = await client.models.list()
    expect(models.data.map(({ id }) => id)).to.deep.equal(['m'])
    expect(models.data[0]).to.deep.include({ providers: [cheapAddress, dearAddress].sort(byService), pricing: { prompt: '10', completion: '20' } })
    expect((await client.models.retrieve('m')).id).to.equal('m')
    expect(cheap.received.map(({ path }) => path)).to.deep.equal([
      '/v1/proxy/chat/completions',
      '/v1/proxy/chat/completions',
      '/v1/proxy/completions',
      '/v1/proxy/embeddings',
    ])
  })
  /** In the order in which the contract lists them. */
  const byService = (a: string) => (a === cheapAddress ? -1 : 1)

  it('given two providers, then the cheaper one answers, and the answer says why', async () => {
    await start()
    const response = await post(chat)
    expect(await content(response)).to.equal('cheap')
    expect(Object.fromEntries(['provider', 'attempts', 'receipt'].map((name) => [name, response.headers.get(`x-perigee-${name}`)]))).to.deep.equal({
      provider: cheapAddress,
      attempts: '1',
      receipt: 'unavailable',
    })
    const decision = await decisionOf(response)
    expect(decision).to.deep.include({ model: 'm', outcome: 'answered', provider: cheapAddress, passedOver: [], answer: response.headers.get('zg-res-key') })
    expect(decision.candidates.map(({ provider }) => provider)).to.deep.equal([cheapAddress, dearAddress])
    expect(Number(decision.candidates[1]!.expectedFee)).to.be.greaterThan(Number(decision.candidates[0]!.expectedFee))
    const [{ headers, body }] = cheap.received as [(typeof cheap.received)[0]]
    expect(body).to.equal(JSON.stringify(chat))
    expect(headers.authorization).to.match(/^Bearer app-sk-/)
    expect(dear.received).to.deep.equal([])
  })

  for (const stream of [false, true]) {
    const faults: Record<string, OpenAiServer['instead']> = {
      'answers 500': down as OpenAiServer['instead'],
      'answers garbage': (_, reply) => reply.type(stream ? 'text/event-stream' : 'application/json').send('data: nonsense\n\n'),
      'is slow': (_, reply) => reply.hijack(),
      'cuts the connection': (_, reply) => reply.hijack().raw.destroy(),
    }
    for (const [what, instead] of Object.entries(faults)) {
      it(`given a first provider that ${what}, when ${stream ? 'a stream' : 'an answer'} is asked for, then the next one gives it`, async () => {
        await start({ firstByteMs: 300, answerMs: 300 })
        cheap.instead = instead
        const response = await post({ ...chat, stream })
        const text = await response.text()
        expect(text).to.include(stream ? 'data: [DONE]' : '"content":"dear"')
        expect(response.headers.get('x-perigee-provider')).to.equal(dearAddress)
        const { attempts } = await decisionOf(response)
        expect(attempts.at(-1)).to.include({ provider: dearAddress, outcome: 'answered' })
        expect(attempts[0]).to.include({ provider: cheapAddress, outcome: 'failed' })
        expect(attempts[0]!.reason).to.be.a('string')
        expect(dear.received[0]!.body).to.equal(cheap.received[0]!.body)
      })
    }
  }

  it('given a provider that failed, then it is the last choice for a while', async () => {
    await start()
    cheap.instead = down as OpenAiServer['instead']
    await post(chat)
    cheap.instead = undefined
    cheap.received.length = 0
    const response = await post(chat)
    expect(response.headers.get('x-perigee-provider')).to.equal(dearAddress)
    expect((await decisionOf(response)).candidates.map(({ resting }) => resting)).to.deep.equal([false, true])
    await eventually('it is asked again', async () => (await post(chat)).headers.get('x-perigee-provider') === cheapAddress)
  })

  it('given a stream that breaks off, then no other provider goes on with it: it ends in an error that the client throws', async () => {
    const { url } = await start()
    cheap.instead = breakOffAfter([CHUNKS[0]!])
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 })
    let text = ''
    const error = await (async () => {
      for await (const chunk of await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'x' }], stream: true })) {
        text += chunk.choices[0]?.delta.content ?? ''
      }
    })().catch((reason: unknown) => reason)
    expect(text).to.equal('one ')
    expect(error).to.be.instanceOf(APIError)
    expect((error as APIError).message).to.include('broke off its answer')
    expect(dear.received).to.deep.equal([])
  })

  it('given a connection that is cut before an answer, then the same provider is asked again with the same idempotency key', async () => {
    await start()
    cheap.instead = (_, reply) => {
      cheap.instead = undefined
      return reply.hijack().raw.destroy()
    }
    const response = await post(chat)
    expect(await content(response)).to.equal('cheap')
    expect(response.headers.get('x-perigee-attempts')).to.equal('2')
    const keys = cheap.received.map(({ headers }) => headers['idempotency-key'])
    expect(keys.length).to.equal(2)
    expect(keys[0]).to.be.a('string').and.equal(keys[1])
  })

  it('given a request that its client repeats, also after a restart, then it goes where it was before with the same key', async () => {
    const name = 'compute/gateway/repeated'
    await start({}, name)
    cheap.instead = down as OpenAiServer['instead']
    const first = await post(chat, { 'idempotency-key': 'order 7' })
    expect(first.headers.get('x-perigee-provider')).to.equal(dearAddress)
    await running!.stop()
    cheap.instead = undefined
    cheap.received.length = 0
    await start({}, name)
    const again = await post(chat, { 'idempotency-key': 'order 7' })
    expect(again.headers.get('x-perigee-provider')).to.equal(dearAddress)
    expect(cheap.received).to.deep.equal([])
    expect(dear.received[1]!.headers['idempotency-key']).to.equal(dear.received[0]!.headers['idempotency-key'])
    const other = await post({ ...chat, temperature: 1 }, { 'idempotency-key': 'order 7' })
    expect(other.status).to.equal(422)
    expect(((await other.json()) as { error: { code: string } }).error.code).to.equal('idempotency_key_reused')
    await post(chat)
    expect(cheap.received[0]!.headers['idempotency-key']).to.not.equal(dear.received[0]!.headers['idempotency-key'])
    expect((await post(chat, { 'idempotency-key': 'k'.repeat(256) })).status).to.equal(400)
  })

  it('given a session that the provider does not take any more, then a new one is made', async () => {
    await start()
    const tokens: unknown[] = []
    cheap.instead = ({ headers }, reply) => {
      tokens.push(headers.authorization)
      cheap.instead = undefined
      return reply.code(401).send({ error: { code: 'session_revoked', message: 'revoked' } })
    }
    expect(await content(await post(chat))).to.equal('cheap')
    expect(cheap.received[1]!.headers.authorization).to.not.equal(tokens[0])
  })

  it("given a request at fault, then the provider's words reach the client, and nobody else is asked", async () => {
    await start()
    cheap.instead = (_, reply) =>
      reply.code(400).send({ error: { message: 'temperature is 9', type: 'invalid_request_error', param: null, code: 'invalid_request' } })
    const response = await post(chat)
    expect(response.status).to.equal(400)
    expect(((await response.json()) as { error: { message: string } }).error.message).to.equal('temperature is 9')
    expect(dear.received).to.deep.equal([])
    expect(await decisionOf(response)).to.include({ outcome: 'refused', provider: cheapAddress })
  })

  it('given providers that all fail, then the client learns why each did, in an error of its own', async () => {
    await start()
    for (const server of [cheap, dear]) server.instead = down as OpenAiServer['instead']
    const response = await post(chat)
    expect(response.status).to.equal(502)
    const { error } = (await response.json()) as { error: { message: string; code: string; type: string } }
    expect(error).to.include({ code: 'providers_failed', type: 'server_error' })
    expect(error.message).to.include(`${cheapAddress}: HTTP 500, out of order`).and.to.include(dearAddress)
    for (const server of [cheap, dear])
      server.instead = (_, reply) =>
        reply
          .code(429)
          .header('retry-after', '9')
          .send({ error: { message: 'busy' } })
    const busy = await post(chat)
    expect([busy.status, busy.headers.get('retry-after')]).to.deep.equal([429, '9'])
    for (const server of [cheap, dear]) server.instead = (_, reply) => reply.code(402).send({ error: { message: 'empty' } })
    expect((await post(chat)).status).to.equal(402)
  })

  it('given one attempt only, then the next provider is not tried', async () => {
    await start({ attempts: 1 })
    cheap.instead = down as OpenAiServer['instead']
    expect((await post(chat)).status).to.equal(502)
    expect(dear.received).to.deep.equal([])
  })

  it('given a provider that is gone, then it is passed over, and taken back when it returns', async () => {
    await start()
    const { port } = new URL(cheap.url)
    await cheap.stop()
    await eventually('it is passed over', async () =>
      (await decisionOf(await post(chat))).passedOver.some(({ reason }) => reason.includes('it does not answer')),
    )
    cheap = await startOpenAiServer({ name: 'cheap', port: Number(port) })
    await eventually('it is back', async () => (await post(chat)).headers.get('x-perigee-provider') === cheapAddress)
  })

  it('given a price cap, then dearer providers are not asked, whoever else fails', async () => {
    await start({ maxInputPrice: 10n, maxOutputPrice: 20n })
    cheap.instead = down as OpenAiServer['instead']
    const response = await post(chat)
    expect(response.status).to.equal(502)
    expect(dear.received).to.deep.equal([])
    expect((await decisionOf(response)).passedOver).to.deep.equal([{ provider: dearAddress, reason: 'it takes 1000 wei a unit of input, more than 10' }])
  })

  it('given a model that only one serves, or nobody, then that one answers, or nobody', async () => {
    dear.models = ['m', 'special']
    await start()
    expect((await post({ ...chat, model: 'special' })).headers.get('x-perigee-provider')).to.equal(dearAddress)
    const response = await post({ ...chat, model: 'none' })
    expect(response.status).to.equal(404)
    expect(((await response.json()) as { error: { code: string } }).error.code).to.equal('model_not_found')
  })

  it('given providers without attestation or funds, then they are not asked, and it says why', async () => {
    const unattested = await registerService(chain, { account: 8, url: cheap.url, inputPrice: 1n, outputPrice: 1n, attested: false, funds: parseEther('1') })
    const unfunded = await registerService(chain, { account: 9, url: cheap.url, inputPrice: 1n, outputPrice: 1n })
    await start()
    const { passedOver, provider } = await decisionOf(await post(chat))
    expect(provider).to.equal(cheapAddress)
    expect(passedOver).to.deep.equal([
      { provider: unattested, reason: 'its signer is not attested' },
      { provider: unfunded, reason: 'there is no sub-account at it: transfer funds to it' },
    ])
    await running!.stop()
    await start({ providers: [unattested] })
    const refused = await post(chat)
    expect(refused.status).to.equal(503)
    expect(((await refused.json()) as { error: { message: string } }).error.message).to.include('its signer is not attested')
    expect((await fetch(`${running!.url}/readyz`)).status).to.equal(503)
  })

  it('given a registry of simulated evidence that was not asked for, then nobody is asked', async () => {
    await start({ allowDevelopment: false })
    const response = await post(chat)
    expect(response.status).to.equal(503)
    expect(((await response.json()) as { error: { message: string } }).error.message).to.include('is not trusted: its root is simulated')
    expect(await running!.keeper.ready()).to.include('is not trusted')
  })

  it('given users with API keys, then only they may ask, each with a key of their own on chain, and see their own decisions', async () => {
    const apiKeys = { alice: { key: 'alice-secret-key-1', tokenId: 3 }, bob: { key: 'bob-secret-key-22' } }
    await start({ apiKeys })
    const asAlice = { authorization: 'Bearer alice-secret-key-1' }
    const asBob = { authorization: 'Bearer bob-secret-key-22' }
    for (const headers of [{}, { authorization: 'Bearer wrong-secret-key-1' }] as Record<string, string>[]) {
      const refused = await post(chat, headers)
      expect(refused.status).to.equal(401)
      expect(((await refused.json()) as { error: { type: string } }).error.type).to.equal('authentication_error')
      expect((await fetch(`${running!.url}/v1/models`, { headers })).status).to.equal(401)
    }
    const response = await post(chat, asAlice)
    await post(chat, asBob)
    const tokenIds = cheap.received.map(
      ({ headers }) => JSON.parse(Buffer.from(String(headers.authorization).slice('Bearer app-sk-'.length), 'base64').toString().split('|')[0]!).tokenId,
    )
    expect(tokenIds).to.deep.equal([3, 255])
    expect(await decisionOf(response, asAlice)).to.include({ user: 'alice' })
    const { status } = await fetch(`${running!.url}/v1/decisions/${response.headers.get('x-perigee-decision')}`, { headers: asBob })
    expect(status).to.equal(404)
  })

  it('given no API keys and an address that others reach, then it refuses to start', async () => {
    const error = await start({ host: '0.0.0.0' }).then(
      () => undefined,
      (reason: Error) => reason,
    )
    expect(error?.message).to.include('set API_KEYS')
  })

  const malformed: [what: string, body: string, message: string][] = [
    ['no JSON', '{"model":', 'the body is not JSON'],
    ['bytes that are not UTF-8', '', 'the body is not JSON'],
    ['no model', '{"messages":[]}', 'model is not valid'],
    ['a list', '[]', 'the body is not valid'],
    ['a stream that is neither', '{"model":"m","stream":"yes"}', 'stream is not valid'],
  ]
  for (const [what, body, message] of malformed) {
    it(`given ${what}, then it is refused before anybody is asked`, async () => {
      await start()
      const response = await fetch(`${running!.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: body === '' ? Uint8Array.of(0x22, 0xff, 0x22) : body,
      })
      expect(response.status).to.equal(400)
      expect(((await response.json()) as { error: { message: string } }).error.message).to.include(message)
      expect(cheap.received).to.deep.equal([])
    })
  }

  it('given a client that leaves, then the provider is told to stop', async () => {
    await start()
    const closed = Promise.withResolvers<void>()
    cheap.instead = ({ raw }, reply) => {
      raw.once('close', () => closed.resolve())
      reply.hijack().raw.writeHead(200, { 'content-type': 'text/event-stream' })
      reply.raw.write(CHUNKS[0])
    }
    const leaving = new AbortController()
    const response = await fetch(`${running!.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...chat, stream: true }),
      signal: leaving.signal,
    })
    await response.body!.getReader().read()
    leaving.abort()
    await closed.promise
    await eventually('it is written down', async () => (await decisionOf(response)).outcome === 'cancelled')
    expect(dear.received).to.deep.equal([])
  })

  it('given an endpoint that goes away, then it answers on by what it knew, says so, and is ready again when it is back', async () => {
    const proxy = await startRpcProxy(chain.chain.url)
    await start({ rpcUrl: proxy.url })
    await proxy.down()
    await eventually('it says so', async () => ((await running!.keeper.ready()) ?? '').includes("the services can't be read"))
    expect(await content(await post(chat))).to.equal('cheap')
    await proxy.up()
    await eventually('it is ready again', async () => (await running!.keeper.ready()) === undefined)
    await running!.stop()
    running = undefined
    await proxy.down()
  })

  it('given metrics, then they say how each provider does', async () => {
    await start()
    await post(chat)
    const text = await (await fetch(`${running!.url}/metrics`)).text()
    expect(text).to.match(new RegExp(`gateway_attempts_total\\{provider="${cheapAddress}",outcome="answered"[^}]*\\} 1`))
    expect(text).to.match(/gateway_providers\{[^}]*\} 2/)
    expect(text).to.match(/gateway_requests_total\{outcome="answered"[^}]*\} 1/)
    const listed = (await (await fetch(`${running!.url}/v1/providers`)).json()) as { address: string; latencyMs: number }[]
    expect(listed.find(({ address }) => address === cheapAddress)!.latencyMs).to.be.greaterThan(0)
  })
})
