import { expect } from 'chai'
import { getBytes, hexlify } from 'ethers'
import { threadKernel } from '../../../codec/keccak/index.ts'
import { rootOfProof } from '../../../protocol/storage/flow-tree.ts'
import { verifyKept } from '../../../protocol/storage/kept.ts'
import { eventually, finalized, known, type RunningNode, rpc, type Storage, startStorage, upload } from './network.ts'
import { type SampleFile, sampleFile } from './sample.ts'

describe('storage node: JSON-RPC', () => {
  let storage: Storage
  let node: RunningNode
  let seed = 100

  /** A new file, submitted and known to the node. */
  async function submitted(size: number): Promise<{ file: SampleFile; seq: number }> {
    const file = sampleFile(size, seed++)
    const [seq] = await storage.submit(file)
    await known(node, seq!)
    return { file, seq: seq! }
  }

  before(async function () {
    this.timeout(60_000)
    storage = await startStorage()
    node = await storage.node('node')
  })
  after(() => storage.stop())

  it('reports status, shard and network identity', async () => {
    const { result } = await rpc(node.url, 'zgs_getStatus')
    expect(result).to.have.all.keys('connectedPeers', 'logSyncHeight', 'logSyncBlock', 'nextTxSeq', 'networkIdentity')
    expect(result.logSyncBlock).to.match(/^0x[0-9a-f]{64}$/)
    expect(result.networkIdentity).to.deep.equal({
      chainId: 31337,
      flowAddress: (await storage.flow.getAddress()).toLowerCase(),
      p2pProtocolVersion: { major: 1, minor: 0, build: 0 },
    })
    expect((await rpc(node.url, 'zgs_getShardConfig')).result).to.deep.equal({ shardId: 0, numShard: 1 })
  })

  it('answers null for what it does not know, as an explicit result', async () => {
    const unknown = `0x${'12'.repeat(32)}`
    for (const [method, params] of [
      ['zgs_getFileInfo', [unknown, true]],
      ['zgs_getFileInfoByTxSeq', [999_999]],
      ['zgs_downloadSegment', [unknown, 0, 1]],
      ['zgs_downloadSegmentByTxSeq', [999_999, 0, 1]],
      ['zgs_downloadSegmentWithProof', [unknown, 0]],
      ['zgs_downloadSegmentWithProofByTxSeq', [999_999, 0]],
      ['zgs_checkFileFinalized', [unknown]],
      ['perigee_getKeptReceipt', [999_999]],
    ] as const) {
      expect(await rpc(node.url, method, params), method).to.have.property('result', null)
    }
  })

  it('describes a file from its submission to its finality', async () => {
    const { file, seq } = await submitted(300_000)
    const expected = {
      tx: {
        streamIds: [],
        data: [],
        dataMerkleRoot: file.root,
        merkleNodes: file.tree.nodes().map(({ root, height }) => [height + 1, root]),
        size: file.size,
        seq,
      },
      finalized: false,
      isCached: false,
      uploadedSegNum: 0,
      pruned: false,
    }
    const info = async () => {
      const { result } = await rpc(node.url, 'zgs_getFileInfo', [file.root, true])
      const { startEntryIndex, ...tx } = result.tx
      expect(startEntryIndex % 1024).to.equal(0)
      return { ...result, tx }
    }
    expect(await info()).to.deep.equal(expected)
    expect((await rpc(node.url, 'zgs_uploadSegmentByTxSeq', [file.proven(1), seq])).result).to.equal(0)
    expect(await info()).to.deep.equal({ ...expected, uploadedSegNum: 1 })
    expect((await rpc(node.url, 'zgs_checkFileFinalized', [seq])).result).to.equal(false)
    expect((await rpc(node.url, 'zgs_uploadSegments', [[file.proven(0)]])).result).to.equal(0)
    expect(await info()).to.deep.equal({ ...expected, finalized: true, uploadedSegNum: 2 })
    expect((await rpc(node.url, 'zgs_checkFileFinalized', [file.root])).result).to.equal(true)
    expect((await rpc(node.url, 'zgs_getFileInfo', [file.root])).result.finalized).to.equal(true)
  })

  it('gives back chunks, and segments with proofs that verify', async () => {
    const { file, seq } = await submitted(2 * 262_144 + 700)
    await upload(node, seq, file)
    const whole = Buffer.concat([0, 1, 2].map((i) => file.segment(i)))
    for (const [start, end] of [
      [0, 1024],
      [1000, 1030],
      [2048, 2051],
      [2050, 2051],
    ] as const) {
      const expected = whole.subarray(256 * start, 256 * end).toString('base64')
      expect((await rpc(node.url, 'zgs_downloadSegmentByTxSeq', [seq, start, end])).result).to.equal(expected)
      expect((await rpc(node.url, 'zgs_downloadSegment', [file.root, start, end])).result).to.equal(expected)
    }
    for (const i of [0, 1, 2]) {
      expect((await rpc(node.url, 'zgs_downloadSegmentWithProofByTxSeq', [seq, i])).result).to.deep.equal(file.proven(i))
      expect((await rpc(node.url, 'zgs_downloadSegmentWithProof', [file.root, i])).result).to.deep.equal(file.proven(i))
    }
  })

  it('refuses ranges that no file has, in the words clients know', async () => {
    const { file, seq } = await submitted(262_144 * 2)
    const refused = async (start: number, end: number) => (await rpc(node.url, 'zgs_downloadSegmentByTxSeq', [seq, start, end])).error
    expect(await refused(5, 5)).to.deep.equal({ code: -32602, message: 'Invalid params: end_index', data: 'invalid chunk index' })
    expect(await refused(0, 1025)).to.deep.equal({ code: -32602, message: 'Invalid params: end_index', data: 'exceeds maximum chunks 1024' })
    const beyond = await refused(2047, 2049)
    expect(beyond!.code).to.equal(-32000)
    expect(beyond!.message).to.match(/^end entry index exceeds tx size/)
    expect((await rpc(node.url, 'zgs_downloadSegmentWithProof', [file.root, 2])).error).to.deep.equal({
      code: -32602,
      message: 'Invalid params: index',
      data: 'index out of bound',
    })
    expect(await rpc(node.url, 'zgs_downloadSegmentByTxSeq', [seq, 0, 1024])).to.have.property('result', null)
  })

  it('refuses bad segments in the words and the order clients know, and stores nothing of them', async () => {
    const { file, seq } = await submitted(2 * 262_144 + 700)
    const other = sampleFile(2 * 262_144 + 700, 99)
    const good = file.proven(1)
    const data = (bytes: number) => Buffer.alloc(bytes, 1).toString('base64')
    const cases: [string, object, object][] = [
      ['empty', { data: '' }, { code: -32000, message: 'data is empty' }],
      ['not whole chunks', { data: data(255) }, { code: -32000, message: 'invalid data length' }],
      ['of another file', { ...other.proven(1) }, { code: -32603, message: 'Internal error', data: 'data root and tx seq not match' }],
      [
        'of another size',
        { fileSize: file.size + 1 },
        { code: -32602, message: 'Invalid params: file_size', data: 'segment file size not matched with tx file size' },
      ],
      ['beyond the file', { index: 3 }, { code: -32602, message: 'Invalid params: index', data: 'index out of bound' }],
      ['too short', { data: data(256) }, { code: -32602, message: 'Invalid params: data', data: 'invalid data length' }],
      ['with wrong bytes', { data: data(262_144) }, { code: -32602, message: 'Invalid params: proof', data: 'validate proof failed' }],
      ['with the proof of another', { proof: file.proven(0).proof }, { code: -32602, message: 'Invalid params: proof', data: 'validate proof failed' }],
    ]
    for (const [what, change, error] of cases) {
      expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[{ ...good, ...change }], seq])).error, what).to.deep.equal(error)
    }
    const early = { ...sampleFile(300, 7).proven(0), fileSize: 10 * 1024 * 1024 + 1 }
    expect((await rpc(node.url, 'zgs_uploadSegment', [early])).error).to.deep.equal({
      code: -32602,
      message: 'Invalid params: file_size',
      data: 'caching of large file when tx is unavailable is not supported',
    })
    expect((await node.client.fileBySeq(seq))!.uploadedSegNum).to.equal(0)
  })

  it('takes duplicates and empty batches, and says when there is nothing left to upload', async () => {
    const { file, seq } = await submitted(262_144 + 1)
    expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[], seq])).result).to.equal(0)
    expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[], 999_999])).result).to.equal(0)
    const batch = [file.proven(0), file.proven(0)]
    expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [batch, seq])).result).to.equal(0)
    expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [batch, seq])).result).to.equal(0)
    expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(1), file.proven(1)], seq])).result).to.equal(0)
    await finalized(node, seq)
    expect((await rpc(node.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(1)], seq])).error).to.deep.equal({
      code: -32602,
      message: 'Invalid params: root',
      data: 'already uploaded and finalized',
    })
  })

  it('keeps a small file that comes before its submission', async () => {
    const file = sampleFile(300_000, seed++)
    expect((await rpc(node.url, 'zgs_uploadSegments', [[file.proven(0), file.proven(1)]])).result).to.equal(0)
    expect((await rpc(node.url, 'zgs_getFileInfo', [file.root, true])).result).to.equal(null)
    const [seq] = await storage.submit(file)
    await finalized(node, seq!)
  })

  it('given one file submitted twice, finalises both with one upload and answers with the first', async () => {
    const { file, seq } = await submitted(5000)
    const [second] = await storage.submit(file)
    await known(node, second!)
    await upload(node, second!, file)
    await finalized(node, seq)
    const [third] = await storage.submit(file)
    await finalized(node, third!)
    expect((await rpc(node.url, 'zgs_getFileInfo', [file.root, true])).result.tx.seq).to.equal(seq)
  })

  it('signs a receipt for a finalised file that anyone can verify', async () => {
    const { file, seq } = await submitted(1000)
    expect(await rpc(node.url, 'perigee_getKeptReceipt', [seq])).to.have.property('result', null)
    await upload(node, seq, file)
    const receipt = await eventually('there is a receipt', () => node.client.keptReceipt(seq))
    const info = await node.client.fileBySeq(seq)
    expect(verifyKept(receipt)).to.equal(true)
    expect(receipt).to.deep.include({ root: file.root, submission: seq, chainId: 31337, contract: await storage.flow.getAddress() })
    expect(receipt.node).to.equal(storage.chain.accounts[2]!.address)
    expect(receipt.until).to.equal(Number(await storage.market.leaseOf(seq, info!.tx.startEntryIndex, file.shape.paddedChunks)))
  })

  it('proves sectors of the log against its root and against that of an epoch', async () => {
    const { file, seq } = await submitted(5 * 262_144 + 3)
    await upload(node, seq, file)
    const { startEntryIndex } = (await node.client.fileBySeq(seq))!.tx
    expect((await rpc(node.url, 'zgs_getFlowContext')).result).to.deep.equal([await storage.flow.computeFlowRoot(), Number((await storage.flow.tree())[0])])
    const epoch = await eventually('an epoch was opened with the file', async () => {
      await (await storage.flow.makeContext()).wait()
      const { flowRoot, flowLength } = await storage.flow.getContext()
      return Number(flowLength) > startEntryIndex && flowRoot
    })
    await known(node, (await storage.submit(sampleFile(300, seed++)))[0]!)
    for (const flowRoot of [epoch, undefined]) {
      const root = flowRoot ?? (await storage.flow.computeFlowRoot())
      for (const chunk of [0, 1, 1023, 1024, 5120]) {
        const sector = startEntryIndex + chunk
        const leaf = hexlify(threadKernel().keccak256(Buffer.concat([0, 1, 2, 3, 4, 5].map((i) => file.segment(i))).subarray(256 * chunk, 256 * (chunk + 1))))
        const { result } = await rpc(node.url, 'zgs_getSectorProof', flowRoot ? [sector, flowRoot] : [sector])
        expect(result.lemma[0]).to.equal(leaf)
        expect(result.lemma.at(-1)).to.equal(root)
        const siblings = result.lemma.slice(1, -1).map((hash: string) => getBytes(hash))
        expect(hexlify(rootOfProof(getBytes(leaf), sector, siblings)), `sector ${sector}`).to.equal(root)
        expect(result.path).to.deep.equal(siblings.map((_: unknown, i: number) => ((sector >> i) & 1) === 0))
        expect((await rpc(node.url, 'zgs_getHashAtNodeIndex', [sector])).result).to.equal(leaf)
      }
    }
    const refused = await rpc(node.url, 'zgs_getSectorProof', [startEntryIndex, `0x${'77'.repeat(32)}`])
    expect(refused.error).to.deep.include({ code: -32602, message: 'Invalid params: flow_root' })
    expect((await rpc(node.url, 'zgs_getSectorProof', [2 ** 40])).error).to.deep.include({ code: -32602, message: 'Invalid params: sector_index' })
    expect((await rpc(node.url, 'zgs_getDataByNodeIndex', [startEntryIndex])).result).to.equal(Buffer.from(file.bytes.subarray(0, 256)).toString('base64'))
    expect((await rpc(node.url, 'zgs_getMetaDataByNodeIndex', [startEntryIndex])).result.tx.seq).to.equal(seq)
    expect(await rpc(node.url, 'zgs_getHashAtNodeIndex', [2 ** 40])).to.have.property('result', null)
  })

  it('given half the log to keep, takes and finalises its own segments only', async () => {
    const halves = await Promise.all(['0/2', '1/2'].map((shard) => storage.node(`half-${shard[0]}`, { shard })))
    const { file, seq } = await submitted(5 * 262_144)
    const first = Math.floor((await known(node, seq)).tx.startEntryIndex / 1024)
    for (const [shardId, half] of halves.entries()) {
      await known(half, seq)
      expect((await rpc(half.url, 'zgs_getShardConfig')).result).to.deep.equal({ shardId, numShard: 2 })
      const [own, others] = [0, 1].map((side) => [0, 1, 2, 3, 4].filter((i) => (first + i) % 2 === (shardId + side) % 2))
      const refused = await rpc(half.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(others![0]!)], seq])
      expect(refused.error).to.deep.include({ code: -32602, message: 'Invalid params: index' })
      for (const i of own!) expect((await rpc(half.url, 'zgs_uploadSegmentsByTxSeq', [[file.proven(i)], seq])).result).to.equal(0)
      await finalized(half, seq)
      for (const i of own!) {
        const { result } = await rpc(half.url, 'zgs_downloadSegmentByTxSeq', [seq, 1024 * i, 1024 * (i + 1)])
        expect(result).to.equal(Buffer.from(file.segment(i)).toString('base64'))
      }
      expect(await rpc(half.url, 'zgs_downloadSegmentByTxSeq', [seq, 1024 * others![0]!, 1024 * others![0]! + 1])).to.have.property('result', null)
      expect((await half.client.fileBySeq(seq))!.finalized).to.equal(true)
    }
  })

  it('names the parameter that is wrong', async () => {
    for (const [params, field] of [
      [['0x12', true], 'root'],
      [[5, true], 'root'],
      [[`0x${'12'.repeat(32)}`, 'yes'], 'need_available'],
    ] as const) {
      const { error } = await rpc(node.url, 'zgs_getFileInfo', params)
      expect(error).to.deep.include({ code: -32602, message: `Invalid params: ${field}` })
    }
    expect((await rpc(node.url, 'zgs_noSuchMethod')).error!.code).to.equal(-32601)
  })
})
