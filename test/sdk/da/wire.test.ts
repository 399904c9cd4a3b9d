import assert from 'node:assert/strict'
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { status } from '@grpc/grpc-js'
import { getBytes } from 'ethers'
import { Registry } from 'prom-client'
import { createGrpc, type Grpc } from '../../../keepers/runtime/grpc.ts'
import { GrpcError } from '../../../keepers/runtime/grpc-error.ts'
import type { GrpcHandler } from '../../../keepers/runtime/grpc-handler.ts'
import { blobFromWire, blobToWire, inclusionFromWire, inclusionToWire, paymentFromWire, paymentToWire } from '../../../sdk/da/messages.ts'
import { connectSigner, MAX_MESSAGE_BYTES, type Rows, type SignerClient, SignerService, type StoreRequest } from '../../../sdk/da/wire.ts'
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
