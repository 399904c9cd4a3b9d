import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { StreamDataBuilder } from '../../protocol/storage/streams.ts'
import { KvClient, PerigeeError, upload } from '../../sdk/index.ts'
import { waitFor } from '../../sdk/wait.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'

describe('sdk: reading key-value streams', function () {
  this.timeout(60_000)
  const stream = `0x${randomBytes(32).toString('hex')}`
  const large = Buffer.from(patternBytes('p2', 600_000))
  let network: Network
  let kv: KvClient
  let seq: number

  before(async () => {
    network = await startNetwork()
    kv = new KvClient(network.kv)
    const { data, tags } = new StreamDataBuilder().set(stream, Buffer.from('a'), Buffer.from('one')).set(stream, Buffer.from('b'), large).build()
    ;({ seq } = await upload(data, { indexer: network.indexer, signer: network.wallet(6), tags }))
    const late = (): PerigeeError => new PerigeeError('TIMEOUT', 'the submission was not replayed')
    assert.equal(await waitFor(() => kv.transactionResult(seq), { timeout: 20_000, late }), 'Commit')
  })
  after(() => network?.stop())

  it('reads values of any size with their version, and none where there is none', async () => {
    const small = await kv.get(stream, Buffer.from('a'))
    assert.deepEqual([small?.version, Buffer.from(small!.data).toString()], [seq, 'one'])
    assert.deepEqual(Buffer.from((await kv.get(stream, Buffer.from('b')))!.data), large)
    assert.equal(await kv.get(stream, Buffer.from('c')), undefined)
  })

  it('walks a stream in the order of its keys', async () => {
    const first = await kv.first(stream)
    assert.equal(Buffer.from(first!.key).toString(), 'a')
    assert.equal(Buffer.from((await kv.next(stream, first!.key))!.key).toString(), 'b')
    assert.deepEqual((await kv.next(stream, first!.key, { inclusive: true }))?.key, first?.key)
    assert.equal(await kv.next(stream, Buffer.from('b')), undefined)
  })

  it('tells who may write, and how far the log is replayed', async () => {
    const [writer, stranger] = [network.accounts[6]!.address, network.accounts[7]!.address]
    assert.deepEqual([await kv.isAdmin(writer, stream), await kv.isAdmin(stranger, stream)], [true, false])
    assert.deepEqual(
      [await kv.hasWritePermission(writer, stream, Buffer.from('a')), await kv.hasWritePermission(stranger, stream, Buffer.from('a'))],
      [true, false],
    )
    assert.ok((await kv.replayProgress()).appliedSeq >= seq)
    assert.equal(await kv.transactionResult(seq + 1000), undefined)
  })
})
