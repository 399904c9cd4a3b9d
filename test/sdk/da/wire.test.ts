import assert from 'node:assert/strict'
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { status } from '@grpc/grpc-js'
import { getBytes } from 'ethers'
import fc from 'fast-check'
import { Registry } from 'prom-client'
import { createGrpc, type Grpc } from '../../../keepers/runtime/grpc.ts'
import { GrpcError } from '../../../keepers/runtime/grpc-error.ts'
import type { GrpcHandler } from '../../../keepers/runtime/grpc-handler.ts'
import { blobFromWire, blobToWire, inclusionFromWire, inclusionToWire, paymentFromWire, paymentToWire } from '../../../sdk/da/messages.ts'
import {
  type BlobDescription,
  type Chunks,
  connectSigner,
  MAX_MESSAGE_BYTES,
  type Rows,
  type SignerClient,
  SignerService,
  type StoreRequest,
} from '../../../sdk/da/wire.ts'
import { rememberingLog } from '../../keepers/runtime/quiet.ts'

const ID = new Uint8Array(32).fill(1)
const BLOB = { scheme: 1, log2K: 8, log2T: 10, rowSize: 64, length: 16_000, rowRoot: `0x${'11'.repeat(32)}`, rlcRoot: `0x${'22'.repeat(32)}` }
const PAYMENT = {
  promise: {
    payer: `0x${'1'.repeat(40)}`,
    disperser: `0x${'2'.repeat(40)}`,
    blobId: `0x${'33'.repeat(32)}`,
    fee: 2n ** 128n - 1n,
    nonce: 2n ** 64n - 1n,
    deadline: 2 ** 40,
  },
  signature: new Uint8Array(65).fill(9),
}

describe('Wire of data availability', function () {
  this.timeout(20_000)
  let grpc: Grpc
  let signer: SignerClient
  let handlers: Record<string, GrpcHandler>
  const never = () => new Promise<never>(() => {})

  before(async () => {
    const names = ['Store', 'Sign', 'GetBlob', 'GetRows', 'GetChunks', 'ListBlobs', 'GetBatch', 'GetStatus']
    grpc = createGrpc({
      host: '127.0.0.1',
      port: 0,
      log: rememberingLog().log,
      metrics: new Registry(),
      ready: async () => undefined,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      services: [
        { definition: SignerService, handlers: Object.fromEntries(names.map((name): [string, GrpcHandler] => [name, (...args) => handlers[name]!(...args)])) },
      ],
    })
    signer = connectSigner(await grpc.listen())
  })
  after(async () => {
    signer?.close()
    await grpc?.close()
  })
  beforeEach(() => {
    handlers = {}
  })

  it('what is absent arrives as null, empty or zero, and nothing is lost on the way', async () => {
    let seen: StoreRequest | undefined
    handlers.Store = async function* (requests: AsyncIterable<StoreRequest>) {
      for await (const request of requests) {
        seen = request
        yield { blobId: ID }
      }
    }
    const stream = signer.store()
    const rows = new Uint8Array(40 * 2 ** 20).fill(5)
    const full = { epoch: 2 ** 40, blob: blobToWire(BLOB), rlc: ID, rows, paths: ID, payment: paymentToWire(PAYMENT) }
    const reply = await stream.send(full, { timeout: 10_000 })
    assert.deepEqual([Buffer.from(reply.blobId), reply.error], [Buffer.from(ID), ''])
    assert.deepEqual(blobFromWire(seen!.blob), BLOB)
    assert.deepEqual(paymentFromWire(seen!.payment!, PAYMENT.promise.blobId), PAYMENT)
    assert.equal(seen!.epoch, 2 ** 40)
    assert.ok(Buffer.from(rows).equals(seen!.rows), 'all rows of a largest blob in one message')
    await stream.send({ ...full, epoch: 0, blob: null, rows: new Uint8Array(), payment: null }, { timeout: 1_000 })
    assert.deepEqual([seen!.epoch, seen!.blob, seen!.rows.length, seen!.payment], [0, null, 0, null])
    stream.end()
  })

  it('a stream answers in order, says when it has ended, and takes nothing more then', async () => {
    handlers.Store = async function* (requests: AsyncIterable<StoreRequest>) {
      for await (const { epoch } of requests) {
        if (epoch === 3) throw GrpcError.resourceExhausted('the disk is full')
        yield { blobId: ID, error: `${epoch}` }
      }
    }
    const stream = signer.store()
    const send = (epoch: number) => stream.send({ epoch, blob: null, rlc: ID, rows: ID, paths: ID, payment: null }, { timeout: 1_000 })
    const results = await Promise.allSettled([send(1), send(2), send(3), send(4)])
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value.error : `${result.reason.code} ${result.reason.shortMessage}`)),
      ['1', '2', `REMOTE ${signer.url}: the disk is full`, `REMOTE ${signer.url}: the disk is full`],
    )
    assert.equal(stream.open, false)
    await assert.rejects(send(5), { code: 'REMOTE' })
  })

  it('a stream that is not answered is given up, or aborted', async () => {
    handlers.Store = async function* () {
      await never()
      yield {}
    }
    const request = { epoch: 1, blob: null, rlc: ID, rows: ID, paths: ID, payment: null }
    const stream = signer.store()
    await assert.rejects(stream.send(request, { timeout: 50 }), { code: 'TIMEOUT' })
    assert.equal(stream.open, false)
    const controller = new AbortController()
    const sending = signer.store({ signal: controller.signal }).send(request, { timeout: 10_000 })
    controller.abort()
    await assert.rejects(sending, { name: 'AbortError' })
  })

  it('errors have the code of what went wrong', async () => {
    const failing = (code: status) => {
      handlers.GetBlob = async () => Promise.reject(new GrpcError(code, 'because'))
      return signer.getBlob({ blobId: ID })
    }
    await assert.rejects(failing(status.NOT_FOUND), { code: 'NOT_FOUND', shortMessage: `${signer.url}: because` })
    await assert.rejects(failing(status.INVALID_ARGUMENT), { code: 'USAGE' })
    await assert.rejects(failing(status.UNAVAILABLE), { code: 'NETWORK' })
    await assert.rejects(failing(status.INTERNAL), { code: 'REMOTE' })
    handlers.GetBlob = never
    await assert.rejects(signer.getBlob({ blobId: ID }, { timeout: 50 }), { code: 'TIMEOUT' })
    await assert.rejects(signer.getBlob({ blobId: ID }, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
    await assert.rejects(signer.getBlob({ blobId: ID }, { signal: AbortSignal.abort() }), { name: 'AbortError' })
    const nobody = connectSigner('127.0.0.1:1')
    await assert.rejects(nobody.getStatus(), { code: 'NETWORK' })
    nobody.close()
  })

  it('what speaks no gRPC is an error, not a hang', async () => {
    const server = createServer((_, response) => response.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const other = connectSigner(`127.0.0.1:${(server.address() as AddressInfo).port}`)
    await assert.rejects(other.getStatus({ timeout: 2_000 }), { code: 'REMOTE' })
    other.close()
    await new Promise((resolve) => server.close(resolve))
  })

  it('a stream that is left early ends for the server too', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>()
    handlers.GetRows = async function* (_, { signal }) {
      signal.addEventListener('abort', () => resolve())
      for (;;) {
        signal.throwIfAborted()
        yield { indices: [1], rows: new Uint8Array(2 ** 20), paths: ID } satisfies Rows
      }
    }
    for await (const { indices } of signer.getRows({ blobId: ID, rows: [] })) {
      assert.deepEqual(indices, [1])
      break
    }
    await gone
  })

  it('a portion larger than a signer may send is not taken', async () => {
    handlers.GetRows = async function* () {
      yield { indices: [1], rows: new Uint8Array(9 * 2 ** 20), paths: ID } satisfies Rows
    }
    await assert.rejects(signer.getRows({ blobId: ID, rows: [] }).next(), { code: 'REMOTE' })
  })

  it('an answer longer than it can be is not read, whatever lists of nothings it has', async () => {
    const nothing = { epoch: 0, batchRoot: new Uint8Array(), index: 0, proof: new Uint8Array() }
    const description = (count: number): BlobDescription => ({
      blobId: ID,
      blob: null,
      rlc: new Uint8Array(),
      inclusions: Array(count).fill(nothing),
      cursor: 0,
    })
    const chunks = (count: number): Chunks => ({ chunks: Array(count).fill({ data: new Uint8Array(), path: new Uint8Array() }) })
    const refused = { code: 'REMOTE', message: /bytes, where at most \d+ can be/ }
    for (const [count, reads] of [
      [52_000, true],
      [53_000, false],
    ] as const) {
      handlers.GetBlob = async () => description(count)
      handlers.ListBlobs = async function* () {
        yield description(count)
      }
      const asked = [signer.getBlob({ blobId: ID }), signer.listBlobs({ cursor: 0 }).next()]
      for (const answer of asked) await (reads ? answer : assert.rejects(answer, refused))
    }
    const positions = [
      { row: 0, chunk: 0 },
      { row: 1, chunk: 0 },
    ]
    handlers.GetChunks = async () => chunks(600)
    assert.equal((await signer.getChunks({ blobId: ID, positions })).chunks.length, 600)
    await assert.rejects(signer.getChunks({ blobId: ID, positions: positions.slice(1) }), refused)
    handlers.GetBatch = async () => ({ blobIds: Array(131_073).fill(new Uint8Array()) })
    await assert.rejects(signer.getBatch({ batchRoot: ID, epoch: 1 }), refused)
  })

  it('any bytes are a message or not, and what the message says is right or refused in words', () => {
    const words = (act: () => unknown): void => {
      try {
        act()
      } catch (error) {
        assert.equal((error as Error).name, 'DaFormatError', String(error))
      }
    }
    const readers: [keyof typeof SignerService, 'requestDeserialize' | 'responseDeserialize', (message: any) => void][] = [
      [
        'Store',
        'requestDeserialize',
        ({ blob, payment }) => [() => blobFromWire(blob), () => payment && paymentFromWire(payment, PAYMENT.promise.blobId)].forEach(words),
      ],
      ['GetBlob', 'responseDeserialize', ({ blob, inclusions }) => [() => blobFromWire(blob), () => inclusions.map(inclusionFromWire)].forEach(words)],
    ]
    const valid = {
      Store: SignerService.Store!.requestSerialize({ epoch: 1, blob: blobToWire(BLOB), rlc: ID, rows: ID, paths: ID, payment: paymentToWire(PAYMENT) }),
      GetBlob: SignerService.GetBlob!.responseSerialize({
        blobId: ID,
        blob: blobToWire(BLOB),
        rlc: ID,
        inclusions: [inclusionToWire({ epoch: 3, batchRoot: PAYMENT.promise.blobId, index: 1, proof: [PAYMENT.promise.blobId] })],
        cursor: 1,
      }),
    }
    for (const [name, side, check] of readers) {
      const method = SignerService[name]!
      const read = (bytes: Uint8Array): void => {
        let message: unknown
        try {
          message = method[side](Buffer.from(bytes))
        } catch {
          return // no message: gRPC says so to whoever sent it
        }
        check(message)
      }
      const sound = valid[name as keyof typeof valid]
      read(sound)
      fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), read), { seed: 1, numRuns: 500 })
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
          const changed = Uint8Array.from(sound)
          for (const [at, byte] of changes) changed[at] = byte
          read(changed)
        }),
        { seed: 2, numRuns: 1000 },
      )
    }
  })

  it('only host:port is an address', () => {
    for (const url of ['unix:/var/run/docker.sock', 'http://host:1', 'dns:///host:1', 'host', ':1', 'ho st:1', 'ipv4:1.2.3.4:5'])
      assert.throws(() => connectSigner(url), { code: 'USAGE' }, url)
    for (const url of ['host.example:34000', '127.0.0.1:1', '[::1]:34000']) connectSigner(url).close()
  })

  it('messages that no blob, place or payment has are refused in words', () => {
    assert.throws(() => blobFromWire(null), /names no blob/)
    assert.throws(() => blobFromWire({ ...blobToWire(BLOB), rowRoot: new Uint8Array(31) }), /the row root/)
    const place = { epoch: 3, batchRoot: `0x${'44'.repeat(32)}`, index: 5, proof: [`0x${'55'.repeat(32)}`, `0x${'66'.repeat(32)}`] }
    assert.deepEqual(inclusionFromWire(inclusionToWire(place)), place)
    for (const wrong of [
      { epoch: 0 },
      { batchRoot: new Uint8Array(20) },
      { index: 2 ** 32 },
      { proof: new Uint8Array(33) },
      { proof: new Uint8Array(33 * 32) },
    ])
      assert.throws(() => inclusionFromWire({ ...inclusionToWire(place), ...wrong }), { name: 'DaFormatError' }, JSON.stringify(Object.keys(wrong)))
    const payment = paymentToWire(PAYMENT)
    for (const wrong of [
      { payer: ID },
      { disperser: new Uint8Array() },
      { fee: ID },
      { nonce: ID },
      { deadline: 2 ** 60 },
      { signature: new Uint8Array(5000) },
    ])
      assert.throws(() => paymentFromWire({ ...payment, ...wrong }, PAYMENT.promise.blobId), { name: 'DaFormatError' }, JSON.stringify(Object.keys(wrong)))
    assert.deepEqual(getBytes(PAYMENT.promise.payer), payment.payer)
  })
})
