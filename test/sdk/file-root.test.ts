import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import { FileTree } from '../../protocol/storage/merkle.ts'
import { type FileTreeOptions, fileTree } from '../../sdk/storage/file-root.ts'
import { patternBytes } from '../support/patterns.ts'

/** Sizes in bytes where the shape of a file changes. */
const sizes = [1, 256, 5000, SEGMENT_SIZE, SEGMENT_SIZE + 1, 1_835_008, 4 * SEGMENT_SIZE - 1, 5_243_180, 9 * SEGMENT_SIZE + 77]

async function failure(run: Promise<unknown>): Promise<Error> {
  return run.then(
    () => expect.fail('it should have failed'),
    (error) => error,
  )
}

/** A file of zeros that takes no space, too large to be hashed before it is touched. */
async function sparse(path: string, size: number): Promise<void> {
  await rm(path, { force: true })
  await writeFile(path, '')
  await truncate(path, size)
}

describe('The tree of a file on disk', () => {
  let folder: string
  let path: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perigee-file-root-'))
    path = join(folder, 'file')
  })
  after(() => rm(folder, { recursive: true }))

  for (const workers of [0, 1, 3]) {
    it(`is that of its bytes, with ${workers} worker threads`, async () => {
      for (const size of sizes.slice(workers === 0 ? 0 : -2)) {
        const bytes = patternBytes('p2', size)
        await writeFile(path, bytes)
        const [tree, expected] = [await fileTree(path, { workers }), FileTree.fromBytes(bytes)]
        expect(tree.root, `${size} bytes`).to.equal(expected.root)
        expect(tree.segmentRoots, `${size} bytes`).to.deep.equal(expected.segmentRoots)
        expect(tree.nodes(), `${size} bytes`).to.deep.equal(expected.nodes())
      }
    })

    it(`is reported on as it is made, with ${workers} worker threads`, async () => {
      const size = 9 * SEGMENT_SIZE + 77
      await writeFile(path, patternBytes('p2', size))
      const seen: number[] = []
      await fileTree(path, { workers, onProgress: (bytes) => seen.push(bytes) })
      expect(seen.length).to.be.greaterThan(1)
      expect(seen).to.deep.equal(seen.toSorted((a, b) => a - b))
      expect(seen.at(-1)).to.equal(size)
    })

    it(`is given up when aborted, with ${workers} worker threads`, async () => {
      await sparse(path, 2 ** 30)
      const reason = new Error('enough')
      const aborter = new AbortController()
      const options: FileTreeOptions = { workers, signal: aborter.signal, onProgress: () => aborter.abort(reason) }
      expect(await failure(fileTree(path, options))).to.equal(reason)
      expect(await failure(fileTree(path, options))).to.equal(reason)
    })

    it(`fails when the file becomes shorter meanwhile, with ${workers} worker threads`, async () => {
      await sparse(path, 2 ** 30)
      let cut: Promise<void> | undefined
      const onProgress = (): void => {
        cut ??= truncate(path, 1000)
      }
      const error = await failure(fileTree(path, { workers, onProgress }))
      await cut
      expect(error.message).to.match(/become shorter/)
    })
  }

  it('is made by several threads when the file is large', async () => {
    const size = 33 * 1024 * 1024
    await sparse(path, size)
    expect((await fileTree(path)).root).to.equal(FileTree.fromBytes(new Uint8Array(size)).root)
  })

  it('is not there for an empty file, nor for none', async () => {
    await writeFile(path, '')
    expect((await failure(fileTree(path))).message).to.match(/at least one byte/)
    expect(await failure(fileTree(join(folder, 'absent')))).to.have.property('code', 'ENOENT')
  })
})
