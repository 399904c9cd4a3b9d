import { expect } from 'chai'
import fc from 'fast-check'
import { content, finalized, known, type RunningNode, rpc, type Storage, startStorage, upload } from './network.ts'
import { type SampleFile, sampleFile } from './sample.ts'

const CALLS = 10_000
const CONCURRENCY = 50

const METHODS = [
  'zgs_getStatus',
  'zgs_getFileInfo',
  'zgs_getFileInfoByTxSeq',
  'zgs_checkFileFinalized',
  'zgs_uploadSegment',
  'zgs_uploadSegments',
  'zgs_uploadSegmentByTxSeq',
  'zgs_uploadSegmentsByTxSeq',
  'zgs_downloadSegment',
  'zgs_downloadSegmentByTxSeq',
  'zgs_downloadSegmentWithProof',
  'zgs_downloadSegmentWithProofByTxSeq',
  'zgs_getSectorProof',
  'zgs_getHashAtNodeIndex',
  'zgs_getDataByNodeIndex',
  'perigee_getKeptReceipt',
  '__proto__',
  'constructor',
]

describe('storage node: abuse', function () {
  this.timeout(300_000)
  let storage: Storage
  let node: RunningNode

  before(async () => {
    storage = await startStorage()
    node = await storage.node('node')
  })
  after(() => storage.stop())

  async function healthy(seed: number): Promise<void> {
    expect((await fetch(`${node.url}/healthz`)).status).to.equal(200)
    expect((await fetch(`${node.url}/readyz`)).status).to.equal(200)
    const file = sampleFile(300_000, seed)
    const [seq] = await storage.submit(file)
    await upload(node, seq!, file)
    expect((await content(node, file.root)).equals(file.bytes)).to.equal(true)
  }

  it(`answers ${CALLS} malformed calls without storing anything and is healthy afterwards`, async () => {
    const file = sampleFile(2 * 262_144 + 700, 500)
    const other = sampleFile(2 * 262_144 + 700, 501)
    const [seq] = await storage.submit(file)
    await known(node, seq!)

    let answered = 0
    const work = fc.sample(calls(file, other, seq!), { numRuns: CALLS, seed: 20_260_101 }).values()
    await Promise.all(
      Array.from({ length: CONCURRENCY }, async () => {
        for (const { body, forged } of work) {
          const response = await fetch(node.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
          expect([200, 204], body.slice(0, 300)).to.include(response.status)
          const answer = response.status === 204 ? undefined : ((await response.json()) as { error?: unknown; result?: unknown })
          if (forged) expect(answer, body.slice(0, 300)).to.have.property('error')
          answered++
        }
      }),
    )
    expect(answered).to.equal(CALLS)
    expect((await node.client.fileBySeq(seq!))!).to.deep.include({ uploadedSegNum: 0, finalized: false })
    await healthy(502)
  })

  it('given more than a thousand uploads at once, stores all or asks to try again', async () => {
    const file = sampleFile(64 * 262_144, 503)
    const [seq] = await storage.submit(file)
    await known(node, seq!)
    const bodies = Array.from({ length: file.shape.segments }, (_, i) =>
      JSON.stringify({ jsonrpc: '2.0', id: i, method: 'zgs_uploadSegmentsByTxSeq', params: [[file.proven(i)], seq] }),
    )
    const answers = await Promise.all(
      Array.from({ length: 1088 }, async (_, i) => {
        const response = await fetch(node.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: bodies[i % bodies.length]! })
        expect(response.status).to.equal(200)
        return (await response.json()) as { result?: number; error?: { message: string; data?: string } }
      }),
    )
    for (const { result, error } of answers) {
      if (error) expect(`${error.message} ${error.data}`).to.match(/already uploaded and finalized|too many data writing: \d+/)
      else expect(result).to.equal(0)
    }
    await finalized(node, seq!)
    expect((await content(node, seq!)).equals(file.bytes)).to.equal(true)
  })

  it('holds no more small files before their submission than it was given room for', async () => {
    const narrow = await storage.node('narrow', { earlyBytes: 700_000 })
    const files = [504, 505, 506].map((seed) => sampleFile(300_000, seed))
    for (const file of files.slice(0, 2)) expect((await rpc(narrow.url, 'zgs_uploadSegment', [file.proven(0)])).result).to.equal(0)
    const { error } = await rpc(narrow.url, 'zgs_uploadSegment', [files[2]!.proven(0)])
    expect(error).to.deep.equal({ code: -32000, message: 'too many data writing: 2' })
    const [seq] = await storage.submit(files[0]!)
    await known(narrow, seq!)
    expect((await rpc(narrow.url, 'zgs_uploadSegment', [files[2]!.proven(0)])).result).to.equal(0)
  })
})

/** Calls that no honest client makes. Those `forged` look like an upload but must not pass for one. */
function calls(file: SampleFile, other: SampleFile, seq: number): fc.Arbitrary<{ body: string; forged: boolean }> {
  const call = (method: unknown, params: unknown) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const strange = fc.oneof(
    fc.integer(),
    fc.constantFrom(-1, 2 ** 31, 2 ** 53, 1e300, -0.5, null, true, '', '0x', 'NaN', file.root, other.root, seq, [], {}),
    fc.string({ maxLength: 80 }),
    fc.jsonValue({ maxDepth: 3 }),
  )
  const text = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)),
    fc.tuple(fc.nat({ max: 120 }), fc.string({ maxLength: 3 })).map(([at, extra]) => {
      const whole = call('zgs_getFileInfo', [file.root, true])
      return whole.slice(0, at) + extra
    }),
    fc.array(fc.jsonValue({ maxDepth: 1 }), { maxLength: 20 }).map((batch) => JSON.stringify(batch)),
  )
  const loose = fc.tuple(fc.constantFrom(...METHODS), fc.oneof(strange, fc.array(strange, { maxLength: 5 }))).map(([method, params]) => call(method, params))

  const honest = file.proven(2)
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`)
  const change = fc.oneof(
    fc.constantFrom({ index: -1 }, { index: 2 ** 53 }, { index: 1e30 }, { index: 0.5 }, { index: 3 }, { index: '2' }, { index: 1 }, { index: null }),
    fc.constantFrom({ fileSize: 0 }, { fileSize: -1 }, { fileSize: 2 ** 60 }, { fileSize: file.size + 256 }, { fileSize: file.size - 1 }),
    fc.constantFrom({ root: other.root }, { root: file.root.slice(2) }, { root: 'x' }, { root: 7 }),
    fc.constantFrom({ proof: other.proven(2).proof }, { proof: file.proven(1).proof }, { proof: null }, { proof: { lemma: [], path: [] } }),
    fc
      .tuple(hash, fc.nat({ max: honest.proof.lemma.length - 1 }))
      .map(([hash, at]) => ({ proof: { ...honest.proof, lemma: honest.proof.lemma.with(at, hash) } })),
    fc.nat({ max: honest.proof.path.length - 1 }).map((at) => ({ proof: { ...honest.proof, path: honest.proof.path.with(at, !honest.proof.path[at]) } })),
    fc.array(hash, { maxLength: 100 }).map((lemma) => ({ proof: { lemma, path: lemma.map(() => true) } })),
    fc.tuple(fc.nat({ max: 767 }), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
      const data = Buffer.from(honest.data, 'base64')
      data[at]! ^= flip
      return { data: data.toString('base64') }
    }),
    fc
      .oneof(fc.string({ maxLength: 100 }), fc.constantFrom('====', 'A', '%%%%', honest.data.slice(1), `${honest.data}AAAA`, null, 5))
      .map((data) => ({ data })),
  )
  const forged = fc.tuple(change, fc.constantFrom('zgs_uploadSegmentsByTxSeq', 'zgs_uploadSegmentByTxSeq')).map(([change, method]) => {
    const segment = { ...honest, ...change }
    return call(method, [method === 'zgs_uploadSegmentsByTxSeq' ? [segment] : segment, seq])
  })
  return fc.oneof(
    text.map((body) => ({ body, forged: false })),
    loose.map((body) => ({ body, forged: false })),
    forged.map((body) => ({ body, forged: true })),
  )
}
