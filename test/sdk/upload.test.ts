import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { JsonRpcProvider, type Signer, Wallet } from 'ethers'
import { SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import { FileTree } from '../../protocol/storage/merkle.ts'
import { sectorsOf, submissionOf } from '../../protocol/storage/submission.ts'
import { chainError } from '../../sdk/contracts.ts'
import { connectFlow, downloadBytes, PerigeeError, readReceipts, StorageNodeClient, storeReceipts, upload, verifyReceipt } from '../../sdk/index.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'
import { type FaultyProxy, startFaultyProxy } from './faulty-proxy.ts'

describe('sdk: upload', () => {
  let network: Network
  let provider: JsonRpcProvider
  let signer: Signer
  let folder: string
  let seed = 0
  const proxies: FaultyProxy[] = []

  /** Bytes that no other test has stored. */
  const freshBytes = (size: number): Uint8Array => patternBytes('p2', size).map((byte, i) => (i < 4 ? ++seed : byte))
  const submissions = async (): Promise<number> => Number(await (await connectFlow(network.contracts.Flow!, provider)).flow.numSubmissions())
  const proxyOf = async (node: number, faults: FaultyProxy['faults'] = {}): Promise<FaultyProxy> => {
    const proxy = await startFaultyProxy(network.nodes[node]!, faults)
    proxies.push(proxy)
    return proxy
  }
  const segmentsPut = ({ seen }: FaultyProxy): number => seen.filter(({ method, path }) => method === 'PUT' && path.includes('/segments/')).length
  const code =
    (expected: string, text?: RegExp) =>
    (error: unknown): true => {
      assert.ok(error instanceof PerigeeError, String(error))
      assert.equal(error.code, expected, error.message)
      if (text) assert.match(error.message, text)
      return true
    }

  before(async function () {
    this.timeout(120_000)
    network = await startNetwork({ storage: { kv: false } })
    provider = new JsonRpcProvider(network.rpcUrl, undefined, { cacheTimeout: -1 })
    signer = new Wallet(network.accounts[6]!.privateKey, provider)
    folder = await mkdtemp(join(tmpdir(), 'perigee-upload-'))
  })
  afterEach(async () => {
    for (const proxy of proxies.splice(0)) await proxy.kill()
  })
  after(async () => {
    provider?.destroy()
    await network?.stop()
    if (folder) await rm(folder, { recursive: true })
  })

  it('stores a file on two nodes for one payment of exactly the price', async () => {
    const bytes = freshBytes(3 * SEGMENT_SIZE + 77)
    const path = join(folder, 'three')
    await writeFile(path, bytes)
    const before = await submissions()
    const result = await upload(path, { indexer: network.indexer, signer })
    const { market } = await connectFlow(network.contracts.Flow!, provider)
    const tree = FileTree.fromBytes(bytes)
    assert.equal(result.root, tree.root)
    assert.equal(result.fee, (await market.pricePerSector()) * BigInt(sectorsOf(tree.nodes())))
    assert.equal(await submissions(), before + 1)
    assert.deepEqual(result.nodes.map(({ url }) => url).sort(), [...network.nodes].sort())
    for (const url of network.nodes) {
      const info = await new StorageNodeClient(url).fileByRoot(result.root)
      assert.equal(info?.finalized, true)
      assert.equal(info?.tx.size, bytes.length)
    }
  })

  it('stores bytes and streams like files', async () => {
    const bytes = freshBytes(SEGMENT_SIZE + 1)
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 10_007) yield bytes.subarray(at, at + 10_007)
    }
    const streamed = await upload(pieces(), { indexer: network.indexer, signer })
    const direct = await upload(bytes, { indexer: network.indexer, signer })
    assert.equal(streamed.root, FileTree.fromBytes(bytes).root)
    assert.equal(direct.root, streamed.root)
  })

  it('pays nothing and sends nothing for a file that is stored, unless a new lease is asked for', async () => {
    const bytes = freshBytes(1000)
    const first = await upload(bytes, { indexer: network.indexer, signer })
    const before = await submissions()
    const second = await upload(bytes, { indexer: network.indexer, signer })
    assert.deepEqual([second.seq, second.fee, second.sent, second.transaction], [first.seq, 0n, 0, ''])
    assert.equal(await submissions(), before)
    const third = await upload(bytes, { indexer: network.indexer, signer, forceNewLease: true })
    assert.equal(third.seq, before)
    assert.ok(third.fee > 0n)
  })

  it('returns the verified receipts of the nodes, which are stored and read back', async () => {
    const { root, seq, nodes } = await upload(freshBytes(300), { indexer: network.indexer, signer })
    const receipts = nodes.map(({ receipt }) => receipt!)
    assert.equal(new Set(receipts.map(({ node }) => node)).size, 2)
    const path = await storeReceipts(join(folder, 'receipts'), receipts.slice(0, 1))
    assert.equal(await storeReceipts(join(folder, 'receipts'), receipts.slice(1)), path)
    assert.deepEqual(await readReceipts(path!), receipts)
    const subject = { root, submission: seq, chainId: 31337, contract: network.contracts.Flow! }
    assert.throws(() => verifyReceipt({ ...receipts[0]!, until: receipts[0]!.until + 1 }, subject), code('VERIFICATION_FAILED', /signature/))
    assert.throws(() => verifyReceipt(receipts[0]!, { ...subject, submission: seq + 1 }), code('VERIFICATION_FAILED', /submission/))
  })

  it('goes on after an interruption: no second payment, and only what is missing is sent', async () => {
    const bytes = freshBytes(20 * SEGMENT_SIZE)
    const controller = new AbortController()
    const interrupted = await proxyOf(0, {
      after: (_, body) => {
        if (segmentsPut(interrupted) > 9) controller.abort()
        return body
      },
    })
    const options = { nodes: [interrupted.url], signer }
    await assert.rejects(upload(bytes, { ...options, signal: controller.signal }), { name: 'AbortError' })
    const paid = await submissions()
    const before = await new StorageNodeClient(network.nodes[0]!).progress(paid - 1)
    const stored = [...before!.stored].reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
    assert.ok(stored > 0 && stored < 20, `${stored} of 20 segments were stored at the interruption`)
    interrupted.seen.length = 0
    const result = await upload(bytes, options)
    assert.equal(await submissions(), paid)
    assert.equal(result.fee, 0n)
    assert.equal(segmentsPut(interrupted), 20 - stored)
  })

  it('finds a payment that no node knew of when it was interrupted', async () => {
    const bytes = freshBytes(5000)
    const controller = new AbortController()
    const blind = await proxyOf(0, {
      before: ({ rpc }) => {
        if (rpc !== 'zgs_getFileInfoByTxSeq' && rpc !== 'zgs_getFileInfo') return 'pass'
        if (rpc === 'zgs_getFileInfoByTxSeq') controller.abort()
        return { status: 200, body: '{"jsonrpc":"2.0","id":1,"result":null}' }
      },
    })
    await assert.rejects(upload(bytes, { nodes: [blind.url], signer, signal: controller.signal }), { name: 'AbortError' })
    const paid = await submissions()
    blind.faults.before = ({ rpc }) => (rpc === 'zgs_getFileInfo' ? { status: 200, body: '{"jsonrpc":"2.0","id":1,"result":null}' } : 'pass')
    const result = await upload(bytes, { nodes: [blind.url], signer })
    assert.deepEqual([result.seq, result.fee, await submissions()], [paid - 1, 0n, paid])
  })

  it('sends segments with proofs to a node that has only JSON-RPC', async () => {
    const bytes = freshBytes(2 * SEGMENT_SIZE + 300)
    const upstream = await proxyOf(0, {
      before: ({ path, rpc }) =>
        path.startsWith('/files/')
          ? { status: 404, body: '{}' }
          : rpc === 'perigee_getKeptReceipt'
            ? { status: 200, body: '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}' }
            : 'pass',
    })
    const result = await upload(bytes, { nodes: [upstream.url], signer })
    assert.deepEqual(result.nodes, [{ url: upstream.url, finalized: true, receipt: undefined }])
    assert.equal(upstream.seen.filter(({ rpc }) => rpc === 'zgs_uploadSegmentsByTxSeq').length, 3)
    assert.deepEqual(Buffer.from((await downloadBytes(result.root, { nodes: [network.nodes[0]!] })).bytes), Buffer.from(bytes))
  })

  it('survives a node that dies half way, and reports it', async () => {
    const bytes = freshBytes(20 * SEGMENT_SIZE)
    const dying = await proxyOf(1, { before: () => (segmentsPut(dying) > 5 ? 'break' : 'pass') })
    const result = await upload(bytes, { nodes: [network.nodes[0]!, dying.url], signer })
    const [kept, failed] = result.nodes
    assert.deepEqual([kept?.finalized, failed?.url, failed?.finalized], [true, dying.url, false])
    assert.match(failed!.failure!, /cannot be reached/)
    assert.deepEqual(Buffer.from((await downloadBytes(result.root, { nodes: [network.nodes[0]!] })).bytes), Buffer.from(bytes))
  }).timeout(30_000)

  it('fails when fewer copies are final than required, naming the nodes that failed', async () => {
    const dying = await proxyOf(1, { before: () => (segmentsPut(dying) > 2 ? 'break' : 'pass') })
    const attempt = upload(freshBytes(12 * SEGMENT_SIZE), { nodes: [network.nodes[0]!, dying.url], required: 2, signer })
    await assert.rejects(attempt, code('NETWORK', new RegExp(`1 of 2 required copies.*${dying.url}`, 's')))
  }).timeout(30_000)

  it('puts a spare node in the place of one that dies', async () => {
    const bytes = freshBytes(12 * SEGMENT_SIZE)
    const dying = await proxyOf(0, { before: () => (segmentsPut(dying) > 2 ? 'break' : 'pass') })
    const spare = await proxyOf(1)
    const location = (url: string): object => ({ url, config: { shardId: 0, numShard: 1 } })
    const indexer = await startFaultyProxy(network.indexer, {
      before: () => ({
        status: 200,
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, result: { trusted: [dying.url, spare.url].map(location), discovered: [] } }),
      }),
    })
    proxies.push(indexer)
    const result = await upload(bytes, { indexer: indexer.url, replicas: 1, signer })
    assert.deepEqual(
      result.nodes.map(({ url, finalized }) => [url, finalized]),
      [
        [dying.url, false],
        [spare.url, true],
      ],
    )
  }).timeout(30_000)

  it('says why when the node never sees the submission', async () => {
    const blindAt = (height: number): Promise<FaultyProxy> =>
      proxyOf(0, {
        before: ({ rpc }) => (rpc === 'zgs_getFileInfoByTxSeq' ? { status: 200, body: '{"jsonrpc":"2.0","id":1,"result":null}' } : 'pass'),
        after: ({ rpc }, body) => (rpc === 'zgs_getStatus' ? Buffer.from(body.toString().replace(/"logSyncHeight":\d+/, `"logSyncHeight":${height}`)) : body),
      })
    const attempt = async (height: number): Promise<unknown> => upload(freshBytes(700), { nodes: [(await blindAt(height)).url], signer, timeout: 300 })
    await assert.rejects(attempt(0), code('TIMEOUT', /has not seen submission \d+ within 0\.3 s.*transaction 0x.*up to block 0\b.*lags behind/s))
    await assert.rejects(attempt(1_000_000), code('TIMEOUT', /up to block 1000000\b.*another Flow/s))
  })

  it('has the file but no receipt from a node whose receipt is forged', async () => {
    const forger = await proxyOf(0, {
      after: ({ rpc }, body) => (rpc === 'perigee_getKeptReceipt' ? Buffer.from(body.toString().replace(/"until":\d/, '"until":9')) : body),
    })
    const { nodes } = await upload(freshBytes(800), { nodes: [forger.url], signer })
    assert.deepEqual([nodes[0]?.finalized, nodes[0]?.receipt], [true, undefined])
    assert.match(nodes[0]!.failure!, /receipt.*signature is not by/)
  })

  it('refuses before paying: no node, nodes of another chain, an empty file, no such file', async () => {
    const before = await submissions()
    const gone = await proxyOf(0)
    await gone.kill()
    await assert.rejects(upload(freshBytes(10), { nodes: [gone.url], signer }), code('NETWORK', /storage nodes for 0 of 1/))
    const foreign = await proxyOf(0, { after: ({ rpc }, body) => (rpc === 'zgs_getStatus' ? Buffer.from(body.toString().replace('31337', '16661')) : body) })
    await assert.rejects(upload(freshBytes(10), { nodes: [foreign.url], signer }), code('USAGE', /chain 16661/))
    await assert.rejects(upload(freshBytes(10), { nodes: [foreign.url, network.nodes[1]!], signer }), code('USAGE', /different logs/))
    await assert.rejects(upload(new Uint8Array(0), { nodes: network.nodes, signer }), code('USAGE', /empty/))
    await assert.rejects(upload(join(folder, 'missing'), { nodes: network.nodes, signer }), code('NOT_FOUND', /missing/))
    assert.equal(await submissions(), before)
  }).timeout(10_000)

  it('names the reason when the account cannot pay, and the reason of the contract', async () => {
    const poor = Wallet.createRandom(provider)
    await assert.rejects(upload(freshBytes(10), { nodes: network.nodes, signer: poor }), code('CHAIN', /cannot pay/))
    const { flow } = await connectFlow(network.contracts.Flow!, signer)
    const data = submissionOf(FileTree.fromBytes(freshBytes(10)), 10)
    const unpaid = flow['submit((uint256,bytes,(bytes32,uint256)[]))'](data, { value: 1n }).catch((error) => {
      throw chainError('submitting', error)
    })
    await assert.rejects(unpaid, code('CHAIN', /refused with NotEnoughFee\n {2}price = \d+\n {2}amount = \d+\n {2}paid = 1/))
  })

  it('leaves no temporary file behind', async () => {
    const encryption = { key: new Uint8Array(32).fill(7) }
    const path = join(folder, 'secret')
    await writeFile(path, freshBytes(400))
    const { root, size } = await upload(path, { nodes: network.nodes, signer, encryption })
    assert.equal(size, 417)
    const { bytes } = await downloadBytes(root, { nodes: network.nodes, decryption: encryption })
    assert.deepEqual(Buffer.from(bytes), await readFile(path))
  })
})
