import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, open, rm, symlink } from 'node:fs/promises'
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { StorageNodeClient } from '../../../sdk/storage/node-client.ts'
import { content, eventually, finalized, known, type RunningNode, rpc, type Storage, startStorage, upload } from './network.ts'
import { type SampleFile, sampleFile } from './sample.ts'

/** As long as a provider's usual outage; the node must bridge it without a restart. */
const OUTAGE_MS = 30_000
const SIZE = 5 * 262_144 + 777

async function damage(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(Buffer.from('damaged'), 0, 7, position)
  await file.close()
}

const filesOf = (node: RunningNode) => join(node.folder, 'files')

describe('storage node: what goes wrong', function () {
  this.timeout(240_000)
  let storage: Storage
  let seed = 300
  /** Folders of a test's own. */
  const named = (name: string) => `${name}-${seed}`

  before(async () => {
    storage = await startStorage()
  })
  afterEach(() => storage.stopNodes())
  after(() => storage.stop())

  /** Two nodes, the second fetching from the first, and a file that both have. */
  async function replicated(overrides: object = {}): Promise<{ file: SampleFile; seq: number; first: RunningNode; second: RunningNode }> {
    const first = await storage.node(named('first'))
    const second = await storage.node(named('second'), { peers: [first.url], ...overrides })
    const file = sampleFile(SIZE, seed++)
    const [seq] = await storage.submit(file)
    await upload(first, seq!, file)
    await finalized(second, seq!)
    return { file, seq: seq!, first, second }
  }

  it('given a file on another node only, fetches and verifies it', async () => {
    const { file, second } = await replicated()
    expect((await content(second, file.root)).equals(file.bytes)).to.equal(true)
  })

  it('given a restart in the middle of an upload, goes on with what it had', async () => {
    const name = named('node')
    const file = sampleFile(SIZE, seed++)
    const [seq] = await storage.submit(file)
    const before = await storage.node(name)
    await known(before, seq!)
    await rpc(before.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(4), file.proven(2)], seq])
    await before.stop()
    const after = await storage.node(name)
    expect((await known(after, seq!)).uploadedSegNum).to.equal(2)
    await upload(after, seq!, file)
    expect((await content(after, file.root)).equals(file.bytes)).to.equal(true)
  })

  it('given a damaged segment, repairs it from a peer before serving it', async () => {
    const { file, seq, second } = await replicated()
    await damage(second.pathOf(file), 262_144 * 3 + 5)
    expect((await rpc(second.url, 'zgs_downloadSegmentByTxSeq', [seq, 3072, 4096])).result).to.equal(Buffer.from(file.segment(3)).toString('base64'))
    await damage(second.pathOf(file), 1000)
    expect((await content(second, file.root)).equals(file.bytes)).to.equal(true)
    await finalized(second, seq)
  })

  it('given a damaged segment and no peer, serves nothing rather than wrong bytes, and says that the file is not whole', async () => {
    const { file, seq, first, second } = await replicated()
    await second.stop()
    await damage(first.pathOf(file), 262_144 + 9)
    expect(await rpc(first.url, 'zgs_downloadSegmentByTxSeq', [seq, 1024, 2048])).to.have.property('result', null)
    expect(await rpc(first.url, 'zgs_downloadSegmentWithProof', [file.root, 1])).to.have.property('result', null)
    expect((await fetch(`${first.url}/files/${seq}/data`, { headers: { range: 'bytes=262144-262150' } })).status).to.equal(404)
    const torn = await fetch(`${first.url}/files/${seq}/data`)
      .then(
        (response) => response.arrayBuffer(),
        () => undefined,
      )
      .catch(() => undefined)
    expect(torn).to.equal(undefined)
    expect((await first.client.fileBySeq(seq))!).to.deep.include({ finalized: false, uploadedSegNum: 5 })
    await upload(first, seq, file)
    expect((await content(first, seq)).equals(file.bytes)).to.equal(true)
  })

  it('given damage that nobody reads, finds it by scrubbing and repairs it', async () => {
    const { file, seq, second } = await replicated({ scrubMs: 200 })
    await damage(second.pathOf(file), 262_144 * 2)
    await eventually('the damage is found', async () => {
      const bytes = Buffer.alloc(7)
      const data = await open(second.pathOf(file), 'r')
      await data.read(bytes, 0, 7, 262_144 * 2)
      await data.close()
      return bytes.equals(file.bytes.subarray(262_144 * 2, 262_144 * 2 + 7))
    })
    await finalized(second, seq)
  })

  it('given its whole folder deleted, replays the chain and serves every file again', async () => {
    const { file, seq, first, second } = await replicated({ ownDatabase: true })
    const other = sampleFile(1000, seed++)
    const [otherSeq] = await storage.submit(other)
    await upload(first, otherSeq!, other)
    await finalized(second, otherSeq!)
    await second.stop()
    await rm(second.folder, { recursive: true })
    const again = await storage.node(basename(second.folder), { ownDatabase: true, peers: [first.url] })
    await finalized(again, seq)
    await finalized(again, otherSeq!)
    expect((await content(again, file.root)).equals(file.bytes)).to.equal(true)
    expect((await content(again, other.root)).equals(other.bytes)).to.equal(true)
  })

  it('given its files deleted under its feet, notices and fetches them again', async () => {
    const { file, seq, second } = await replicated()
    await rm(filesOf(second), { recursive: true })
    await eventually('the loss is noticed', async () => existsSync(second.pathOf(file)))
    await finalized(second, seq)
    expect((await content(second, file.root)).equals(file.bytes)).to.equal(true)
  })

  it('given a peer that lies, believes nothing of it', async () => {
    const { file, seq, first, second } = await replicated()
    await second.stop()
    const liar = createServer((socket) => lie(socket, first.url))
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve))
    const third = await storage.node(named('third'), { peers: [urlOf(liar), first.url] })
    await finalized(third, seq)
    expect((await content(third, file.root)).equals(file.bytes)).to.equal(true)
    liar.close()
  })

  it('given an RPC endpoint that goes away for 30 s, stores and serves on, says why it is not ready, and catches up', async () => {
    const proxy = new Passage(storage.chain.url)
    const node = await storage.node(named('node'), { rpcUrl: await proxy.open() })
    const file = sampleFile(SIZE, seed++)
    const [seq] = await storage.submit(file)
    const pending = Array.from({ length: 6 }, (_, i) => sampleFile(262_144 + i, seed++))
    const pendingSeqs = await storage.submit(...pending)
    await upload(node, seq!, file)
    await known(node, pendingSeqs.at(-1)!)
    await proxy.close()
    const returns = Date.now() + OUTAGE_MS
    const readiness = () => fetch(`${node.url}/readyz`)
    // A request that was under way when the endpoint went says “socket hang up”; the next ones cannot connect.
    await eventually('the node says so', async () => (await (await readiness()).text()).includes('ECONNREFUSED'), 10_000)
    const later = sampleFile(300, seed++)
    const [laterSeq] = await storage.submit(later)
    for (const [i, each] of pending.entries()) {
      await upload(node, pendingSeqs[i]!, each)
      expect((await content(node, each.root)).equals(each.bytes)).to.equal(true)
      const response = await readiness()
      expect(response.status).to.equal(503)
      expect((await response.json()) as object)
        .to.have.property('reason')
        .that.includes('ECONNREFUSED')
      expect(await node.client.fileBySeq(laterSeq!)).to.equal(null)
      await sleep(Math.max(0, (returns - Date.now()) / (pending.length - i)))
    }
    expect(Date.now()).to.be.at.least(returns)
    expect((await content(node, file.root)).equals(file.bytes)).to.equal(true)
    await proxy.open()
    await upload(node, laterSeq!, later)
    await eventually('the node is ready', async () => (await readiness()).status === 200)
    await proxy.close()
  })

  it('given a reorganisation of three blocks, forgets what was undone and keeps what comes back', async () => {
    const node = await storage.node(named('node'))
    const [stays, undone, back] = [sampleFile(1000, seed++), sampleFile(2000, seed++), sampleFile(SIZE, seed++)]
    const [first] = await storage.submit(stays)
    await upload(node, first!, stays)
    const snapshot = await storage.chain.request('evm_snapshot', [])
    const [second, third] = await storage.submit(undone, back)
    await storage.chain.request('evm_mine', [])
    await upload(node, second!, undone)
    await upload(node, third!, back)

    await storage.chain.request('evm_revert', [snapshot])
    const [replacing] = await storage.submit(back)
    for (let i = 0; i < 3; i++) await storage.chain.request('evm_mine', [])
    expect(replacing).to.equal(second)
    const info = await eventually('the other branch is followed', async () => {
      const info = await node.client.fileBySeq(replacing!)
      return info?.tx.dataMerkleRoot === back.root && info.finalized && info
    })
    expect(info.tx.size).to.equal(SIZE)
    expect(await node.client.fileBySeq(third!)).to.equal(null)
    expect(await node.client.fileByRoot(undone.root)).to.equal(null)
    expect((await content(node, first!)).equals(stays.bytes)).to.equal(true)
    expect((await content(node, back.root)).equals(back.bytes)).to.equal(true)
    expect((await node.client.status()).nextTxSeq).to.equal(third)
  })

  it('given a full disk, tells the uploader, serves on, and takes the file once there is room', async function () {
    if (!existsSync('/dev/full')) this.skip()
    const name = named('node')
    const node = await storage.node(name)
    const [file, other] = [sampleFile(SIZE, seed++), sampleFile(1000, seed++)]
    const [seq, otherSeq] = await storage.submit(file, other)
    await known(node, otherSeq!)
    await mkdir(dirname(node.pathOf(file)), { recursive: true })
    await symlink('/dev/full', node.pathOf(file))
    const { error } = await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(0)], seq])
    expect(error!.code).to.equal(-32000)
    expect(error!.message).to.match(/^disk full: no space left/)
    await node.client.putTree(seq!, file.tree.segmentRoots)
    const put = await fetch(`${node.url}/files/${seq}/segments/1`, {
      method: 'PUT',
      body: file.segment(1),
      headers: { 'content-type': 'application/octet-stream' },
    })
    expect(put.status).to.equal(507)
    expect((await node.client.fileBySeq(seq!))!.uploadedSegNum).to.equal(0)
    await upload(node, otherSeq!, other)
    await node.stop()
    await rm(node.pathOf(file))
    const again = await storage.node(name)
    await upload(again, seq!, file)
    expect((await content(again, file.root)).equals(file.bytes)).to.equal(true)
  })

  it('given a disk filled up to its reserve, refuses more before its own database is in want', async () => {
    const node = await storage.node(named('node'), { reserveBytes: Number.MAX_SAFE_INTEGER })
    const file = sampleFile(1000, seed++)
    const [seq] = await storage.submit(file)
    await known(node, seq!)
    const { error } = await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(0)], seq])
    expect(error!.message).to.match(/^disk full: no space left/)
    expect((await fetch(`${node.url}/healthz`)).status).to.equal(200)
  })

  it('killed during an upload, has lost nothing that it acknowledged', async () => {
    const file = sampleFile(40 * 262_144, seed++)
    const [seq] = await storage.submit(file)
    const config = { ...storage.config(), dataDir: join(storage.folder, named('victim')) }
    const acknowledged = new Set<number>()
    for (let kills = 0; acknowledged.size < file.shape.segments; kills++) {
      const victim = await Process.start(config)
      const { client } = victim
      const info = await eventually('the submission is known', () => client.fileBySeq(seq!).catch(() => null))
      const { stored } = (await client.progress(seq!))!
      for (const i of acknowledged) expect((stored[i >> 3]! >> (i & 7)) & 1, `segment ${i} after ${kills} kills`).to.equal(1)
      if (!info.finalized) await client.putTree(seq!, file.tree.segmentRoots)
      const open = Array.from({ length: file.shape.segments }, (_, i) => i).filter((i) => !acknowledged.has(i))
      const quota = kills < 2 ? 10 : open.length
      let done = 0
      // Killed while segments are on their way: some are acknowledged, others not.
      await Promise.all(
        open.map(async (i) => {
          await client.putSegment(seq!, i, file.segment(i), { retries: 0 }).then(
            () => acknowledged.add(i),
            () => {},
          )
          if (++done === quota && kills < 2) victim.kill('SIGKILL')
        }),
      )
      if (kills < 2) await victim.ended
      else {
        const whole = Buffer.from(await (await fetch(`${client.url}/files/${seq}/data`)).arrayBuffer())
        expect(whole.equals(file.bytes)).to.equal(true)
        victim.kill('SIGTERM')
        expect(await victim.ended).to.equal(0)
      }
    }
  })
})

/** A storage node as a process of its own. */
class Process {
  readonly client: StorageNodeClient
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.client = new StorageNodeClient(url)
    this.ended = new Promise((resolve) => child.once('exit', resolve))
  }

  static async start({ privateKey, ...config }: Record<string, unknown>): Promise<Process> {
    const flags = Object.entries({ ...config, port: 0 }).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`, String(value)])
    const main = ['--import', './scripts/ts.mjs', 'keepers/storage/node/main.ts']
    const child = spawn(process.execPath, [...main, ...flags], {
      env: { ...process.env, PRIVATE_KEY: String(privateKey), LOG_LEVEL: 'info' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout!.on('data', (text) => {
        output += text
        const started = /"url":"([^"]+)"[^\n]*"msg":"started"/.exec(output)
        if (started) resolve(started[1]!)
      })
      child.once('exit', (code) => reject(new Error(`the node ended with ${code}:\n${output}`)))
    })
    return new Process(child, url)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
}

/** A way to an endpoint that can be closed and opened again. */
class Passage {
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  constructor(target: string) {
    this.#target = new URL(target)
  }

  async open(): Promise<string> {
    this.#server = createServer((from) => {
      const to = connectSocket(Number(this.#target.port), this.#target.hostname)
      for (const socket of [from, to]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => [from, to].forEach((each) => void each.destroy()))
      }
      from.pipe(to).pipe(from)
    })
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, '127.0.0.1', resolve))
    const url = urlOf(this.#server)
    this.#port = Number(new URL(url).port)
    return url
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server!.close(resolve))
  }
}

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as { port: number }).port}`

/** Passes an honest node's answers on with the last byte of each body changed. */
function lie(socket: Socket, honest: string): void {
  const to = connectSocket(Number(new URL(honest).port), '127.0.0.1')
  for (const each of [socket, to]) each.on('error', () => {})
  socket.pipe(to)
  to.on('data', (part) => {
    if (part.length > 10_000) part[part.length - 1]! ^= 0xff
    socket.write(part)
  })
  to.on('close', () => socket.destroy())
  socket.on('close', () => to.destroy())
}
