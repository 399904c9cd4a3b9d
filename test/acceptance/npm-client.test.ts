// The public storage clients, as npm installs them, against the local network. They do not verify what they download: roots are
// recomputed here.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as current from '@0gfoundation/0g-ts-sdk'
import * as legacy from '@0glabs/0g-ts-sdk'
import { JsonRpcProvider, Wallet } from 'ethers'
import { FileTree } from '../../protocol/storage/merkle.ts'
import { download, PerigeeError } from '../../sdk/index.ts'
import { startFaultyProxy } from '../sdk/faulty-proxy.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'
import { quietConsole, until, within } from './deadline.ts'

type Client = typeof current | typeof legacy
type Uploaded = { txHash: string; rootHash: string }

const SIZES = [1, 255, 256, 257, 4095, 4096, 4097, 262_143, 262_144, 262_145, 1_048_583, 5_243_180]
const OPTIONS = { tags: '0x', finalityRequired: true, taskSize: 1, expectedReplica: 1, skipTx: false, fee: 0n }

describe('public storage clients', function () {
  this.timeout(180_000)
  let network: Network
  let folder: string
  let files = 0
  const providers: JsonRpcProvider[] = []
  quietConsole()

  /** An account of its own for each upload at a time: the clients take nonces from the chain. */
  const wallet = (account: number): Wallet => {
    const provider = new JsonRpcProvider(network.rpcUrl, undefined, { cacheTimeout: -1 })
    providers.push(provider)
    return new Wallet(network.accounts[account]!.privateKey, provider)
  }
  /** Bytes that no other upload has, so that none is a duplicate. */
  const freshBytes = (size: number): Buffer => {
    const bytes = Buffer.from(patternBytes('p2', size))
    bytes[0] = ++files
    return bytes
  }
  const fileOf = async (bytes: Uint8Array): Promise<string> => {
    const path = join(folder, `file-${++files}`)
    await writeFile(path, bytes)
    return path
  }
  const rootOf = (bytes: Uint8Array): string => FileTree.fromBytes(bytes).root

  async function uploadFile(client: Client, path: string, account: number, options: Partial<typeof OPTIONS> = {}): Promise<Uploaded> {
    const file = await client.ZgFile.fromFilePath(path)
    try {
      return await uploadData(client, file, account, options)
    } finally {
      await file.close()
    }
  }
  async function uploadData(client: Client, data: unknown, account: number, options: Partial<typeof OPTIONS> = {}): Promise<Uploaded> {
    const indexer = new client.Indexer(network.indexer)
    const [result, error] = await within<[unknown, Error | null]>(
      90,
      'upload',
      indexer.upload(data as never, network.rpcUrl, wallet(account) as never, { ...OPTIONS, ...options }),
    )
    assert.equal(error, null, String(error))
    return result as Uploaded
  }
  async function downloadFile(client: Client, root: string): Promise<Buffer> {
    const path = join(folder, `download-${++files}`)
    assert.equal(await within(60, 'download', new client.Indexer(network.indexer).download(root, path, true)), null)
    const bytes = await readFile(path)
    assert.equal(rootOf(bytes), root)
    return bytes
  }
  const locations = async (root: string): Promise<string[]> => (await new current.Indexer(network.indexer).getFileLocations(root)).map(({ url }) => url)

  before(async () => {
    network = await startNetwork({ storage: { kv: false } })
    folder = await mkdtemp(join(tmpdir(), 'perigee-acceptance-'))
  })
  after(async () => {
    for (const provider of providers) provider.destroy()
    await network?.stop()
    if (folder) await rm(folder, { recursive: true })
  })

  for (const [name, client] of [
    ['1.2.8', current],
    ['0.3.3', legacy],
  ] as const) {
    describe(name, () => {
      it('uploads and downloads files of every size around a boundary', async () => {
        const roundTrip = async (size: number, i: number): Promise<void> => {
          const bytes = freshBytes(size)
          const { rootHash, txHash } = await uploadFile(client, await fileOf(bytes), 6 + i)
          assert.equal(rootHash, rootOf(bytes), `root of ${size} bytes`)
          assert.match(txHash, /^0x[0-9a-f]{64}$/)
          const held = await locations(rootHash)
          assert.ok(held.length > 0, `${size} bytes are located`)
          const info = await new client.StorageNode(held[0]!).getFileInfo(rootHash, true)
          assert.deepEqual([info?.finalized, info?.tx.size], [true, size])
          assert.ok((await downloadFile(client, rootHash)).equals(bytes), `${size} bytes come back`)
        }
        await Promise.all(SIZES.map(roundTrip))
      })

      it('uploads data in memory', async () => {
        const sizes = [257, 600_000]
        await Promise.all(
          sizes.map(async (size, i) => {
            const bytes = freshBytes(size)
            const { rootHash } = await uploadData(client, new client.MemData(bytes), 6 + i)
            assert.equal(rootHash, rootOf(bytes))
            assert.ok((await downloadFile(client, rootHash)).equals(bytes))
          }),
        )
      })

      it('uploads to two replicas', async () => {
        const { rootHash } = await uploadFile(client, await fileOf(freshBytes(300_000)), 6, { expectedReplica: 2 })
        for (const url of network.nodes) assert.equal((await new client.StorageNode(url).getFileInfo(rootHash, true))?.finalized, true, url)
        await until(5, 'the indexer names both nodes', async () => (await locations(rootHash)).length === 2)
      })

      it('uploads and downloads without an indexer', async () => {
        const bytes = freshBytes(400_000)
        const path = await fileOf(bytes)
        const nodes = network.nodes.map((url) => new client.StorageNode(url))
        const flow = client.getFlowContract(network.contracts.Flow!, wallet(6) as never)
        const file = await client.ZgFile.fromFilePath(path)
        const [result, error] = await within(
          60,
          'upload',
          new client.Uploader(nodes as never, network.rpcUrl, flow as never).uploadFile(file as never, OPTIONS),
        )
        await file.close()
        assert.equal(error, null, String(error))
        const copy = `${path}.copy`
        assert.equal(await within(60, 'download', new client.Downloader(nodes as never).downloadFile(result.rootHash, copy, true)), null)
        assert.ok((await readFile(copy)).equals(bytes))
      })
    })
  }

  it('1.2.8 pays nothing for a file that is stored', async () => {
    const path = await fileOf(freshBytes(5000))
    const first = await uploadFile(current, path, 6)
    const again = await uploadFile(current, path, 6)
    assert.deepEqual([again.rootHash, again.txHash], [first.rootHash, ''])
  })

  it('0.3.3 submits a stored file again, and has it', async () => {
    const bytes = freshBytes(5000)
    const path = await fileOf(bytes)
    const first = await uploadFile(legacy, path, 6)
    const again = await uploadFile(legacy, path, 7)
    assert.equal(again.rootHash, first.rootHash)
    assert.notEqual(again.txHash, first.txHash)
    assert.ok((await downloadFile(legacy, first.rootHash)).equals(bytes))
  })

  it('1.2.8 sends more than a hundred segments at once', async () => {
    const bytes = freshBytes(110 * 262_144 - 1)
    const { rootHash } = await uploadFile(current, await fileOf(bytes), 6)
    assert.equal(rootHash, rootOf(bytes))
    assert.ok((await downloadFile(current, rootHash)).equals(bytes))
  })

  it('download from the other node when one is stopped: the indexer drops it within five seconds', async () => {
    const bytes = freshBytes(700_000)
    const { rootHash } = await uploadFile(current, await fileOf(bytes), 6, { expectedReplica: 2 })
    await until(10, 'both nodes are located', async () => (await locations(rootHash)).length === 2)
    await network.stopKeeper('storage/node/0')
    try {
      await until(5, 'the stopped node is dropped', async () => !(await locations(rootHash)).includes(network.nodes[0]!))
      for (const client of [current, legacy]) assert.ok((await downloadFile(client, rootHash)).equals(bytes))
    } finally {
      await network.startKeeper('storage/node/0')
    }
    await until(15, 'the node is back', async () => (await locations(rootHash)).length === 2)
  })

  it('do not notice wrong bytes; our SDK does', async () => {
    const bytes = freshBytes(300_000)
    const { rootHash } = await uploadFile(current, await fileOf(bytes), 6)
    const holder = (await locations(rootHash))[0]!
    const flipped = (data: string): string => {
      const decoded = Buffer.from(data, 'base64')
      decoded[100]! ^= 1
      return decoded.toString('base64')
    }
    const liar = await startFaultyProxy(holder, {
      after: ({ path, rpc }, body) => {
        if (path.endsWith('/data')) {
          body[100]! ^= 1
          return body
        }
        if (rpc !== 'zgs_downloadSegmentByTxSeq') return body
        const answer = JSON.parse(body.toString())
        return Buffer.from(JSON.stringify({ ...answer, result: flipped(answer.result) }))
      },
    })
    try {
      const copy = join(folder, 'wrong')
      assert.equal(await within(60, 'download', new current.Downloader([new current.StorageNode(liar.url)]).download(rootHash, copy, true)), null)
      assert.notEqual(rootOf(await readFile(copy)), rootHash)
      const ours = download(rootHash, join(folder, 'right'), { nodes: [liar.url] })
      await assert.rejects(ours, (error) => error instanceof PerigeeError && error.code === 'VERIFICATION_FAILED' && error.message.includes(liar.url))
    } finally {
      await liar.kill()
    }
  })

  it('the examples of the README run', async () => {
    const devnet = join(folder, 'devnet.json')
    const { rpcUrl, accounts, contracts, indexer } = network
    await writeFile(devnet, JSON.stringify({ chain: { rpcUrl, chainId: 31337, accounts }, contracts, services: { storageIndexer: indexer } }))
    const example = async (...args: string[]): Promise<string> => {
      const path = await fileOf(freshBytes(1234))
      const env = { ...process.env, PERIGEE_NETWORK: devnet }
      return (await within(90, args.join(' '), promisify(execFile)(process.execPath, [...args, path], { env }))).stdout
    }
    assert.match(await example('examples/npm-client.mjs'), /the same bytes/)
    assert.match(await example('--import', './scripts/ts.mjs', 'examples/sdk.ts'), /every byte verified/)
  })
})
