import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { toQuantity } from 'ethers'
import { verifyKept } from '../../../protocol/storage/kept.ts'
import { content, eventually, finalized, type RunningNode, rpc, type Storage, startStorage, upload } from './network.ts'
import { type SampleFile, sampleFile } from './sample.ts'

const DAY = 86_400

describe('storage node: leases', function () {
  this.timeout(240_000)
  let storage: Storage
  let node: RunningNode
  let seed = 400

  before(async () => {
    storage = await startStorage()
    node = await storage.node('node')
  })
  after(() => storage.stop())

  async function stored(size = 3000): Promise<{ file: SampleFile; seq: number }> {
    const file = sampleFile(size, seed++)
    const [seq] = await storage.submit(file)
    await upload(node, seq!, file)
    return { file, seq: seq! }
  }

  /** Goes on in time and to the next epoch, as leases count from the opening of the epoch of a submission. */
  async function travel(days: number): Promise<void> {
    await storage.chain.request('evm_increaseTime', [days * DAY])
    await storage.chain.request('hardhat_mine', [toQuantity(await storage.flow.blocksPerEpoch())])
  }

  async function renew(seq: number, { sectors = 0 } = {}): Promise<void> {
    const { tx } = (await node.client.fileBySeq(seq))!
    const count = tx.merkleNodes.reduce((sum, [depth]) => sum + 2 ** (depth - 1), 0) + sectors
    const value = (await storage.market.pricePerSector()) * BigInt(count)
    await (await storage.market.renew(seq, tx.startEntryIndex, count, { value })).wait()
  }

  const pruned = (seq: number) =>
    eventually(`submission ${seq} is pruned`, async () => {
      const info = await node.client.fileBySeq(seq)
      return info?.pruned && info
    })

  it('given a lease that ends, reports the file as pruned, keeps it for the grace period, and serves it again once renewed', async () => {
    const { file, seq } = await stored()
    await eventually('the lease is known', () => node.client.keptReceipt(seq))
    await travel(31)
    expect(await pruned(seq)).to.deep.include({ finalized: false, pruned: true })
    expect(await rpc(node.url, 'zgs_downloadSegmentByTxSeq', [seq, 0, 1])).to.have.property('result', null)
    expect((await fetch(`${node.url}/files/${seq}/data`)).status).to.equal(410)
    expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(0)], seq])).error).to.deep.equal({
      code: -32602,
      message: 'Invalid params: root',
      data: 'already pruned',
    })
    expect(existsSync(node.pathOf(file))).to.equal(true)
    await renew(seq)
    await finalized(node, seq)
    expect((await content(node, seq)).equals(file.bytes)).to.equal(true)
  })

  it('given a renewal that names other sectors than the submission, honours it not', async () => {
    const { seq } = await stored()
    await eventually('the lease is known', () => node.client.keptReceipt(seq))
    await renew(seq, { sectors: -1 })
    await travel(31)
    await pruned(seq)
  })

  it('given a lease that is renewed in time, signs a new receipt', async () => {
    const { file, seq } = await stored()
    const first = await eventually('there is a receipt', () => node.client.keptReceipt(seq))
    await renew(seq)
    const second = await eventually('there is a longer one', async () => {
      const receipt = await node.client.keptReceipt(seq)
      return receipt && receipt.until > first.until && receipt
    })
    expect(second.until).to.equal(first.until + 30 * DAY)
    expect(second.root).to.equal(file.root)
    expect(verifyKept(second)).to.equal(true)
  })

  it('given the grace period over, deletes the data, unless another submission of them is paid for', async () => {
    const gone = await stored()
    const shared = await stored()
    const [again] = await storage.submit(shared.file)
    await finalized(node, again!)
    for (const seq of [gone.seq, shared.seq, again!]) await eventually('the lease is known', () => node.client.keptReceipt(seq))
    await renew(again!)
    await travel(30 + 7 + 1)
    await eventually('the data are deleted', async () => !existsSync(node.pathOf(gone.file)))
    expect((await pruned(gone.seq)).finalized).to.equal(false)
    expect((await pruned(shared.seq)).finalized).to.equal(false)
    expect(existsSync(node.pathOf(shared.file))).to.equal(true)
    expect((await node.client.fileByRoot(shared.file.root))!.tx.seq).to.equal(again)
    expect((await content(node, shared.file.root)).equals(shared.file.bytes)).to.equal(true)
  })
})
