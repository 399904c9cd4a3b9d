import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { hexlify } from 'ethers'
import fc from 'fast-check'
import { DaFormatError } from '../../../protocol/da/format-error.ts'
import { chunkLength, chunkPathDepth, chunksOfRow, verifyChunk } from '../../../protocol/da/row-path.ts'

const sha256 = (...parts: Uint8Array[]): Uint8Array => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
const LOG2_T = 3

/** All levels of a tree as its definition has it. */
function levelsOf(leaves: Uint8Array[]): Uint8Array[][] {
  const padded = [...leaves]
  while (padded.length & (padded.length - 1)) padded.push(new Uint8Array(32))
  const levels = [padded]
  for (let level = padded; level.length > 1; level = levels.at(-1)!)
    levels.push(Array.from({ length: level.length / 2 }, (_, i) => sha256(Uint8Array.of(1), level[2 * i]!, level[2 * i + 1]!)))
  return levels
}

function treeOf(rowSize: number) {
  const rows = Array.from({ length: 2 ** LOG2_T }, (_, row) => Uint8Array.from({ length: rowSize }, (_, i) => (i * 31 + (i >> 9) * 13 + row * 7) & 0xff))
  const chunks = rows.map((row) => Array.from({ length: Math.ceil(rowSize / 512) }, (_, i) => row.subarray(512 * i, 512 * i + 512)))
  const inRow = chunks.map((chunks) => levelsOf(chunks.map((chunk) => sha256(Uint8Array.of(0), chunk))))
  const levels = levelsOf(inRow.map((levels) => levels.at(-1)![0]!))
  const siblings = (levels: Uint8Array[][], index: number) => levels.slice(0, -1).map((level, height) => level[(index >> height) ^ 1]!)
  return {
    of: { rowSize, log2T: LOG2_T, rowRoot: hexlify(levels.at(-1)![0]!) },
    chunk: (row: number, chunk: number) => ({
      data: chunks[row]![chunk]!,
      path: Uint8Array.from([...siblings(inRow[row]!, chunk), ...siblings(levels, row)].flatMap((sibling) => [...sibling])),
    }),
  }
}

describe('paths of chunks', () => {
  // One chunk, a full one, two with a short one, three padded to four.
  for (const rowSize of [64, 512, 576, 1536])
    it(`lead from every chunk of rows of ${rowSize} bytes to the row root, at its place alone`, () => {
      const { of, chunk } = treeOf(rowSize)
      const chunks = chunksOfRow(rowSize)
      for (let row = 0; row < 2 ** LOG2_T; row++)
        for (let at = 0; at < chunks; at++) {
          const { data, path } = chunk(row, at)
          expect(path.length).to.equal(32 * chunkPathDepth(of))
          expect(verifyChunk(of, row, at, data, path), `${row}/${at}`).to.equal(true)
          expect(verifyChunk(of, row ^ 1, at, data, path)).to.equal(false)
          if (chunks > 1) expect(verifyChunk(of, row, (at + 1) % chunks, data, path)).to.equal(false)
        }
    })

  it('given anything changed, of wrong length, or a place that does not exist, do not', () => {
    const { of, chunk } = treeOf(1536)
    const { data, path } = chunk(5, 2)
    expect(verifyChunk(of, 5, 2, data, path)).to.equal(true)
    const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))
    fc.assert(
      fc.property(fc.nat(data.length - 1), fc.nat(path.length - 1), (inData, inPath) => {
        expect(verifyChunk(of, 5, 2, flipped(data, inData), path)).to.equal(false)
        expect(verifyChunk(of, 5, 2, data, flipped(path, inPath))).to.equal(false)
      }),
      { seed: 1, numRuns: 30 },
    )
    expect(verifyChunk({ ...of, rowRoot: hexlify(new Uint8Array(32)) }, 5, 2, data, path)).to.equal(false)
    expect(verifyChunk(of, 5, 2, data.subarray(1), path)).to.equal(false)
    expect(verifyChunk(of, 5, 2, data, path.subarray(32))).to.equal(false)
    expect(verifyChunk(of, 5, 2, data, Uint8Array.of(...path, ...path.subarray(32)))).to.equal(false)
    // Leaf 3 of the row is padding: no bytes have that as their leaf.
    for (const [row, at] of [
      [8, 2],
      [5, 3],
      [5 + 2 ** LOG2_T, 2],
      [5 + 2 ** 32, 2],
      [-3, 2],
      [5, -1],
      [5.5, 2],
    ] as const)
      expect(verifyChunk(of, row, at, data, path), `${row}/${at}`).to.equal(false)
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.uint8Array({ maxLength: 600 }), fc.uint8Array({ maxLength: 200 }), (row, at, data, path) => {
        expect(verifyChunk(of, row, at, data, path)).to.equal(false)
      }),
      { seed: 2 },
    )
  })

  it('are not believed of chunks that a row cannot have, even if it was committed to like that', () => {
    // Rows of 64 bytes whose leaves are over more and fewer bytes.
    for (const length of [0, 63, 65, 512]) {
      const chunks = Array.from({ length: 2 ** LOG2_T }, (_, row) => new Uint8Array(length).fill(row))
      const levels = levelsOf(chunks.map((chunk) => sha256(Uint8Array.of(0), chunk)))
      const path = Buffer.concat(levels.slice(0, -1).map((level, height) => level[(3 >> height) ^ 1]!))
      const of = { rowSize: 64, log2T: LOG2_T, rowRoot: hexlify(levels.at(-1)![0]!) }
      expect(verifyChunk(of, 3, 0, chunks[3]!, path), `${length} bytes`).to.equal(false)
    }
  })

  it('know how long each chunk is', () => {
    expect([0, 1, 2].map((chunk) => chunkLength(1088, chunk))).to.deep.equal([512, 512, 64])
    expect(chunkLength(64, 0)).to.equal(64)
    for (const chunk of [-1, 3]) expect(() => chunkLength(1088, chunk)).to.throw(DaFormatError, 'from 0 to 2')
  })
})
