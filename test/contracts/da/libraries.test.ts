import { expect } from 'chai'
import fc from 'fast-check'
import { network } from 'hardhat'
import { DaLibraries__factory } from '../../../typechain-types/index.ts'
import { type Blob, batchTree, blobIdOf, chunksOf, keyOf, rootOfPath, rowsBySlot, rowTree } from './rows.ts'

const { ethers, networkHelpers } = await network.create()
const deployed = async () => new DaLibraries__factory((await ethers.getSigners())[0]).deploy()
const random = (name: string, bytes: number) =>
  ethers.dataSlice(ethers.concat(Array.from({ length: Math.ceil(bytes / 32) }, (_, i) => ethers.id(`${name} ${i}`))), 0, bytes)
const blob = (fields: Partial<Blob> = {}): Blob => ({
  scheme: 1,
  log2K: 8,
  log2T: 10,
  rowSize: 1024,
  length: 262_144,
  rowRoot: ethers.id('rows'),
  rlcRoot: ethers.id('rlc'),
  ...fields,
})

describe('BlobIds', () => {
  it('hash the header and both roots', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    const all: (keyof Blob)[] = ['scheme', 'log2K', 'log2T', 'rowSize', 'length']
    const ids = new Set<string>()
    for (const changed of [
      blob(),
      ...all.map((field) => blob({ [field]: (blob()[field] as number) + 1 })),
      blob({ rowRoot: ethers.id('other') }),
      blob({ rlcRoot: ethers.id('other') }),
      blob({ scheme: 255, log2K: 255, log2T: 255, rowSize: 2 ** 32 - 1 }),
    ]) {
      const id = await libraries.idOf(changed)
      expect(id).to.equal(blobIdOf(changed))
      ids.add(id)
    }
    expect(ids.size).to.equal(9)
  })

  it('take the five codes, and the smallest rows that the bytes fit into', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    const largest = [256, 4096, 8192, 32_768, 32_768]
    for (const [j, rowSize] of largest.entries()) {
      const [log2K, k] = [6 + 2 * j, 64 * 4 ** j]
      const of = (fields: Partial<Blob>) => libraries.isValid(blob({ log2K, log2T: log2K + 2, rowSize, length: k * rowSize, ...fields }))
      expect(await of({}), 'full').to.equal(true)
      expect(await of({ length: k * rowSize + 1 }), 'too long').to.equal(false)
      expect(await of({ length: k * (rowSize - 64) + 1 }), 'least').to.equal(true)
      expect(await of({ length: k * (rowSize - 64) }), 'smaller rows would do').to.equal(false)
      expect(await of({ rowSize: rowSize + 64, length: k * (rowSize + 64) }), 'rows too large').to.equal(false)
      expect(await of({ rowSize: rowSize - 32, length: k * (rowSize - 32) }), 'not in steps of 64').to.equal(false)
      expect(await of({ rowSize: 64, length: 1 })).to.equal(true)
      expect(await of({ rowSize: 64, length: 0 }), 'empty').to.equal(false)
      expect(await of({ rowSize: 0, length: 0 }), 'no rows').to.equal(false)
      expect(await of({ log2T: log2K + 3 }), 'another rate').to.equal(false)
      expect(await of({ scheme: 2 }), 'another scheme').to.equal(false)
    }
    for (const log2K of [0, 4, 5, 7, 15, 16, 255])
      expect(await libraries.isValid(blob({ log2K, log2T: (log2K + 2) % 256, rowSize: 64, length: 1 })), `2^${log2K}`).to.equal(false)
  })
})

describe('RowTree', () => {
  // 1,600 bytes: three chunks and a short one; 1,088: a tree filled up with a zero leaf, and a chunk of 64.
  for (const rowSize of [64, 512, 1088, 1600]) {
    it(`leads from any chunk of rows of ${rowSize} bytes to the root`, async () => {
      const libraries = await networkHelpers.loadFixture(deployed)
      const tree = rowTree(Array.from({ length: 16 }, (_, i) => random(`row ${i}`, rowSize)))
      for (const row of [0, 5, 15])
        for (let chunk = 0; chunk < chunksOf(rowSize); chunk++) {
          const { data, path } = tree.open(row, chunk)
          expect(await libraries.verifyChunk(tree.root, 4, rowSize, row, chunk, data, path)).to.equal(true)
        }
    })
  }

  it('is as deep as the largest shape', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    const opening = { row: 54_321, chunk: 63, data: random('chunk', 512), path: Array.from({ length: 22 }, (_, i) => ethers.id(`sibling ${i}`)) }
    const root = rootOfPath(opening, 16)
    expect(await libraries.verifyChunk(root, 16, 32_768, 54_321, 63, opening.data, opening.path)).to.equal(true)
    expect(await libraries.verifyChunk(root, 16, 32_768, 54_321, 62, opening.data, opening.path)).to.equal(false)
  })

  it('refuses what is not exactly that chunk with exactly that path', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    const [rowSize, row, chunk] = [1088, 5, 1]
    const tree = rowTree(Array.from({ length: 16 }, (_, i) => random(`row ${i}`, rowSize)))
    const { data, path } = tree.open(row, chunk)
    const last = tree.open(row, 2)
    const at = (r = row, c = chunk, d = data, p = path, root = tree.root, size = rowSize) => libraries.verifyChunk(root, 4, size, r, c, d, p)
    expect(await at()).to.equal(true)
    for (const [why, given] of [
      ['another row', at(4)],
      ['another chunk', at(row, 0)],
      ['a row beyond the last, same path', at(row + 16)],
      ['a chunk of padding', at(row, 3, '0x', tree.open(row, 2).path)],
      ['changed bytes', at(row, chunk, ethers.concat([ethers.dataSlice(data, 0, 511), '0x00']))],
      ['a byte less', at(row, chunk, ethers.dataSlice(data, 0, 511))],
      ['a byte more', at(row, chunk, ethers.concat([data, '0x00']))],
      ['a last chunk filled up', at(row, 2, ethers.concat([last.data, new Uint8Array(448)]), last.path)],
      ['a path that is too short', at(row, chunk, data, path.slice(0, -1))],
      ['a path that is too long', at(row, chunk, data, [...path, ethers.ZeroHash])],
      ['another root', at(row, chunk, data, path, ethers.id('root'))],
      ['rows of another size', at(row, chunk, data, path, tree.root, 1024)],
    ] as const)
      expect(await given, why).to.equal(false)
    expect(await at(row, 2, last.data, last.path)).to.equal(true)
    // A tree over fewer rows than the blob says: its path is right, and a level too short.
    const half = rowTree(Array.from({ length: 8 }, (_, i) => random(`row ${i}`, rowSize)))
    const short = half.open(row, chunk)
    expect(await at(row, chunk, short.data, short.path, half.root)).to.equal(false)
  })
})

describe('BatchTree', () => {
  it('proves every blob at its index, and nothing else', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    for (const size of [1, 2, 3, 5, 8]) {
      const ids = Array.from({ length: size }, (_, i) => ethers.id(`blob ${i}`))
      const tree = batchTree(ids)
      for (const [i, id] of ids.entries()) {
        expect(await libraries.verifyBlob(tree.root, id, i, tree.proof(i))).to.equal(true)
        expect(await libraries.verifyBlob(tree.root, id, i ^ 1, tree.proof(i)), 'its sibling’s index').to.equal(false)
        expect(await libraries.verifyBlob(tree.root, id, i + 2 ** tree.proof(i).length, tree.proof(i)), 'an index beyond the tree').to.equal(false)
        expect(await libraries.verifyBlob(tree.root, id, i, [...tree.proof(i), ethers.ZeroHash]), 'a longer proof').to.equal(false)
        expect(await libraries.verifyBlob(tree.root, ethers.id('other'), i, tree.proof(i)), 'another blob').to.equal(false)
      }
    }
    // Nodes of the tree are no blobs, and neither is the padding.
    const ids = ['a', 'b', 'c'].map(ethers.id)
    const tree = batchTree(ids)
    expect(await libraries.verifyBlob(tree.root, tree.proof(2)[1]!, 0, tree.proof(2).slice(0, 1))).to.equal(false)
    expect(await libraries.verifyBlob(tree.root, ethers.ZeroHash, 3, tree.proof(3))).to.equal(false)
    expect(await libraries.verifyBlob(tree.root, tree.root, 0, [])).to.equal(false)
  })
})

describe('Assignment', () => {
  it('is the permutation of its definition, and its inverse', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    const key = keyOf(ethers.id('seed'), ethers.id('blob'))
    expect(await libraries.keyOf(ethers.id('seed'), ethers.id('blob'))).to.equal(key)
    for (const log2T of [8, 10, 12, 14, 16]) {
      const rows = rowsBySlot(key, log2T)
      expect(new Set(rows).size).to.equal(2 ** log2T)
      await fc.assert(
        fc.asyncProperty(fc.nat(2 ** log2T - 1), async (slot) => {
          expect(await libraries.rowAt(key, log2T, slot)).to.equal(rows[slot])
          expect(await libraries.slotOf(key, log2T, rows[slot]!)).to.equal(slot)
        }),
        { seed: 1, numRuns: 12, examples: [[0], [2 ** log2T - 1]] },
      )
    }
  })
})
