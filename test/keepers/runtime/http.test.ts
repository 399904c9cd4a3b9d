import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import fc from 'fast-check'
import { Agent, fetch, setGlobalDispatcher } from 'undici'
import { z } from 'zod'
import { createHttp, type Http, type HttpOptions } from '../../../keepers/runtime/http.ts'
import { jsonRpc, RpcError, type RpcMethod, rpcMethod } from '../../../keepers/runtime/jsonrpc.ts'
import { createMetrics } from '../../../keepers/runtime/metrics.ts'
import { eventually, rememberingLog } from './quiet.ts'

const { log, lines } = rememberingLog()
const KILOBYTE = 1000

const methods: Record<string, RpcMethod> = {
  echo: rpcMethod(z.tuple([z.string().describe('text')]), (text) => text),
  nothing: rpcMethod(z.tuple([]), () => undefined),
  add: rpcMethod(z.tuple([z.int().describe('a'), z.int().optional().describe('b')]), (a, b = 0) => a + b),
  put: rpcMethod(z.tuple([z.array(z.object({ data: z.base64() })).describe('segments')]), (segments) => segments.length),
  refuse: rpcMethod(z.tuple([]), () => {
    throw RpcError.invalidParams('root', 'already uploaded and finalized')
  }),
  mismatch: rpcMethod(z.tuple([]), () => {
    throw RpcError.internal('data root and tx seq not match')
  }),
  fail: rpcMethod(z.tuple([]), () => {
    throw RpcError.failed('data is empty')
  }),
  crash: rpcMethod(z.tuple([]), () => {
    throw new Error('a bug')
  }),
}

describe('the HTTP server of a keeper', () => {
  let http: Http
  let reason: string | undefined

  const serve = async (more: Partial<HttpOptions> = {}, served = methods): Promise<void> => {
    const metrics = createMetrics('test/keeper')
    http = createHttp({ host: '127.0.0.1', port: 0, log, metrics, ready: async () => reason, ...more })
    http.app.register(jsonRpc(served, { log, metrics }))
    await http.listen()
  }
  const post = (body: string, headers: Record<string, string> = { 'content-type': 'application/json' }) => fetch(http.url, { method: 'POST', body, headers })
  const call = async (method: string, params?: unknown, id: unknown = 1): Promise<any> => {
    const response = await post(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
    expect(response.status).to.equal(200)
    return response.json()
  }
  const metric = async (name: string) => (await (await fetch(`${http.url}/metrics`)).text()).split('\n').filter((line) => line.startsWith(name))

  before(() => setGlobalDispatcher(new Agent({ connections: 2000 })))
  beforeEach(() => {
    reason = undefined
    lines.length = 0
  })
  afterEach(() => http.close())

  it('says whether it lives and whether it can serve, with the reason', async () => {
    await serve()
    expect((await fetch(`${http.url}/healthz`)).status).to.equal(200)
    expect((await fetch(`${http.url}/readyz`)).status).to.equal(200)
    reason = 'the chain does not answer'
    const response = await fetch(`${http.url}/readyz`)
    expect(response.status).to.equal(503)
    expect(await response.json()).to.deep.equal({ status: 'not ready', reason })
    expect((await fetch(`${http.url}/healthz`)).status).to.equal(200)
  })

  it('serves its own numbers and those of the process', async () => {
    await serve()
    await call('echo', ['x'])
    await call('crash')
    expect(await metric('process_resident_memory_bytes')).to.have.length(1)
    expect(await metric('rpc_request_duration_seconds_count')).to.have.members([
      'rpc_request_duration_seconds_count{keeper="test/keeper",method="echo",code="0"} 1',
      'rpc_request_duration_seconds_count{keeper="test/keeper",method="crash",code="-32603"} 1',
    ])
    expect(await metric('http_request_duration_seconds_count{keeper="test/keeper",method="POST",route="/",status="200"')).to.have.length(1)
  })

  it('lets browsers in', async () => {
    await serve()
    const response = await fetch(http.url, {
      method: 'OPTIONS',
      headers: { origin: 'http://app', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    })
    expect(response.status).to.equal(204)
    expect(response.headers.get('access-control-allow-origin')).to.equal('*')
  })

  it('says which port is taken', async () => {
    await serve()
    const port = Number(new URL(http.url).port)
    const second = createHttp({ host: '127.0.0.1', port, log, metrics: createMetrics('b'), ready: async () => undefined })
    const error = await second.listen().catch((error: Error) => error)
    expect((error as Error).message).to.equal(`port ${port} on 127.0.0.1 is taken: stop what listens there, or choose another with --port`)
  })

  describe('speaking JSON-RPC', () => {
    beforeEach(() => serve())

    it('answers, with an explicit null for nothing, echoing any id', async () => {
      expect(await call('echo', ['hi'])).to.deep.equal({ jsonrpc: '2.0', id: 1, result: 'hi' })
      expect(await call('nothing', undefined, null)).to.deep.equal({ jsonrpc: '2.0', id: null, result: null })
      expect(await call('add', [1])).to.include({ result: 1 })
      const big = await post('{"jsonrpc":"2.0","method":"add","params":[1,2],"id":18014398509481984}')
      expect(await big.text()).to.include('"id":18014398509481984')
    })

    it('answers errors as the specification words them', async () => {
      const error = async (method: string, params?: unknown) => (await call(method, params)).error
      expect(await error('refuse')).to.deep.equal({ code: -32602, message: 'Invalid params: root', data: 'already uploaded and finalized' })
      expect(await error('mismatch')).to.deep.equal({ code: -32603, message: 'Internal error', data: 'data root and tx seq not match' })
      expect(await error('fail')).to.deep.equal({ code: -32000, message: 'data is empty' })
      expect(await error('none')).to.deep.equal({ code: -32601, message: 'Method not found' })
      for (const name of ['constructor', '__proto__', 'toString']) expect(await error(name)).to.include({ code: -32601 })
      const logged = () => lines.filter(({ level }) => level === 'error').map(({ message, facts }) => [message, facts.method])
      expect(logged()).to.deep.equal([])
      expect(await error('crash')).to.deep.equal({ code: -32603, message: 'Internal error', data: 'a bug' })
      expect(logged()).to.deep.equal([['a request failed', 'crash']])
    })

    it('names the parameter that is wrong', async () => {
      const error = async (method: string, params: unknown) => (await call(method, params)).error
      expect(await error('echo', [7])).to.deep.equal({ code: -32602, message: 'Invalid params: text', data: 'Invalid input: expected string, received number' })
      expect(await error('put', [[{ data: 'AA==' }, { data: '%' }]])).to.include({ message: 'Invalid params: segments[1].data' })
      expect(await error('echo', ['a', 'b'])).to.include({ message: 'Invalid params: params', data: 'expected 1 parameters, got 2' })
      expect(await error('echo', { text: 'a' })).to.include({ code: -32602 })
    })

    it('answers a batch in order, leaves out notifications, and nothing but notifications with nothing', async () => {
      const body = [
        { jsonrpc: '2.0', id: 1, method: 'echo', params: ['a'] },
        { jsonrpc: '2.0', method: 'echo', params: ['b'] },
        7,
        { jsonrpc: '2.0', id: 'x', method: 'none' },
      ]
      expect(await (await post(JSON.stringify(body))).json()).to.deep.equal([
        { jsonrpc: '2.0', id: 1, result: 'a' },
        { jsonrpc: '2.0', id: null, error: { code: -32600, message: 'Invalid Request' } },
        { jsonrpc: '2.0', id: 'x', error: { code: -32601, message: 'Method not found' } },
      ])
      const one = await (await post(JSON.stringify(body.slice(0, 1)))).json()
      expect(one).to.be.an('array').with.length(1)
      expect((await post(JSON.stringify(body.slice(1, 2)))).status).to.equal(204)
    })

    it('answers what is not a request with an error and HTTP 200', async () => {
      const answer = async (body: string, headers?: Record<string, string>) => {
        const response = await post(body, headers)
        expect(response.status).to.equal(200)
        return ((await response.json()) as any).error
      }
      for (const body of ['', '{', 'hello', '{"jsonrpc":']) expect(await answer(body)).to.deep.equal({ code: -32700, message: 'Parse error' })
      for (const body of ['null', '5', '[]', '{}', '"x"', '{"jsonrpc":"2.0","method":1,"id":1}', '{"jsonrpc":"2.0","method":"echo","params":"a","id":1}']) {
        expect(await answer(body)).to.deep.equal({ code: -32600, message: 'Invalid Request' })
      }
      expect(await answer('{', { 'content-type': 'text/plain' })).to.include({ code: -32700 })
      expect(await answer(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'echo', params: ['a'.repeat(2 ** 20)] }))).to.include({ code: -32600 })
      expect(await answer(JSON.stringify(Array(1001).fill({ jsonrpc: '2.0', id: 1, method: 'nothing' })))).to.include({
        message: 'more than 1000 requests in a batch',
      })
    })
  })

  it('stays healthy under ten thousand malformed requests', async function () {
    this.timeout(240_000)
    await serve()
    const name = fc.oneof(fc.constantFrom(...Object.keys(methods)), fc.string())
    const request = fc.record(
      { jsonrpc: fc.oneof(fc.constant('2.0'), fc.jsonValue()), id: fc.jsonValue(), method: fc.oneof(name, fc.jsonValue()), params: fc.jsonValue() },
      { requiredKeys: [] },
    )
    const body = fc.oneof(
      request.map((value) => JSON.stringify(value)),
      fc.array(request, { maxLength: 5 }).map((value) => JSON.stringify(value)),
      fc.json(),
      fc.string(),
      request.map((value) => JSON.stringify(value).slice(1)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(body, { minLength: 100, maxLength: 100 }), async (bodies) => {
        const answers = await Promise.all(
          bodies.map(async (each) => {
            const response = await post(each)
            return { status: response.status, text: await response.text() }
          }),
        )
        for (const { status, text } of answers) {
          expect(status).to.be.oneOf([200, 204])
          if (status === 204) continue
          const answer = JSON.parse(text)
          for (const each of [answer].flat()) {
            expect(each.jsonrpc).to.equal('2.0')
            expect('result' in each || Number.isInteger(each.error.code)).to.equal(true)
          }
        }
      }),
      { numRuns: 100, seed: 7 },
    )
    expect(await call('echo', ['still here'])).to.include({ result: 'still here' })
    expect((await fetch(`${http.url}/healthz`)).status).to.equal(200)
  })

  it('takes a thousand bodies of 350 kB at once, holding no more of them in memory than allowed', async function () {
    this.timeout(120_000)
    const limit = 20 * 350 * KILOBYTE
    await serve({ bodyLimit: 1_000_000, maxBodyBytes: limit, patienceMs: 100_000 })
    const data = randomBytes(262_500).toString('base64')
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'put', params: [[{ data }]] })
    expect(body.length).to.be.greaterThan(350 * KILOBYTE)
    let most = 0
    let watching = true
    const watch = (async () => {
      while (watching) {
        const line = (await metric('http_request_body_bytes'))[0]!
        most = Math.max(most, Number(line.split(' ').at(-1)))
        await sleep(20)
      }
    })()
    const answers = await Promise.all(Array.from({ length: 1000 }, async () => ((await (await post(body)).json()) as any).result))
    watching = false
    await watch
    expect(answers.every((result) => result === 1)).to.equal(true)
    expect(most).to.be.at.most(limit)
    expect((await metric('http_request_body_bytes'))[0]).to.match(/ 0$/)
  })

  it('refuses, in words the client knows, what has waited too long for room', async () => {
    let finish = () => {}
    const busy = new Promise<void>((resolve) => {
      finish = resolve
    })
    const slow = { ...methods, slow: rpcMethod(z.tuple([z.string()]), () => busy) }
    await serve({ maxBodyBytes: 1000, patienceMs: 50 }, slow)
    const held = call('slow', ['x'.repeat(900)])
    await eventually('the first is inside', async () => !(await metric('http_request_body_bytes'))[0]!.endsWith(' 0'))
    const refused = await Promise.all([call('echo', ['x'.repeat(900)]), call('echo', ['x'.repeat(900)])])
    for (const { error } of refused) expect(error.message).to.match(/^too many data writing: [12]$/)
    finish()
    await held
    expect(await call('echo', ['x'.repeat(900)])).to.include({ id: 1 })
  })

  it('gives back the room of a client that goes away', async () => {
    await serve({ maxBodyBytes: 1000, patienceMs: 5000 })
    const { port } = new URL(http.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\npart of it`)
    await eventually('it is inside', async () => (await metric('http_request_body_bytes'))[0]!.endsWith(' 900'))
    socket.destroy()
    expect(await call('echo', ['x'.repeat(900)])).to.include({ id: 1 })
  })
})
