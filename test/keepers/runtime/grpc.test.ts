import { once } from 'node:events'
import { type Client, credentials, loadPackageDefinition, type ServiceDefinition, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { expect } from 'chai'
import { createGrpc, type Grpc, type GrpcOptions } from '../../../keepers/runtime/grpc.ts'
import { GrpcError } from '../../../keepers/runtime/grpc-error.ts'
import type { GrpcHandler } from '../../../keepers/runtime/grpc-handler.ts'
import { createMetrics } from '../../../keepers/runtime/metrics.ts'
import { eventually, rememberingLog } from './quiet.ts'

const load = (file: string) => loadSync(file, { defaults: true })
const definition = load(`${import.meta.dirname}/fixture/echo.proto`)['test.v1.Echo'] as ServiceDefinition
const health = load('node_modules/grpc-health-check/proto/health/v1/health.proto')
const reflection = ['v1', 'v1alpha'].map((version) => load(`node_modules/@grpc/reflection/build/proto/grpc/reflection/${version}/reflection.proto`))

interface Text {
  text: string
  filling?: Uint8Array
}

const { log, lines } = rememberingLog()

describe('the gRPC server of a keeper', () => {
  let grpc: Grpc
  let client: any
  let metrics = createMetrics('test/keeper')
  let reason: string | undefined
  let release: () => void
  let taken: string[]
  const clients: Client[] = []

  const handlers: Record<string, GrpcHandler> = {
    async One({ text }: Text, { signal }) {
      if (text === 'refuse') throw GrpcError.failedPrecondition('not in this state')
      if (text === 'crash') throw new Error('a bug in /home/secret')
      if (text === 'wait') await new Promise<void>((resolve) => (release = resolve))
      if (text === 'until gone') await once(signal, 'abort').then(() => taken.push('told that the caller is gone'))
      return { text }
    },
    async Join(texts: AsyncIterable<Text>) {
      let joined = ''
      for await (const { text } of texts) joined += text
      return { text: joined }
    },
    async *Split({ text, filling }: Text) {
      for (const letter of text) {
        taken.push(letter)
        yield { text: letter, filling }
      }
      if (text === 'no') throw GrpcError.notFound('no more')
    },
    async *Each(texts: AsyncIterable<Text>) {
      for await (const { text } of texts) {
        taken.push(text)
        if (text === 'wait') await new Promise<void>((resolve) => (release = resolve))
        yield { text: text.toUpperCase() }
      }
    },
  }

  const connect = (loaded: ReturnType<typeof load>, path: string): any => {
    const Service = path.split('.').reduce((part: any, name) => part[name], loadPackageDefinition(loaded))
    const made = new Service(grpc.url, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 })
    clients.push(made)
    return made
  }
  const serve = async (more: Partial<GrpcOptions> = {}): Promise<void> => {
    metrics = createMetrics('test/keeper')
    grpc = createGrpc({ host: '127.0.0.1', port: 0, log, metrics, ready: async () => reason, services: [{ definition, handlers }], ...more })
    await grpc.listen()
    client = connect(load(`${import.meta.dirname}/fixture/echo.proto`), 'test.v1.Echo')
  }
  const unary = (of: any, method: string, request: object, options = {}): Promise<any> =>
    new Promise((resolve, reject) => of[method](request, options, (error: Error | null, reply: unknown) => (error ? reject(error) : resolve(reply))))
  const codeOf = (call: Promise<unknown>): Promise<[string, string]> =>
    call.then(
      () => ['OK', ''],
      ({ code, details }) => [status[code]!, details],
    )
  const collect = async (call: any): Promise<string[]> => {
    const texts: string[] = []
    for await (const { text } of call) texts.push(text)
    return texts
  }
  /** What could come on this connection meanwhile has come. */
  const roundTrips = async () => {
    for (let i = 0; i < 20; i++) await unary(client, 'One', { text: 'a' })
  }
  const metric = async (name: string) => (await metrics.metrics()).split('\n').filter((line) => line.startsWith(name))

  beforeEach(() => {
    reason = undefined
    taken = []
    release = () => {}
    lines.length = 0
  })
  afterEach(async () => {
    for (const each of clients.splice(0)) each.close()
    await grpc.close()
  })

  it('serves calls of all four kinds on a free port, whose number can be read', async () => {
    await serve()
    expect(grpc.url).to.match(/^127\.0\.0\.1:[1-9]\d+$/)
    expect(await unary(client, 'One', { text: 'a' })).to.include({ text: 'a' })
    const joined = new Promise<Text>((resolve, reject) => {
      const call = client.Join((error: Error | null, reply: Text) => (error ? reject(error) : resolve(reply)))
      for (const text of ['a', 'b', 'c']) call.write({ text })
      call.end()
    })
    expect((await joined).text).to.equal('abc')
    expect(await collect(client.Split({ text: 'xyz' }))).to.deep.equal(['x', 'y', 'z'])
    const each = client.Each()
    for (const text of ['a', 'b']) each.write({ text })
    each.end()
    expect(await collect(each)).to.deep.equal(['A', 'B'])
  })

  it('says that a port is taken, and what to do', async () => {
    await serve()
    const second = createGrpc({ host: '127.0.0.1', port: Number(grpc.url.split(':')[1]), log, metrics, ready: async () => undefined, services: [] })
    const error = await second.listen().catch((error: Error) => error)
    expect((error as Error).message).to.match(/^port \d+ on 127.0.0.1 is taken: .*--port/)
    await second.close()
  })

  it('does not start without a handler for each method', () => {
    const { One, ...others } = handlers
    expect(() => createGrpc({ host: '127.0.0.1', port: 0, log, metrics, ready: async () => undefined, services: [{ definition, handlers: others }] })).to.throw(
      'no handler for /test.v1.Echo/One',
    )
  })

  it('gives the caller a refusal as it is, and of a fault of ours nothing but that; that is logged once', async () => {
    await serve()
    expect(await codeOf(unary(client, 'One', { text: 'refuse' }))).to.deep.equal(['FAILED_PRECONDITION', 'not in this state'])
    expect(await codeOf(collect(client.Split({ text: 'no' })))).to.deep.equal(['NOT_FOUND', 'no more'])
    expect(lines).to.deep.equal([])
    expect(await codeOf(unary(client, 'One', { text: 'crash' }))).to.deep.equal(['INTERNAL', 'internal error'])
    expect(lines).to.have.length(1)
    expect(lines[0]).to.deep.include({ level: 'error', message: 'a call failed' })
    expect((lines[0]!.facts.err as Error).message).to.equal('a bug in /home/secret')
  })

  it('counts calls by method and code, their time, and bytes', async () => {
    await serve()
    await unary(client, 'One', { text: 'abc' })
    await codeOf(unary(client, 'One', { text: 'refuse' }))
    await codeOf(unary(client, 'One', { text: 'until gone' }, { deadline: Date.now() + 50 }))
    await eventually('the last is counted', async () => (await metric('grpc_call_duration_seconds_count')).length === 3)
    const count = (code: string) => `grpc_call_duration_seconds_count{keeper="test/keeper",method="/test.v1.Echo/One",code="${code}"} 1`
    expect(await metric('grpc_call_duration_seconds_count')).to.have.members(['OK', 'FAILED_PRECONDITION', 'DEADLINE_EXCEEDED'].map(count))
    // A field's tag, a length, the letters: 2 + 3, 2 + 6, 2 + 10.
    expect(await metric('grpc_received_bytes_total')).to.deep.equal(['grpc_received_bytes_total{method="/test.v1.Echo/One",keeper="test/keeper"} 25'])
    expect(await metric('grpc_sent_bytes_total')).to.deep.equal(['grpc_sent_bytes_total{method="/test.v1.Echo/One",keeper="test/keeper"} 5'])
    expect(await metric('grpc_calls{')).to.deep.equal(['grpc_calls{keeper="test/keeper"} 0'])
  })

  it('tells a handler that its caller is gone', async () => {
    await serve()
    const call = client.One({ text: 'until gone' }, () => {})
    await eventually('it is under way', async () => (await metric('grpc_calls{'))[0]!.endsWith(' 1'))
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    const before = timers()
    call.cancel()
    await eventually('the handler knows', () => taken.length === 1)
    await roundTrips()
    expect(timers(), 'nothing waits for what it answers').to.be.at.most(before)
    expect(lines).to.deep.equal([])
  })

  it('refuses a message that is too large', async () => {
    await serve({ maxMessageBytes: 1000 })
    const [code] = await codeOf(unary(client, 'One', { text: 'a', filling: new Uint8Array(1000) }))
    expect(code).to.equal('RESOURCE_EXHAUSTED')
    expect(await codeOf(unary(client, 'One', { text: 'a', filling: new Uint8Array(900) }))).to.deep.equal(['OK', ''])
  })

  it('reads no request that is larger than those of its method can be', async () => {
    await serve({ services: [{ definition, handlers, maxRequestBytes: { One: 100 } }] })
    expect(await codeOf(unary(client, 'One', { text: 'x'.repeat(90) }))).to.deep.equal(['OK', ''])
    const [code, details] = await codeOf(unary(client, 'One', { text: 'x'.repeat(100) }))
    expect([code, details]).to.deep.equal(['INTERNAL', 'Error deserializing request'])
    expect(await collect(client.Split({ text: 'x'.repeat(200) }))).to.have.length(200)
  })

  it('refuses calls beyond its limit, but still says how it is', async () => {
    await serve({ maxCalls: 1 })
    const first = unary(client, 'One', { text: 'wait' })
    await eventually('the first is under way', async () => (await metric('grpc_calls{'))[0]!.endsWith(' 1'))
    expect((await codeOf(unary(client, 'One', { text: 'b' })))[0]).to.equal('RESOURCE_EXHAUSTED')
    expect(await unary(connect(health, 'grpc.health.v1.Health'), 'Check', {})).to.deep.equal({ status: 1 })
    release()
    await first
    expect(await unary(client, 'One', { text: 'b' })).to.include({ text: 'b' })
  })

  it('reads the next message of a stream only when the last was taken', async () => {
    const sizes: number[] = []
    const original = definition.Each!
    const requestDeserialize = (bytes: Buffer) => {
      sizes.push(bytes.length)
      return original.requestDeserialize(bytes)
    }
    const watched = { ...definition, Each: { ...original, requestDeserialize } }
    await serve({ services: [{ definition: watched, handlers }] })
    const call = client.Each()
    call.write({ text: 'wait' })
    for (let i = 0; i < 20; i++) call.write({ text: 'b', filling: new Uint8Array(500_000) })
    await eventually('the first is taken', () => taken.length === 1)
    await roundTrips()
    expect(sizes.length).to.be.below(6)
    release()
    call.end()
    expect(await collect(call)).to.have.length(21)
    expect(sizes).to.have.length(21)
  })

  it('sends the next message of a stream only when the last was taken', async () => {
    await serve()
    const call = client.Split({ text: 'a'.repeat(40), filling: new Uint8Array(1_000_000) })
    await once(call, 'readable')
    await roundTrips()
    expect(taken.length).to.be.below(30)
    expect(await collect(call)).to.have.length(40)
  })

  it('gives up a caller that leaves it waiting', async () => {
    await serve({ patienceMs: 50 })
    const call = client.Each()
    call.write({ text: 'a' })
    expect(await codeOf(collect(call))).to.deep.equal(['DEADLINE_EXCEEDED', 'nothing came for 50 ms'])
    await eventually('it is over', async () => (await metric('grpc_calls{'))[0]!.endsWith(' 0'))
  })

  it('says through grpc.health.v1 whether it can serve, as a whole and by service, also to those who watch', async () => {
    await serve()
    const checks = connect(health, 'grpc.health.v1.Health')
    expect(await unary(checks, 'Check', {})).to.deep.equal({ status: 1 })
    expect(await unary(checks, 'Check', { service: 'test.v1.Echo' })).to.deep.equal({ status: 1 })
    expect((await codeOf(unary(checks, 'Check', { service: 'test.v1.Other' })))[0]).to.equal('NOT_FOUND')
    const seen: number[] = []
    checks.Watch({ service: 'test.v1.Echo' }).on('data', ({ status }: { status: number }) => seen.push(status))
    await eventually('it watches', () => seen.length === 1)
    reason = 'the chain does not answer'
    expect(await unary(checks, 'Check', {})).to.deep.equal({ status: 2 })
    await eventually('the watcher knows', () => seen.length === 2)
    expect(seen).to.deep.equal([1, 2])
  })

  it('describes its services by reflection, in both versions', async () => {
    await serve()
    for (const [index, path] of ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'].entries()) {
      const ask = async (request: object): Promise<any> => {
        const call = connect(reflection[index]!, path).ServerReflectionInfo()
        call.on('error', () => {}) // cancelled by closing the client
        call.end(request)
        const [answer] = await once(call, 'data')
        return answer
      }
      const { listServicesResponse } = await ask({ listServices: '*' })
      expect(listServicesResponse.service.map(({ name }: { name: string }) => name)).to.deep.equal(['test.v1.Echo'])
      const { fileDescriptorResponse } = await ask({ fileContainingSymbol: 'test.v1.Echo' })
      expect(Buffer.concat(fileDescriptorResponse.fileDescriptorProto).toString('latin1')).to.include('filling')
    }
  })

  it('closes at once when only idle streams and watchers are left, and tells them', async () => {
    await serve()
    const idle = client.Each()
    idle.write({ text: 'a' })
    await once(idle, 'data')
    const ended = codeOf(collect(idle))
    const watch = connect(health, 'grpc.health.v1.Health').Watch({})
    watch.on('error', () => {})
    await once(watch, 'data')
    const start = performance.now()
    await grpc.close()
    expect(performance.now() - start).to.be.below(2000)
    expect(await ended).to.deep.equal(['UNAVAILABLE', 'shutting down'])
  })

  it('lets a call in hand finish when it closes, but no longer than its grace', async () => {
    await serve()
    const call = unary(client, 'One', { text: 'wait' })
    await eventually('it is under way', async () => (await metric('grpc_calls{'))[0]!.endsWith(' 1'))
    const closed = grpc.close()
    release()
    expect(await call).to.include({ text: 'wait' })
    await closed

    await serve()
    const stuck = codeOf(unary(client, 'One', { text: 'wait' }))
    await eventually('it is under way', async () => (await metric('grpc_calls{'))[0]!.endsWith(' 1'))
    await grpc.close()
    expect((await stuck)[0]).to.not.equal('OK')
  })
})
