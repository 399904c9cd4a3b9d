import assert from 'node:assert/strict'
import { access, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { JsonRpcProvider, type Signer, Wallet } from 'ethers'
import { SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import { auditHolder, connectFlow, download, downloadBytes, findHolders, PerigeeError, upload } from '../../sdk/index.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'
import { type Faults, type FaultyProxy, startFaultyProxy } from './faulty-proxy.ts'

describe('sdk: download', () => {
  const SEGMENTS = 40
  const content = Buffer.from(patternBytes('p2', SEGMENTS * SEGMENT_SIZE - 1000))
  const key = new Uint8Array(32).fill(9)
  let network: Network
  let provider: JsonRpcProvider
  let signer: Signer
  let folder: string
  let root: string
  let encrypted: string
  let files = 0
  const proxies: FaultyProxy[] = []

  const target = (): string => join(folder, `file-${++files}`)
  const proxyOf = async (node: number, faults: Faults = {}): Promise<FaultyProxy> => {
    const proxy = await startFaultyProxy(network.nodes[node]!, faults)
    proxies.push(proxy)
    return proxy
  }
  const isData = (path: string): boolean => path.endsWith('/data')
  const flip = (body: Buffer): Buffer => {
    body[body.length >> 1]! ^= 1
    return body
  }
  /** Changes what a node says of the file. */
  const describedAs =
    (change: (tx: { seq: number; size: number; merkleNodes: [number, string][] }) => void): NonNullable<Faults['after']> =>
    ({ rpc }, body) => {
      if (rpc !== 'zgs_getFileInfo') return body
      const answer = JSON.parse(body.toString())
      change(answer.result.tx)
      return Buffer.from(JSON.stringify(answer))
    }
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
    folder = await mkdtemp(join(tmpdir(), 'perigee-download-'))
    ;({ root } = await upload(content, { nodes: network.nodes, signer, required: 2 }))
    ;({ root: encrypted } = await upload(content.subarray(0, 1000), { nodes: network.nodes, signer, required: 2, encryption: { key } }))
  })
  afterEach(async () => {
    for (const proxy of proxies.splice(0)) await proxy.kill()
  })
  after(async () => {
    provider?.destroy()
    await network?.stop()
    if (folder) await rm(folder, { recursive: true })
  })

  it('fetches a file from all its holders, verified, and leaves nothing but the file', async () => {
    const to = target()
    const result = await download(root, to, { indexer: network.indexer })
    assert.deepEqual(await readFile(to), content)
    assert.equal(result.sources.length, 2)
    assert.equal(
      result.sources.reduce((sum, { segments }) => sum + segments, 0),
      SEGMENTS,
    )
    assert.deepEqual(result.culprits, [])
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('.part')),
      [],
    )
  })

  it('names the node that serves wrong bytes, and has the file from the other', async () => {
    const liar = await proxyOf(0, { after: ({ path }, body) => (isData(path) ? flip(body) : body) })
    const to = target()
    const result = await download(root, to, { nodes: [liar.url, network.nodes[1]!] })
    assert.deepEqual(await readFile(to), content)
    assert.deepEqual(
      result.culprits.map(({ url, lied }) => [url, lied]),
      [[liar.url, true]],
    )
    assert.match(result.culprits[0]!.reason, /wrong bytes in segment \d+/)
  })

  it('writes no file when the only node lies', async () => {
    const liar = await proxyOf(0, { after: ({ path }, body) => (isData(path) ? flip(body) : body) })
    const to = target()
    await assert.rejects(download(root, to, { nodes: [liar.url] }), code('VERIFICATION_FAILED', new RegExp(`${liar.url}: it served wrong bytes`)))
    await assert.rejects(access(to))
  })

  it('believes no tree, no description and no size that does not fit the root', async () => {
    const lies: [Faults, RegExp][] = [
      [{ after: ({ path }, body) => (path.endsWith('/tree') ? flip(body) : body) }, /tree does not add up/],
      [{ after: ({ path }, body) => (path.endsWith('/tree') ? body.subarray(32) : body) }, /tree does not add up/],
      [{ after: describedAs((tx) => tx.merkleNodes.reverse()) }, /does not add up to its root/],
      // The same padding, and then data where it would have to be zeros.
      [{ after: describedAs((tx) => (tx.size -= 2 * SEGMENT_SIZE)) }, /tree does not add up/],
      [{ after: describedAs((tx) => (tx.size -= 10 * SEGMENT_SIZE)) }, /does not add up to its root/],
      [{ after: describedAs((tx) => (tx.size *= 1000)) }, /does not add up to its root/],
    ]
    for (const [faults, reason] of lies) {
      const liar = await proxyOf(0, faults)
      await assert.rejects(downloadBytes(root, { nodes: [liar.url] }), code('VERIFICATION_FAILED', reason))
      const { bytes, culprits } = await downloadBytes(root, { nodes: [liar.url, ...network.nodes] })
      assert.deepEqual(bytes, new Uint8Array(content))
      assert.deepEqual(
        culprits.map(({ url, lied }) => [url, lied]),
        [[liar.url, true]],
      )
    }
  })

  it('takes the size of a file from the log, as the root does not commit to it', async () => {
    const shorter = await proxyOf(0, { after: describedAs((tx) => (tx.size -= 1)) })
    const nodes = [shorter.url, network.nodes[1]!]
    await assert.rejects(downloadBytes(root, { nodes }), code('VERIFICATION_FAILED', /disagree on its size/))
    const log = await connectFlow(network.contracts.Flow!, provider)
    const { bytes, culprits } = await downloadBytes(root, { nodes, log })
    assert.deepEqual(bytes, new Uint8Array(content))
    assert.match(culprits[0]!.reason, /submission \d+ has \d+/)
    const elsewhere = await proxyOf(0, { after: describedAs((tx) => (tx.seq += 1)) })
    await assert.rejects(downloadBytes(root, { nodes: [elsewhere.url], log }), code('VERIFICATION_FAILED', /is not of this file/))
  })

  it('goes on with the other node when one dies in the middle', async () => {
    const dying = await proxyOf(0, { before: ({ path }) => (isData(path) && dying.seen.filter((seen) => isData(seen.path)).length > 1 ? 'break' : 'pass') })
    const result = await download(root, target(), { nodes: [dying.url, network.nodes[1]!] })
    assert.deepEqual(
      result.culprits.map(({ url, lied }) => [url, lied]),
      [[dying.url, false]],
    )
    assert.ok(result.sources.some(({ url }) => url === dying.url))
  }).timeout(20_000)

  it('gets over a node that breaks off now and then', async () => {
    let requests = 0
    const flaky = await proxyOf(0, { before: ({ path }) => (isData(path) && ++requests % 3 === 1 ? 'break' : 'pass') })
    const { bytes, culprits } = await downloadBytes(root, { nodes: [flaky.url] })
    assert.deepEqual(bytes, new Uint8Array(content))
    assert.deepEqual(culprits, [])
  }).timeout(20_000)

  it('asks the indexer again when all nodes it named have failed', async () => {
    const broken = await proxyOf(0, { before: ({ path }) => (isData(path) ? 'break' : 'pass') })
    let asked = 0
    const indexer = await startFaultyProxy(network.indexer, {
      after: (_, body) =>
        asked++ === 0 ? Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, result: [{ url: broken.url, config: { shardId: 0, numShard: 1 } }] })) : body,
    })
    proxies.push(indexer)
    const { bytes, culprits } = await downloadBytes(root, { indexer: indexer.url })
    assert.deepEqual(bytes, new Uint8Array(content))
    assert.equal(culprits[0]?.url, broken.url)
  }).timeout(20_000)

  it('resumes: fetches only segments that are missing or damaged in the part file', async () => {
    const to = target()
    const part = `${to}.${root.slice(2, 10)}.part`
    const damaged = Buffer.from(content)
    damaged[5 * SEGMENT_SIZE]! ^= 1
    await writeFile(part, damaged)
    await truncate(part, 30 * SEGMENT_SIZE + 17)
    const result = await download(root, to, { indexer: network.indexer })
    assert.equal(result.resumed, 29)
    assert.equal(
      result.sources.reduce((sum, { segments }) => sum + segments, 0),
      11,
    )
    assert.deepEqual(await readFile(to), content)
  })

  it('keeps what it has when interrupted, and goes on from there', async () => {
    const to = target()
    const controller = new AbortController()
    const onProgress = (done: number): void => {
      if (done > 8 * SEGMENT_SIZE) controller.abort()
    }
    await assert.rejects(download(root, to, { nodes: network.nodes, signal: controller.signal, onProgress }), { name: 'AbortError' })
    await assert.rejects(access(to))
    const result = await download(root, to, { nodes: network.nodes })
    assert.ok(result.resumed >= 8, `resumed with ${result.resumed} segments`)
    assert.deepEqual(await readFile(to), content)
  })

  it('verifies proofs where nodes have only JSON-RPC, and names the one whose bytes or proofs are wrong', async () => {
    const noRaw: Faults['before'] = ({ path }) => (path.startsWith('/files/') ? { status: 404, body: '{}' } : 'pass')
    const honest = await proxyOf(1, { before: noRaw })
    const alone = await downloadBytes(root, { nodes: [honest.url] })
    assert.deepEqual(alone.bytes, new Uint8Array(content))
    for (const field of ['data', 'lemma']) {
      const corrupt = (result: { data: string; proof: { lemma: string[] } }): void => {
        if (field === 'data') result.data = flip(Buffer.from(result.data, 'base64')).toString('base64')
        else result.proof.lemma[1] = `0x${'11'.repeat(32)}`
      }
      const liar = await proxyOf(0, {
        before: noRaw,
        after: ({ rpc }, body) => {
          if (rpc !== 'zgs_downloadSegmentWithProofByTxSeq') return body
          const answer = JSON.parse(body.toString())
          corrupt(answer.result)
          return Buffer.from(JSON.stringify(answer))
        },
      })
      const { bytes, culprits } = await downloadBytes(root, { nodes: [liar.url, honest.url] })
      assert.deepEqual(bytes, new Uint8Array(content))
      assert.deepEqual(
        culprits.map(({ url, lied }) => [url, lied]),
        [[liar.url, true]],
      )
    }
  }).timeout(60_000)

  it('does not replace a file unless forced', async () => {
    const to = target()
    await writeFile(to, 'precious')
    await assert.rejects(download(root, to, { nodes: network.nodes }), code('USAGE', /exists/))
    assert.equal(await readFile(to, 'utf8'), 'precious')
    await download(root, to, { nodes: network.nodes, force: true })
    assert.deepEqual(await readFile(to), content)
  })

  it('decrypts, and says so when the key is wrong or the file is not encrypted', async () => {
    const to = target()
    const options = { nodes: network.nodes }
    const wrong = { key: new Uint8Array(32).fill(1) }
    await assert.rejects(download(encrypted, to, { ...options, decryption: wrong }), code('VERIFICATION_FAILED', /not the key.*kept at/s))
    await assert.rejects(access(to))
    const result = await download(encrypted, to, { ...options, decryption: { key } })
    assert.equal(result.resumed, 1)
    assert.deepEqual(await readFile(to), content.subarray(0, 1000))
    await assert.rejects(downloadBytes(encrypted, { ...options, decryption: wrong }), code('VERIFICATION_FAILED', /not the key/))
    await assert.rejects(downloadBytes(root, { ...options, decryption: { key } }), code('USAGE', /not an encrypted file/))
  })

  it('says who holds nothing, and refuses what is no root or too large for memory', async () => {
    await assert.rejects(download(`0x${'ab'.repeat(32)}`, target(), { indexer: network.indexer }), code('NOT_FOUND', /knows none/))
    await assert.rejects(download(`0x${'ab'.repeat(32)}`, target(), { nodes: network.nodes }), code('NOT_FOUND', /does not know the file/))
    await assert.rejects(download('0xab', target(), { nodes: network.nodes }), code('USAGE', /not a root/))
    await assert.rejects(downloadBytes(root, { nodes: network.nodes, maxSize: 1000 }), code('USAGE', /in memory/))
  })

  it('audits each holder by itself', async () => {
    const liar = await proxyOf(0, { after: ({ path }, body) => (isData(path) ? flip(body) : body) })
    const file = await findHolders(root, { nodes: [liar.url, network.nodes[1]!] })
    const verdicts = await Promise.all(file.holders.map((holder) => auditHolder(file, holder, {})))
    assert.deepEqual(
      verdicts.map((culprit) => culprit?.lied),
      [true, undefined],
    )
  })
})
