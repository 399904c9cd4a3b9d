import { expect } from 'chai'
import { content, finalized, known, type RunningNode, type Storage, startStorage, upload } from './network.ts'
import { type SampleFile, sampleFile } from './sample.ts'

const SIZE = 3 * 262_144 + 1234

describe('storage node: raw bytes over HTTP', () => {
  let storage: Storage
  let node: RunningNode
  let seed = 200

  before(async function () {
    this.timeout(60_000)
    storage = await startStorage()
    node = await storage.node('node')
  })
  after(() => storage.stop())

  async function submitted(size = SIZE): Promise<{ file: SampleFile; seq: number }> {
    const file = sampleFile(size, seed++)
    const [seq] = await storage.submit(file)
    await known(node, seq!)
    return { file, seq: seq! }
  }
  const put = async (path: string, body: Uint8Array, type = 'application/octet-stream') => {
    const response = await fetch(`${node.url}${path}`, { method: 'PUT', body, headers: { 'content-type': type } })
    return { status: response.status, message: response.status === 204 ? '' : ((await response.json()) as { message: string }).message }
  }

  it('takes the tree, then segments in any order and in parallel, and finalises', async () => {
    const { file, seq } = await submitted()
    await node.client.putTree(seq, file.tree.segmentRoots)
    expect(await node.client.progress(seq)).to.deep.equal({ stored: Buffer.from([0]), tree: true, finalized: false })
    await node.client.putSegment(seq, 3, file.segment(3))
    expect(await node.client.progress(seq)).to.deep.equal({ stored: Buffer.from([0b1000]), tree: true, finalized: false })
    await Promise.all([2, 0, 1, 0].map((i) => node.client.putSegment(seq, i, file.segment(i))))
    await finalized(node, seq)
    expect(await node.client.progress(seq)).to.deep.equal({ stored: Buffer.from([0b1111]), tree: true, finalized: true })
    expect((await content(node, file.root)).equals(file.bytes)).to.equal(true)
    // What is there already is not asked for again, whatever is sent.
    expect((await put(`/files/${seq}/segments/0`, new Uint8Array(1))).status).to.equal(204)
  })

  it('takes the last segment with or without the zeros that complete its chunk', async () => {
    const { file, seq } = await submitted()
    await node.client.putTree(seq, file.tree.segmentRoots)
    expect((await put(`/files/${seq}/segments/3`, file.bytes.subarray(3 * 262_144))).status).to.equal(204)
    expect((await node.client.fileBySeq(seq))!.uploadedSegNum).to.equal(1)
  })

  it('refuses what does not belong to the file, with the reason', async () => {
    const { file, seq } = await submitted()
    const early = await put(`/files/${seq}/segments/0`, file.segment(0))
    expect(early.status).to.equal(409)
    expect(early.message).to.match(/send the tree first/)
    const tree = Uint8Array.from(file.tree.segmentRoots)
    tree[0]! ^= 1
    expect((await put(`/files/${seq}/tree`, tree)).status).to.equal(400)
    await node.client.putTree(seq, file.tree.segmentRoots)
    for (const [path, body, status] of [
      [`/files/${seq}/segments/1`, file.segment(0), 409],
      [`/files/${seq}/segments/1`, file.segment(3), 400],
      [`/files/${seq}/segments/4`, file.segment(0), 400],
      [`/files/${seq}/segments/-1`, file.segment(0), 400],
      [`/files/${seq}/segments/0`, new Uint8Array(262_145), 413],
      ['/files/999999/segments/0', file.segment(0), 404],
      ['/files/x/tree', file.segment(0), 400],
    ] as const) {
      expect((await put(path, body)).status, path).to.equal(status)
    }
    expect((await put(`/files/${seq}/segments/0`, file.segment(0), 'text/plain')).status).to.equal(415)
    expect((await node.client.fileBySeq(seq))!.uploadedSegNum).to.equal(0)
  })

  it('serves ranges of bytes as HTTP defines them', async () => {
    const { file, seq } = await submitted()
    await upload(node, seq, file)
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=262143-262144', 262_143, 262_145],
      ['bytes=1000-', 1000, SIZE],
      ['bytes=-300', SIZE - 300, SIZE],
      [`bytes=786000-${SIZE + 5}`, 786_000, SIZE],
    ] as const) {
      const response = await fetch(`${node.url}/files/${file.root}/data`, { headers: { range } })
      expect(response.status, range).to.equal(206)
      expect(response.headers.get('content-range'), range).to.equal(`bytes ${start}-${end - 1}/${SIZE}`)
      expect(Buffer.from(await response.arrayBuffer()).equals(file.bytes.subarray(start, end)), range).to.equal(true)
    }
    for (const range of [`bytes=${SIZE}-`, 'bytes=5-4', 'bytes=-', 'bytes=0-1,3-4', 'lines=1-2']) {
      expect((await fetch(`${node.url}/files/${file.root}/data`, { headers: { range } })).status, range).to.equal(416)
    }
    expect(Buffer.from((await node.client.tree(file.root))!).equals(file.tree.segmentRoots)).to.equal(true)
  })

  it('serves what it has of a file in upload, and says what it lacks', async () => {
    const { file, seq } = await submitted()
    await node.client.putTree(seq, file.tree.segmentRoots)
    await node.client.putSegment(seq, 1, file.segment(1))
    const there = await fetch(`${node.url}/files/${seq}/data`, { headers: { range: 'bytes=262144-524287' } })
    expect(Buffer.from(await there.arrayBuffer()).equals(file.segment(1))).to.equal(true)
    expect((await fetch(`${node.url}/files/${seq}/data`)).status).to.equal(404)
    expect((await fetch(`${node.url}/files/0x${'00'.repeat(32)}/data`)).status).to.equal(404)
  })

  it('serves loads of the log with files in their places and zeros between them', async () => {
    const first = sampleFile(3 * 256, seed++)
    const second = sampleFile(20 * 256 + 1, seed++)
    // A file of exactly one load: what follows starts another.
    const [, ...seqs] = await storage.submit(sampleFile(262_144, seed++), first, second)
    await Promise.all([upload(node, seqs[0]!, first), upload(node, seqs[1]!, second)])
    const places = await Promise.all(seqs.map(async (seq) => (await node.client.fileBySeq(seq))!.tx.startEntryIndex))
    const load = Math.floor(places[0]! / 1024)
    expect(Math.floor(places[1]! / 1024)).to.equal(load)
    const response = await fetch(`${node.url}/flow/loads/${load}`)
    const bytes = Buffer.from(await response.arrayBuffer())
    expect(bytes.length).to.equal(262_144)
    expect(Number(response.headers.get('x-flow-length'))).to.equal(Number((await storage.flow.tree())[0]))
    const expected = Buffer.alloc(262_144)
    expected.set(first.bytes, (places[0]! % 1024) * 256)
    expected.set(second.bytes, (places[1]! % 1024) * 256)
    const from = (places[0]! % 1024) * 256
    expect(bytes.subarray(from).equals(expected.subarray(from))).to.equal(true)
    const { seq } = await submitted(1000)
    const missing = Math.floor((await node.client.fileBySeq(seq))!.tx.startEntryIndex / 1024)
    expect((await fetch(`${node.url}/flow/loads/${missing}`)).status).to.equal(404)
  })
})
