import { existsSync } from 'node:fs'
import { mkdtemp, open, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { DiskFull } from '../../../keepers/runtime/files.ts'
import { FileStore, keyId } from '../../../keepers/storage/node/file-store.ts'
import { SegmentCorrupt, StoredFile, TreeMismatch } from '../../../keepers/storage/node/stored-file.ts'
import { type SampleFile, sampleFile } from './sample.ts'

/** Five data segments, the last of them short, and padding behind. */
const SIZE = 4 * 262_144 + 1000

async function caught(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error) => error,
  )
}

async function flip(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte[0]! ^= 0xff
  await file.write(byte, 0, 1, position)
  await file.close()
}

async function store(file: StoredFile, sample: SampleFile, ...indexes: number[]): Promise<void> {
  await Promise.all(indexes.map((i) => file.write(i, sample.segment(i), file.hash(i, sample.segment(i)))))
}

describe('storage node: a file on disk', () => {
  const sample = sampleFile(SIZE)
  let folder: string
  let path: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perigee-file-'))
    path = join(folder, 'file')
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('given segments in any order and in parallel, gives each back', async () => {
    const file = await StoredFile.open(path, sample.key)
    await store(file, sample, 4, 1, 0, 3, 2, 1)
    expect(file.stored).to.equal(5)
    for (let i = 0; i < 5; i++) expect(Buffer.compare(await file.read(i), sample.segment(i)), `segment ${i}`).to.equal(0)
    expect(Buffer.compare(file.tree()!, sample.tree.segmentRoots)).to.equal(0)
    await file.close()
  })

  it('given a process that ends without closing, knows every acknowledged segment and no other', async () => {
    const dying = await StoredFile.open(path, sample.key)
    await store(dying, sample, 0, 3)
    const file = await StoredFile.open(path, sample.key)
    expect([0, 1, 2, 3, 4].map((i) => file.has(i))).to.deep.equal([true, false, false, true, false])
    expect(file.tree()).to.equal(undefined)
    expect([...file.bitmap()]).to.deep.equal([0b01001])
    expect(Buffer.compare(await file.read(3), sample.segment(3))).to.equal(0)
    await dying.close()
    await file.close()
  })

  it('given a flipped bit, refuses the segment instead of serving it', async () => {
    const file = await StoredFile.open(path, sample.key)
    await store(file, sample, 0, 1, 2, 3, 4)
    await flip(path, 262_144 + 77)
    expect(await caught(file.read(1))).to.be.instanceOf(SegmentCorrupt)
    expect(Buffer.compare(await file.read(2), sample.segment(2))).to.equal(0)
    await file.drop(1)
    expect(file.has(1)).to.equal(false)
    await store(file, sample, 1)
    expect(Buffer.compare(await file.read(1), sample.segment(1))).to.equal(0)
    await file.close()
  })

  it('given a damaged sidecar, makes it anew from the data', async () => {
    const file = await StoredFile.open(path, sample.key)
    await store(file, sample, 0, 1, 2, 3, 4)
    await file.close()
    await flip(`${path}.tree`, 40)
    const again = await StoredFile.open(path, sample.key)
    expect(again.stored).to.equal(5)
    expect(Buffer.compare(again.tree()!, sample.tree.segmentRoots)).to.equal(0)
    await again.close()
  })

  it('given a damaged sidecar and damaged data, claims nothing', async () => {
    const file = await StoredFile.open(path, sample.key)
    await store(file, sample, 0, 1, 2, 3, 4)
    await file.close()
    await flip(`${path}.tree`, 40)
    await flip(path, 3)
    const again = await StoredFile.open(path, sample.key)
    expect(again.stored).to.equal(0)
    expect(again.tree()).to.equal(undefined)
    await again.close()
  })

  it('takes the segment roots of its file, and refuses any others', async () => {
    const file = await StoredFile.open(path, sample.key)
    const wrong = Uint8Array.from(sample.tree.segmentRoots)
    wrong[0]! ^= 1
    expect(await caught(file.putTree(wrong))).to.be.instanceOf(TreeMismatch)
    expect(await caught(file.putTree(sample.tree.segmentRoots.subarray(32)))).to.be.instanceOf(TreeMismatch)
    expect(file.tree()).to.equal(undefined)
    await file.putTree(sample.tree.segmentRoots)
    expect(file.stored).to.equal(0)
    expect(Buffer.compare(file.tree()!, sample.tree.segmentRoots)).to.equal(0)
    await file.close()
  })

  it('given no space left, tells the writer and stores nothing', async function () {
    if (!existsSync('/dev/full')) this.skip()
    await symlink('/dev/full', path)
    const file = await StoredFile.open(path, sample.key)
    expect(await caught(store(file, sample, 0))).to.be.instanceOf(DiskFull)
    expect(file.has(0)).to.equal(false)
    await file.close()
  })
})

describe('storage node: the folder of files', () => {
  let folder: string
  let files: FileStore

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perigee-store-'))
    files = await FileStore.open(folder)
  })
  afterEach(async () => {
    await files.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('finds only what was put there, and walks it in order from any point', async () => {
    const samples = [1, 2, 3].map((seed) => sampleFile(300, seed))
    for (const sample of samples) await files.obtain(sample.key, (file) => store(file, sample, 0))
    expect(await files.find({ ...samples[0]!.key, size: 301 }, async () => true)).to.equal(undefined)
    const ids = samples.map(({ key }) => keyId(key)).sort()
    const walk = async (after?: string) => {
      const found: string[] = []
      for await (const key of files.walk(after)) found.push(keyId(key))
      return found
    }
    expect(await walk()).to.deep.equal(ids)
    expect(await walk(ids[0])).to.deep.equal(ids.slice(1))
  })

  it('removes a file while it is being read without disturbing the reader', async () => {
    const sample = sampleFile(SIZE)
    await files.obtain(sample.key, (file) => store(file, sample, 0, 1))
    await files.obtain(sample.key, async (file) => {
      await files.remove(sample.key)
      expect(Buffer.compare(await file.read(1), sample.segment(1))).to.equal(0)
    })
    expect(await files.exists(sample.key)).to.equal(false)
  })

  it('keeps far more files than it holds open', async () => {
    const samples = Array.from({ length: 300 }, (_, seed) => sampleFile(300, seed + 1))
    await Promise.all(samples.map((sample) => files.obtain(sample.key, (file) => store(file, sample, 0))))
    for (const sample of samples) {
      expect(await files.find(sample.key, async (file) => Buffer.compare(await file.read(0), sample.segment(0)))).to.equal(0)
    }
  })

  it('has another identity after it was deleted', async () => {
    const before = await files.identity()
    expect(await files.identity()).to.equal(before)
    await rm(folder, { recursive: true })
    expect(await files.identity()).to.not.equal(before)
    expect((await stat(join(folder, 'identity'))).size).to.be.greaterThan(0)
  })

  it('takes the space for its marks when a file is made', async () => {
    const sample = sampleFile(SIZE)
    await files.obtain(sample.key, async () => {})
    const path = join(folder, keyId(sample.key).slice(0, 2), keyId(sample.key))
    expect((await readFile(`${path}.tree`)).length).to.equal(32 * sample.shape.paddedSegments + sample.shape.segments)
  })
})
