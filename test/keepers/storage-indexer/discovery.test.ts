import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { indexer } from '../../../keepers/storage/indexer/keeper.ts'
import { eventually, type RunningKeeper, type RunningNode, rpc, runKeeper, type Storage, startStorage, upload } from '../storage-node/network.ts'
import { sampleFile } from '../storage-node/sample.ts'

interface Answer {
  status: number
  message?: string
}

describe('storage indexer: nodes that announce themselves', function () {
  this.timeout(240_000)
  let storage: Storage
  let trusted: RunningNode
  const running = new Set<RunningKeeper>()

  before(async () => {
    storage = await startStorage()
    trusted = await storage.node('trusted')
  })
  afterEach(async () => {
    for (const index of running) await index.stop()
    running.clear()
  })
  after(() => storage.stop())

  async function startIndexer(config: object = {}): Promise<RunningKeeper> {
    const folder = join(storage.folder, 'indexer')
    const index = await runKeeper(indexer, { nodes: [trusted.url], healthMs: 200, discoveredHealthMs: 200, ...config }, folder, storage.backend)
    running.add(index)
    return index
  }

  const listed = async (index: RunningKeeper) => (await rpc(index.url, 'indexer_getShardedNodes')).result
  const discovered = async (index: RunningKeeper): Promise<string[]> => (await listed(index)).discovered.map(({ url }: { url: string }) => url)

  async function announce(at: string, url: unknown): Promise<Answer> {
    const response = await fetch(`${at}/nodes`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ url }) })
    return { status: response.status, ...((await response.json()) as { message?: string }) }
  }

  it('lists a node that is told its own address, apart from the trusted ones, and drops it when it is gone', async () => {
    const index = await startIndexer()
    const port = await freePort()
    const publicUrl = `http://127.0.0.1:${port}`
    const config = { port, publicUrl, indexer: index.url, announceMs: 200, shard: '1/2' }
    const node = await storage.node('stranger', config)
    await eventually('it is listed', async () => (await discovered(index)).length === 1)
    const { trusted: vouched, discovered: found } = await listed(index)
    expect(vouched.map(({ url }: { url: string }) => url)).to.deep.equal([trusted.url])
    expect(found[0]).to.deep.include({ url: publicUrl, config: { shardId: 1, numShard: 2 } })
    expect(await (await fetch(`${index.url}/nodes`)).json()).to.deep.equal([
      { url: trusted.url, live: true, trusted: true },
      { url: publicUrl, live: true, trusted: false },
    ])
    await node.stop()
    await eventually('it is forgotten', async () => ((await (await fetch(`${index.url}/nodes`)).json()) as object[]).length === 1, 10_000)
    expect(await discovered(index)).to.deep.equal([])
    await storage.node('stranger', config)
    await eventually('it has announced itself again', async () => (await discovered(index)).length === 1)
  })

  it('is asked for a file only at the nodes that the operator vouches for', async () => {
    const index = await startIndexer()
    const node = await storage.node('holder')
    expect(await announce(index.url, node.url)).to.deep.include({ status: 200 })
    const file = sampleFile(300, 700)
    const [seq] = await storage.submit(file)
    await upload(node, seq!, file)
    expect((await rpc(index.url, 'indexer_getFileLocations', [file.root])).result).to.deep.equal([])
    await upload(trusted, seq!, file)
    const locations = (await rpc(index.url, 'indexer_getFileLocations', [file.root])).result
    expect(locations.map(({ url }: { url: string }) => url)).to.deep.equal([trusted.url])
  })

  it('lists a node once, however it is spelled, and a trusted one not at all', async () => {
    const index = await startIndexer()
    const node = await storage.node('once')
    for (const url of [node.url, `${node.url}/`, node.url.replace('http:', 'HTTP:'), trusted.url]) expect((await announce(index.url, url)).status).to.equal(200)
    expect(await discovered(index)).to.deep.equal([node.url])
  })

  it('refuses a node of another Flow, and one of another chain', async () => {
    const index = await startIndexer()
    const second = await storage.deployTo('second')
    const otherFlow = await storage.node('other-flow', { flow: second.Flow! })
    const answer = await announce(index.url, otherFlow.url)
    expect(answer.status).to.equal(400)
    expect(answer.message).to.match(/is not of this network: expected chain 31337 and Flow 0x/)

    const otherChain = await startStorage({ chainId: 31338 })
    try {
      expect((await announce(index.url, (await otherChain.node('other-chain')).url)).message).to.match(/is not of this network/)
    } finally {
      await otherChain.stop()
    }
    expect(await discovered(index)).to.deep.equal([])
  })

  it('refuses what is not a storage node, and says nothing of what answered there', async () => {
    const index = await startIndexer()
    for (const url of [index.url, `http://127.0.0.1:${await freePort()}`]) {
      expect(await announce(index.url, url)).to.deep.include({ status: 400, message: `${url} does not answer as a storage node` })
    }
    for (const url of ['', 7, 'ftp://127.0.0.1', 'http://user:word@127.0.0.1', `http://127.0.0.1/?x`, `http://127.0.0.1/${'x'.repeat(300)}`]) {
      expect((await announce(index.url, url)).status, String(url)).to.equal(400)
    }
  })

  it('reached from elsewhere, lets nobody look at private addresses through it', async () => {
    const index = await startIndexer({ host: '0.0.0.0' })
    const at = index.url.replace('0.0.0.0', '127.0.0.1')
    const [asked, silent] = await silentServer()
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0.0.0.0']) {
      expect((await announce(at, `http://${host}:${portOf(silent)}`)).status, host).to.equal(400)
    }
    expect(asked()).to.equal(0)
    silent.close()
  })

  it('given a flood of announcements, passes on a few and takes no more than there is room for', async () => {
    const index = await startIndexer({ maxDiscovered: 20 })
    const [asked, silent, openAtOnce] = await silentServer()
    const url = `http://127.0.0.1:${portOf(silent)}`
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => announce(index.url, `${url}/${i}`)))
    const checked = answers.filter(({ status }) => status === 400).length
    expect(checked).to.be.at.least(1)
    expect(answers.filter(({ status }) => status === 503)).to.have.length(200 - checked)
    expect(openAtOnce()).to.be.within(1, 8)
    expect(asked()).to.be.at.most(checked)
    await Promise.all(Array.from({ length: 50 }, () => announce(index.url, `${url}/same`)))
    expect(asked()).to.be.below(checked + 50)
    silent.close()

    const small = await startIndexer({ maxDiscovered: 1 })
    const [first, second] = [await storage.node('flood-first'), await storage.node('flood-second')]
    expect((await announce(small.url, first.url)).status).to.equal(200)
    expect(await announce(small.url, second.url)).to.deep.include({ status: 503, message: 'there are 1 nodes already' })
    expect(await discovered(small)).to.deep.equal([first.url])
  })

  it('told not to, takes nobody', async () => {
    const index = await startIndexer({ discover: false })
    expect((await announce(index.url, (await storage.node('unwanted')).url)).status).to.equal(403)
    expect(await discovered(index)).to.deep.equal([])
  })
})

const portOf = (server: Server): number => (server.address() as { port: number }).port

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
}

async function freePort(): Promise<number> {
  const server = createServer()
  await listen(server)
  const port = portOf(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Accepts connections and never answers; counts them, and how many were open at the same time. */
async function silentServer(): Promise<[total: () => number, Server, atOnce: () => number]> {
  let count = 0
  let open = 0
  let most = 0
  const server = createServer((socket: Socket) => {
    count++
    most = Math.max(most, ++open)
    socket.on('error', () => {}).on('close', () => open--)
  })
  await listen(server)
  return [() => count, server, () => most]
}
