import { join } from 'node:path'
import { expect } from 'chai'
import { indexer } from '../../../keepers/storage/indexer/keeper.ts'
import { eventually, finalized, type RunningKeeper, type RunningNode, rpc, runKeeper, type Storage, startStorage, upload } from '../storage-node/network.ts'
import { type SampleFile, sampleFile } from '../storage-node/sample.ts'

const SIZE = 20 * 262_144 + 99

describe('storage indexer', function () {
  this.timeout(240_000)
  let storage: Storage
  let nodes: RunningNode[]
  let index: RunningKeeper
  let file: SampleFile
  let seq: number

  before(async () => {
    storage = await startStorage()
    const first = await storage.node('first')
    nodes = [first, await storage.node('second', { peers: [first.url] })]
    index = await runKeeper(indexer, { nodes: nodes.map(({ url }) => url) }, join(storage.folder, 'indexer'), storage.backend)
    file = sampleFile(SIZE, 600)
    seq = (await storage.submit(file))[0]!
    await upload(first, seq, file)
    for (const node of nodes) await finalized(node, seq)
  })
  after(async () => {
    await index.stop()
    await storage.stop()
  })

  const urls = (found: { url: string }[]) => found.map(({ url }) => url).sort()
  const locations = async (root: string) => (await rpc(index.url, 'indexer_getFileLocations', [root])).result

  it('lists the nodes that answer, in the shape that clients read', async () => {
    const { result } = await rpc(index.url, 'indexer_getShardedNodes')
    expect(result.discovered).to.deep.equal([])
    expect(urls(result.trusted)).to.deep.equal(urls(nodes))
    for (const node of result.trusted) {
      expect(node.config).to.deep.equal({ shardId: 0, numShard: 1 })
      expect(node.latency).to.be.a('number').greaterThan(0)
      expect(node.since).to.be.closeTo(Date.now() / 1000, 600)
    }
    expect((await rpc(index.url, 'indexer_getNodeLocations')).result).to.deep.equal({})
  })

  it('names the nodes that hold a finalised file, and none for any other', async () => {
    expect(urls(await locations(file.root))).to.deep.equal(urls(nodes))
    const unfinished = sampleFile(300, 601)
    await storage.submit(unfinished)
    expect(await locations(unfinished.root)).to.deep.equal([])
    expect(await locations(`0x${'ab'.repeat(32)}`)).to.deep.equal([])
    expect((await rpc(index.url, 'indexer_getFileLocations', ['0xab'])).error!.message).to.equal('Invalid params: root')
  })

  it('serves files over plain HTTP', async () => {
    for (const query of [`root=${file.root}`, `txSeq=${seq}&name=report (final).pdf`]) {
      const response = await fetch(`${index.url}/file?${query}`)
      expect(response.status).to.equal(200)
      expect(response.headers.get('content-length')).to.equal(String(SIZE))
      expect(Buffer.from(await response.arrayBuffer()).equals(file.bytes), query).to.equal(true)
      if (query.includes('name')) expect(response.headers.get('content-disposition')).to.contain('filename="report _final_.pdf"')
    }
    const info = (await (await fetch(`${index.url}/file/info/${file.root}`)).json()) as { finalized: boolean; tx: { seq: number } }
    expect(info.finalized).to.equal(true)
    expect(info.tx.seq).to.equal(seq)
    expect((await fetch(`${index.url}/file?root=0x${'ab'.repeat(32)}`)).status).to.equal(404)
    expect((await fetch(`${index.url}/file/info/77777`)).status).to.equal(404)
    for (const query of ['', 'root=x', `root=${file.root}&txSeq=1`]) expect((await fetch(`${index.url}/file?${query}`)).status, query).to.equal(400)
  })

  it('drops a stopped node within five seconds, serves on from the other, and takes it back', async () => {
    await nodes[0]!.stop()
    const stopped = Date.now()
    await eventually('the node is dropped', async () => (await rpc(index.url, 'indexer_getShardedNodes')).result.trusted.length === 1)
    expect(Date.now() - stopped).to.be.below(5000)
    expect(await (await fetch(`${index.url}/nodes`)).json()).to.deep.include({ url: nodes[0]!.url, live: false, trusted: true })
    expect(urls(await locations(file.root))).to.deep.equal([nodes[1]!.url])
    const served = await fetch(`${index.url}/file?root=${file.root}`)
    expect(Buffer.from(await served.arrayBuffer()).equals(file.bytes)).to.equal(true)
    nodes[0] = await storage.node('first', { port: Number(new URL(nodes[0]!.url).port) })
    await eventually('the node is back', async () => (await rpc(index.url, 'indexer_getShardedNodes')).result.trusted.length === 2)
    expect(((await (await fetch(`${index.url}/node/status`)).json()) as object[]).length).to.equal(2)
  })
})
