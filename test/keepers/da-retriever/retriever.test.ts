import assert from 'node:assert/strict'
import { status } from '@grpc/grpc-js'
import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { ethers, getBytes, JsonRpcSigner, Wallet } from 'ethers'
import { connect } from '../../../deploy/networks.ts'
import { type Chain, startChain } from '../../../devnet/chain.ts'
import { freePorts } from '../../../devnet/ports.ts'
import { retriever } from '../../../keepers/da/retriever/keeper.ts'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { connectRetriever, type RetrieverClient } from '../../../sdk/da/wire.ts'
import { type DaNetwork, type Published, startDa } from '../../sdk/da/network.ts'
import { patternBytes } from '../../support/patterns.ts'
import { rememberingLog } from '../runtime/quiet.ts'

const UNKNOWN = `0x${'ab'.repeat(32)}`

describe('retriever of blobs', function () {
  this.timeout(60_000)
  const { log, lines } = rememberingLog()
  let chain: Chain
  let provider: ReturnType<typeof connect>
  let da: DaNetwork
  let backend: Backend
  let runtime: Runtime
  let keeper: Keeper
  let client: RetrieverClient
  let http: string
  let published: Published
  let others = 0

  before(async () => {
    chain = await startChain()
    provider = connect(chain.url)
    // The contracts' tests know Hardhat's ethers; here is a chain that answers over HTTP.
    const accounts = chain.accounts.map(({ privateKey }) => new Wallet(privateKey, provider))
    const getImpersonatedSigner = async (address: string) => {
      await provider.send('hardhat_impersonateAccount', [address])
      return new JsonRpcSigner(provider, address)
    }
    da = await startDa({ ...ethers, provider, getSigners: async () => accounts, getImpersonatedSigner } as unknown as HardhatEthers)
    published = await da.publish(Buffer.from(patternBytes('p1', 70_000)))
    backend = await openBackend({ log })
    runtime = createRuntime({ name: 'da/retriever', backend, log })
    const [httpPort] = await freePorts(1)
    const config = { rpcUrl: chain.url, dataAvailability: da.contracts.address, port: 0, httpPort, codecThreads: 0, cacheBytes: 4 * 256 * 320 - 1 }
    keeper = await retriever.create(retriever.schema.parse(config), runtime)
    await keeper.start()
    http = `http://127.0.0.1:${httpPort}`
    client = connectRetriever(keeper.url!)
  })
  after(async () => {
    client?.close()
    await keeper?.stop()
    await runtime?.close()
    await backend?.close()
    await da?.stop()
    provider?.destroy()
    await chain?.stop()
  })
  afterEach(() => {
    for (const server of da.servers) server.faults = {}
  })

  const retrieve = (blobId = published.blobId, epoch = 0, signal?: AbortSignal) =>
    client.retrieveBlob({ storageRoot: getBytes(blobId), epoch, quorumId: 0 }, { signal })
  const codeOf = (error: { cause?: { code?: number } }): number | undefined => error.cause?.code
  const json = async (path: string): Promise<[number, any]> => {
    const answer = await fetch(http + path)
    return [answer.status, await answer.json()]
  }
  const everyone = (faults: (typeof da.servers)[number]['faults']): void => {
    for (const server of da.servers) server.faults = faults
  }
  /** One that nobody has asked for yet. */
  const another = () => da.publish(Buffer.from(patternBytes('p1', 70_000 + ++others)))
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${http}/metrics`)).text()
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name}{`))
        ?.split(' ')
        .at(-1),
    )
  }
  const fetches = (): Promise<number> => metric('da_retrieval_duration_seconds_count')
  const broken = {
    rows: () => {
      throw new Error('disk')
    },
  }

  it('gives the bytes of a blob over the public gRPC service, whatever the hint', async () => {
    for (const epoch of [0, 1, 2, 99]) assert.ok(Buffer.from(published.data).equals((await retrieve(published.blobId, epoch)).data), `epoch ${epoch}`)
  })

  it('gives them over HTTP, to be kept by whoever is between', async () => {
    const answer = await fetch(`${http}/blobs/${published.blobId}`)
    assert.ok(Buffer.from(published.data).equals(Buffer.from(await answer.arrayBuffer())))
    assert.deepEqual(
      ['content-type', 'etag', 'cache-control', 'x-da-epoch'].map((name) => answer.headers.get(name)),
      ['application/octet-stream', `"${published.blobId}"`, 'public, max-age=31536000, immutable', '2'],
    )
  })

  it('says that nobody knows a blob', async () => {
    await assert.rejects(retrieve(UNKNOWN), (error: PerigeeLike) => codeOf(error) === status.NOT_FOUND && /nobody has the blob/.test(error.message))
    const [code, body] = await json(`/blobs/${UNKNOWN}`)
    assert.deepEqual([code, body.code], [404, 'NOT_FOUND'])
    assert.match(body.message, /7 of 7 signers say so/)
    assert.equal((await json(`/blobs/${UNKNOWN}/verify`))[0], 404)
  })

  it('says which signers keep a blob from being recovered', async () => {
    const { blobId } = await another()
    everyone(broken)
    await assert.rejects(retrieve(blobId), (error: PerigeeLike) => codeOf(error) === status.UNAVAILABLE && /0 of the 256 rows/.test(error.message))
    const [code, body] = await json(`/blobs/${blobId}`)
    assert.deepEqual([code, body.code, body.details.length], [502, 'FAILED', 7])
  })

  it('names signers that lie in its log and its metrics', async () => {
    const { blobId } = await another()
    da.servers[3]!.faults = { rows: (portion) => ({ ...portion, rows: Buffer.from(portion.rows).fill(1, 0, 9) }) }
    await retrieve(blobId)
    const warned = lines.filter(({ level, facts }) => level === 'warn' && facts.account === da.signers[3]!.wallet.address)
    assert.match(warned[0]!.message, /LIED/)
    const metrics = await (await fetch(`${http}/metrics`)).text()
    assert.ok(metrics.includes('da_signer_lies_total{keeper="da/retriever"} 1\n'))
    assert.ok(metrics.includes('da_retrieval_duration_seconds_count{keeper="da/retriever",what="blob",outcome="FAILED"} 2\n'))
  })

  it('a blob that stands for no bytes is data loss', async () => {
    const { blobId } = await da.publish(Buffer.from(patternBytes('p2', 4001)), { length: 4000 })
    await assert.rejects(retrieve(blobId), (error: PerigeeLike) => codeOf(error) === status.DATA_LOSS)
    assert.deepEqual(
      (await json(`/blobs/${blobId}`)).map((part) => part.code ?? part),
      [502, 'VERIFICATION_FAILED'],
    )
  })

  it('looks at samples for those who only want to know that it is there', async () => {
    const [code, verdict] = await json(`/blobs/${published.blobId}/verify?bits=50`)
    assert.deepEqual([code, verdict.available, verdict.bits, verdict.answered], [200, true, 50, verdict.samples])
    assert.ok(verdict.chance <= 2 ** -50)
  })

  it('refuses what is malformed', async () => {
    await assert.rejects(client.retrieveBlob({ storageRoot: new Uint8Array(31), epoch: 0, quorumId: 0 }), { code: 'USAGE' })
    for (const path of ['/blobs/0x12', '/blobs/latest', `/blobs/${published.blobId}/verify?bits=0`, `/blobs/${published.blobId}/verify?bits=129`])
      assert.equal((await json(path))[0], 400, path)
  })

  it('serves a blob again without its signers, and of several those that were asked for last', async () => {
    // Each takes the memory of its rows, 256 of 320 bytes: the cache has room for three.
    const blobs = [await another(), await another(), await another(), await another()]
    for (const { blobId } of blobs.slice(0, 3)) await retrieve(blobId)
    await retrieve(blobs[0]!.blobId)
    await retrieve(blobs[3]!.blobId)
    const hits = await metric('da_cache_hits_total')
    assert.equal(await metric('da_cached_bytes'), 3 * 256 * 320)
    everyone(broken)
    for (const { blobId, data } of [blobs[0]!, blobs[2]!, blobs[3]!]) {
      assert.ok(Buffer.from(data).equals((await retrieve(blobId)).data))
      const answer = await fetch(`${http}/blobs/${blobId}`)
      assert.ok(Buffer.from(data).equals(Buffer.from(await answer.arrayBuffer())))
    }
    assert.equal(await metric('da_cache_hits_total'), hits + 6)
    await assert.rejects(retrieve(blobs[1]!.blobId), /of the 256 rows/)
  })

  it('fetches a blob once for all who ask for it meanwhile, and goes on for those who stay', async () => {
    const { blobId, data } = await another()
    const gate = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    everyone({
      rows: (portion) => {
        asked.resolve()
        return gate.promise.then(() => portion)
      },
    })
    const before = await fetches()
    const leaving = new AbortController()
    const first = retrieve(blobId, 0, leaving.signal)
    await asked.promise
    const others = [
      retrieve(blobId),
      retrieve(blobId),
      fetch(`${http}/blobs/${blobId}`).then(async (answer) => ({ data: Buffer.from(await answer.arrayBuffer()) })),
    ]
    leaving.abort()
    await assert.rejects(first, { name: 'AbortError' })
    gate.resolve()
    for (const answer of await Promise.all(others)) assert.ok(Buffer.from(data).equals(answer.data))
    assert.equal(await fetches(), before + 1)
  })

  it('is busy when too many wait, and does nothing for those who are gone when it is their turn', async () => {
    const { blobId } = await another()
    const gate = Promise.withResolvers<void>()
    everyone({ rows: (portion) => gate.promise.then(() => portion) })
    // Another hint is another search.
    const served = [retrieve(blobId, 1001), retrieve(blobId, 1002)]
    const leaving = new AbortController()
    const waiting = Promise.allSettled(Array.from({ length: 32 }, (_, i) => retrieve(blobId, 2000 + i, leaving.signal)))
    let refused: [number, any]
    do refused = await json(`/blobs/${blobId}`)
    while (refused[0] !== 503)
    assert.equal(refused[1].code, 'BUSY')
    await assert.rejects(retrieve(blobId), (error: PerigeeLike) => codeOf(error) === status.RESOURCE_EXHAUSTED)
    leaving.abort()
    await waiting
    gate.resolve()
    await Promise.all(served)
    await retrieve(blobId)
  })

  it('is ready once there is an epoch', async () => {
    assert.deepEqual(await json('/readyz'), [200, { status: 'ready' }])
    const before = retriever.schema.parse({ rpcUrl: chain.url, dataAvailability: da.at.Bonds, port: 0, httpPort: 0 })
    const other = createRuntime({ name: 'da/retriever/1', backend, log })
    const unready = await retriever.create(before, other)
    assert.match((await unready.ready())!, /reading epochs/)
    await other.close()
  })
})

type PerigeeLike = Error & { cause?: { code?: number } }
