// Key-value streams as the public clients write and read them.
import assert from 'node:assert/strict'
import * as current from '@0gfoundation/0g-ts-sdk'
import * as legacy from '@0glabs/0g-ts-sdk'
import { toUtf8Bytes } from 'ethers'
import { StreamDataBuilder } from '../../protocol/storage/streams.ts'
import { KvClient } from '../../sdk/storage/kv-client.ts'
import { upload } from '../../sdk/storage/upload.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'
import { quietConsole, until, within } from './deadline.ts'

type Client = typeof current | typeof legacy

const OPTIONS = { tags: '0x', finalityRequired: true, taskSize: 1, expectedReplica: 1, skipTx: false, fee: 0n }
const WRITER = 6
const OTHER = 7
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
let streams = 0
const freshStream = (): string => `0x${(++streams).toString(16).padStart(64, '0')}`

describe('key-value streams of the public storage clients', function () {
  this.timeout(180_000)
  let network: Network
  quietConsole()
  before(async () => {
    network = await startNetwork({ storage: { nodes: 2, indexer: true, kv: true } })
  })
  after(() => network.stop())

  function batcher(client: Client, account = WRITER, version = Number.MAX_SAFE_INTEGER): current.Batcher {
    const flow = client.getFlowContract(network.contracts.Flow!, network.wallet(account) as never)
    const nodes = network.nodes.map((url) => new client.StorageNode(url))
    return new client.Batcher(version, nodes as never, flow as never, network.rpcUrl) as unknown as current.Batcher
  }

  /** Sends what was set, and waits until the KV server has decided it. */
  async function exec(batch: current.Batcher): Promise<{ seq: number; result: string }> {
    // Options of its own: without, the client changes its defaults and tags every later upload as a stream.
    const [, error] = await within(90, 'the batch', batch.exec({ ...OPTIONS } as never))
    assert.equal(error, null)
    const submissions = Number(await current.getFlowContract(network.contracts.Flow!, network.wallet(WRITER) as never).numSubmissions())
    const kv = new KvClient(network.kv)
    await until(30, 'the KV server has decided the submission', async () => (await kv.replayProgress()).appliedSeq === submissions)
    return { seq: submissions - 1, result: (await kv.transactionResult(submissions - 1)) ?? '' }
  }

  it('1.2.8 writes, and reads back value, version, permissions and result', async () => {
    const stream = freshStream()
    const batch = batcher(current)
    batch.streamDataBuilder.set(stream, toUtf8Bytes('key1'), toUtf8Bytes('hello'))
    batch.streamDataBuilder.set(stream, toUtf8Bytes('key2'), toUtf8Bytes('world'))
    const { seq, result } = await exec(batch)
    assert.equal(result, 'Commit')

    const kv = new current.KvClient(network.kv)
    assert.deepEqual(await kv.getValue(stream, toUtf8Bytes('key1')), { version: seq, data: base64(toUtf8Bytes('hello')), size: 5 })
    assert.equal((await kv.getValue(stream, toUtf8Bytes('absent')))?.size, 0)
    assert.equal(await kv.isAdmin(network.accounts[WRITER]!.address, stream), true)
    assert.equal(await kv.isAdmin(network.accounts[OTHER]!.address, stream), false)
    assert.equal(await kv.hasWritePermission(network.accounts[OTHER]!.address, stream, toUtf8Bytes('key1') as never), false)
    assert.equal(await kv.isSpecialKey(stream, toUtf8Bytes('key1') as never), false)
    assert.equal(await kv.isWriterOfStream(network.accounts[WRITER]!.address, stream), false)
    assert.equal(await kv.getTransactionResult(String(seq) as never), 'Commit')
    assert.ok((await kv.getHoldingStreamIds()).includes(stream))
  })

  it('1.2.8 reads a value of more than 256 KiB whole', async () => {
    const stream = freshStream()
    const value = patternBytes('p2', 700_001)
    const batch = batcher(current)
    batch.streamDataBuilder.set(stream, toUtf8Bytes('large'), value)
    assert.equal((await exec(batch)).result, 'Commit')
    const read = await within(30, 'the read', new current.KvClient(network.kv).getValue(stream, toUtf8Bytes('large')))
    assert.equal(read?.size, value.length)
    assert.ok(Buffer.from(read!.data, 'base64').equals(value))
  })

  it('1.2.8 walks through a stream with its iterator, past a deleted key', async () => {
    const stream = freshStream()
    const batch = batcher(current)
    for (const name of ['a', 'b', 'c']) batch.streamDataBuilder.set(stream, toUtf8Bytes(name), toUtf8Bytes(`value ${name}`))
    await exec(batch)
    const deletion = batcher(current)
    deletion.streamDataBuilder.set(stream, toUtf8Bytes('b'), new Uint8Array(0))
    assert.equal((await exec(deletion)).result, 'Commit')

    const iterator = new current.KvClient(network.kv).newIterator(stream)
    const visited: string[] = []
    for (await iterator.seekToFirst(); iterator.valid(); await iterator.next()) {
      const { key, data } = iterator.getCurrentPair()!
      visited.push(`${Buffer.from(key as Uint8Array).toString()}: ${Buffer.from(data as string, 'base64').toString()}`)
    }
    assert.deepEqual(visited, ['a: value a', 'c: value c'])
    await iterator.seekToLast()
    assert.equal(Buffer.from(iterator.getCurrentPair()!.key as Uint8Array).toString(), 'c')
  })

  it('1.2.8 is told of a write that came too late, and of one it may not make', async () => {
    const stream = freshStream()
    const first = batcher(current)
    first.streamDataBuilder.set(stream, toUtf8Bytes('key'), toUtf8Bytes('1'))
    const { seq } = await exec(first)
    const second = batcher(current, WRITER, seq)
    second.streamDataBuilder.set(stream, toUtf8Bytes('key'), toUtf8Bytes('2'))
    assert.equal((await exec(second)).result, 'Commit')

    const late = batcher(current, WRITER, seq)
    late.streamDataBuilder.set(stream, toUtf8Bytes('key'), toUtf8Bytes('3'))
    assert.equal((await exec(late)).result, 'VersionConfliction')
    const stranger = batcher(current, OTHER)
    stranger.streamDataBuilder.set(stream, toUtf8Bytes('key'), toUtf8Bytes('4'))
    assert.equal((await exec(stranger)).result, 'SenderNoWritePermission')
    assert.equal((await new current.KvClient(network.kv).getValue(stream, toUtf8Bytes('key')))?.data, base64(toUtf8Bytes('2')))
  })

  it('1.2.8 grants with controls, and the other account may write', async () => {
    const stream = freshStream()
    const grant = batcher(current)
    grant.streamDataBuilder.set(stream, toUtf8Bytes('key'), toUtf8Bytes('mine'))
    grant.streamDataBuilder.controls.push({ Type: 0x20, StreamId: stream, Account: network.accounts[OTHER]!.address } as never)
    assert.equal((await exec(grant)).result, 'Commit')
    const written = batcher(current, OTHER)
    written.streamDataBuilder.set(stream, toUtf8Bytes('key'), toUtf8Bytes('theirs'))
    assert.equal((await exec(written)).result, 'Commit')
    assert.equal(await new current.KvClient(network.kv).isWriterOfStream(network.accounts[OTHER]!.address, stream), true)
  })

  it('0.3.3 writes, and reads with a key given in base64, the only form it sends', async () => {
    const stream = freshStream()
    const batch = batcher(legacy)
    batch.streamDataBuilder.set(stream, toUtf8Bytes('key'), toUtf8Bytes('from the legacy client'))
    assert.equal((await exec(batch)).result, 'Commit')
    const kv = new legacy.KvClient(network.kv)
    const read = await within(30, 'the read', kv.getValue(stream, base64(toUtf8Bytes('key')) as never))
    assert.equal(Buffer.from(read!.data as string, 'base64').toString(), 'from the legacy client')
    assert.equal(await kv.isAdmin(network.accounts[WRITER]!.address, stream), true)
  })

  it('what our SDK writes the public client reads, and the other way round', async () => {
    const stream = freshStream()
    const { data, tags } = new StreamDataBuilder().set(stream, toUtf8Bytes('ours'), toUtf8Bytes('1')).build()
    await upload(data, { signer: network.wallet(WRITER), indexer: network.indexer, tags })
    const batch = batcher(current)
    batch.streamDataBuilder.set(stream, toUtf8Bytes('theirs'), toUtf8Bytes('2'))
    assert.equal((await exec(batch)).result, 'Commit')
    assert.equal((await new current.KvClient(network.kv).getValue(stream, toUtf8Bytes('ours')))?.data, base64(toUtf8Bytes('1')))
    assert.equal(Buffer.from((await new KvClient(network.kv).get(stream, toUtf8Bytes('theirs')))!.data).toString(), '2')
  })
})
