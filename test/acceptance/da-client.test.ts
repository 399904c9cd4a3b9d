// A client generated from the public service definition, as rollups build theirs, against the local network.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { type Client, credentials, loadPackageDefinition, type ServiceError, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { hexlify } from 'ethers'
import { connectDa } from '../../sdk/da/contracts.ts'
import { connectRetriever } from '../../sdk/da/wire.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'
import { until } from './deadline.ts'

const MIB = 1024 * 1024
const CAP = 32 * MIB
const MESSAGES = { 'grpc.max_receive_message_length': 2 * CAP, 'grpc.max_send_message_length': 2 * CAP }

interface BlobStatusReply {
  status: string
  info: { blob_header: { storage_root: Buffer; epoch: string; quorum_id: string } | null } | null
}

/** Nothing of it is ours but the address. */
function connect(url: string, proto: string, service: (definition: any) => any): Client & Record<string, any> {
  const definition = loadPackageDefinition(loadSync(proto, { keepCase: true, longs: String, enums: String, defaults: true }))
  return new (service(definition))(url, credentials.createInsecure(), MESSAGES)
}

const call = <T>(client: Record<string, any>, method: string, request: object): Promise<T> =>
  new Promise((resolve, reject) => client[method](request, (error: ServiceError | null, reply: T) => (error ? reject(error) : resolve(reply))))

const file = (specifier: string) => fileURLToPath(import.meta.resolve(specifier))

describe('public disperser clients', function () {
  this.timeout(60_000)
  let network: Network
  let client: ReturnType<typeof connect>

  before(async () => {
    network = await startNetwork({ storage: false, da: {}, blockTime: 1 })
    client = connect(network.disperser, fileURLToPath(new URL('disperser.proto', import.meta.url)), ({ disperser }) => disperser.Disperser)
  })
  after(async () => {
    client?.close()
    await network?.stop()
  })

  const disperse = async (data: Uint8Array): Promise<Buffer> => {
    const reply = await call<{ result: string; request_id: Buffer }>(client, 'DisperseBlob', { data })
    assert.equal(reply.result, 'PROCESSING')
    assert.match(reply.request_id.toString('ascii'), new RegExp(`^${createHash('sha256').update(data).digest('hex')}-[0-9a-f]+$`))
    return reply.request_id
  }
  const confirmed = async (request_id: Buffer) => {
    let reply: BlobStatusReply | undefined
    await until(30, 'confirmed', async () => {
      reply = await call<BlobStatusReply>(client, 'GetBlobStatus', { request_id })
      assert.ok(['PROCESSING', 'CONFIRMED', 'FINALIZED'].includes(reply.status), reply.status)
      if (reply.status === 'PROCESSING') assert.equal(reply.info?.blob_header ?? null, null)
      return reply.status !== 'PROCESSING'
    })
    return reply!.info!.blob_header!
  }

  for (const [name, size] of [
    ['1 byte', 1],
    ['31 bytes', 31],
    ['128 KiB', 128 * 1024],
    ['1 MiB and 7 bytes', MIB + 7],
    ['the largest, 32 MiB', CAP],
  ] as const) {
    it(`disperses, polls and retrieves ${name}`, async () => {
      const data = Buffer.from(patternBytes('p2', size))
      const header = await confirmed(await disperse(data))
      assert.equal(header.storage_root.length, 32)
      assert.equal(header.quorum_id, '0')
      const { epochs } = connectDa(network.contracts, network.provider)
      assert.ok(BigInt(header.epoch) <= (await epochs.currentEpoch()) && BigInt(header.epoch) > 0n)
      const reply = await call<{ data: Buffer }>(client, 'RetrieveBlob', header)
      assert.ok(reply.data.equals(data))
    })
  }

  it('retrieves from the signers alone, through the public retriever service and over HTTP', async () => {
    const data = Buffer.from(patternBytes('p1', 70_001))
    const header = await confirmed(await disperse(data))
    const retriever = connectRetriever(network.retriever.grpc)
    try {
      const reply = await retriever.retrieveBlob({ storageRoot: header.storage_root, epoch: Number(header.epoch), quorumId: 0 })
      assert.ok(Buffer.from(reply.data).equals(data))
    } finally {
      retriever.close()
    }
    const response = await fetch(`${network.retriever.http}/blobs/${hexlify(header.storage_root)}`)
    assert.equal(response.status, 200)
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(data))
  })

  it('says FINALIZED once the block of the certificate is final', async () => {
    const request_id = await disperse(Buffer.from('final'))
    await until(40, 'finalized', async () => (await call<BlobStatusReply>(client, 'GetBlobStatus', { request_id })).status === 'FINALIZED')
  })

  it('refuses nothing, one byte too many, and roots that are none, telling why', async () => {
    const refused = async (method: string, request: object) => {
      const error = await call<unknown>(client, method, request).then(
        () => assert.fail(`${method} was accepted`),
        (failure: ServiceError) => failure,
      )
      return { code: error.code, details: error.details }
    }
    assert.match((await refused('DisperseBlob', { data: Buffer.alloc(0) })).details, /empty/)
    assert.match((await refused('DisperseBlob', { data: Buffer.alloc(CAP + 1) })).details, /33554433.*33554432|33,554,433.*33,554,432/)
    assert.match((await refused('RetrieveBlob', { storage_root: Buffer.alloc(31) })).details, /32/)
    assert.equal((await refused('RetrieveBlob', { storage_root: Buffer.alloc(32, 7), epoch: '1' })).code, status.NOT_FOUND)
  })

  it('answers health checks, and tells its services by reflection', async () => {
    const health = connect(network.disperser, file('grpc-health-check/proto/health/v1/health.proto'), ({ grpc }) => grpc.health.v1.Health)
    const reflection = connect(
      network.disperser,
      file('@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto'),
      ({ grpc }) => grpc.reflection.v1.ServerReflection,
    )
    try {
      assert.equal((await call<{ status: string }>(health, 'Check', { service: 'disperser.Disperser' })).status, 'SERVING')
      const stream = reflection.ServerReflectionInfo()
      const told = new Promise<any>((resolve, reject) => stream.once('data', resolve).once('error', reject))
      stream.write({ list_services: '*' })
      const services = (await told).list_services_response.service.map(({ name }: { name: string }) => name)
      stream.end()
      assert.ok(services.includes('disperser.Disperser'), services.join(', '))
    } finally {
      health.close()
      reflection.close()
    }
  })
})
