import { expect } from 'chai'
import fc from 'fast-check'
import { createCodec, createRsema1dCodec, type RowCodec } from '../../../codec/rows/codec.ts'
import type { RowShape } from '../../../codec/rows/index.ts'
import type { Flavour } from '../../../codec/rows/kernels.ts'
import published from '../../vectors/rsema1d.json' with { type: 'json' }
import { chunkLeaf, climb, commit, interpolate, join, noise, range, rowLeaf, rowsAt, sha256, split, symbol } from './naive.ts'

const flavours: Flavour[] = ['scalar', 'simd']
const all = ({ t }: RowShape): Uint32Array => Uint32Array.from({ length: t }, (_, i) => i)
const shapeOf = (k: number, rowSize: number): RowShape => ({ k, t: 4 * k, rowSize })
const name = ({ k, t, rowSize }: RowShape): string => `${k} of ${t} rows of ${rowSize} bytes`

/** Everything that encoding gives, and the memory back. */
async function encoded(codec: Pick<RowCodec, 'encode'>, data: Uint8Array, shape: RowShape) {
  const { rowRoot, rlcRoot, rlc, rows, paths, release } = await codec.encode(data, shape)
  try {
    return { rowRoot, rlcRoot, rlc, rows: rows(all(shape)), paths: paths(all(shape)) }
  } finally {
    release()
  }
}

for (const flavour of flavours) {
  describe(`codec: encoding rows, ${flavour}`, () => {
    const codec = createCodec({ threads: 0, flavour })
    const whole = createCodec({ threads: 0, flavour, leaf: 'whole' })
    const foreign = createRsema1dCodec({ threads: 0, flavour })

    for (const { K: k, N: n, rowSize, commitment } of published.vectors) {
      it(`commits as rsema1d does to ${k} rows of ${rowSize} bytes and ${n} more`, async () => {
        const data = new Uint8Array(k * rowSize)
        for (let i = 1; i <= k; i++) data[i * rowSize - 1] = i
        const { rowRoot, rlcRoot } = await encoded(foreign, data, { k, t: k + n, rowSize })
        expect(`0x${Buffer.from(sha256(rowRoot, rlcRoot)).toString('hex')}`).to.equal(commitment)
      })
    }

    // From 512 rows on, constants of the transform are outside of the subfield GF(2^8).
    for (const shape of [shapeOf(4, 192), shapeOf(8, 64), shapeOf(64, 128), shapeOf(256, 64)]) {
      it(`gives ${name(shape)} the values of the polynomials through the originals, row i at position i`, async () => {
        const originals = split(noise(shape.k * shape.rowSize, shape.k), shape.rowSize)
        const { rows } = await encoded(codec, join(originals), shape)
        // Three cosets: the borders of each, and some of the middle.
        const wanted = range(shape.k, shape.t).filter((row) => shape.k < 64 || row % 64 <= 2 || row % 64 === 63)
        const parity = rowsAt(range(0, shape.k), originals, wanted)
        const found = split(rows, shape.rowSize)
        expect(found.slice(0, shape.k)).to.deep.equal(originals)
        for (const [i, row] of wanted.entries()) expect(found[row], `row ${row}`).to.deep.equal(parity[i])
      })
    }

    for (const shape of [
      { k: 4, t: 8, rowSize: 64 },
      { k: 8, t: 64, rowSize: 128 },
      { k: 128, t: 256, rowSize: 64 },
    ]) {
      it(`gives ${name(shape)} in the arrangement of Leopard: parity at the start of the domain, originals behind`, async () => {
        const { k, t, rowSize } = shape
        const originals = split(noise(k * rowSize, t), rowSize)
        const { rows } = await encoded(foreign, join(originals), shape)
        const size = 2 ** Math.ceil(Math.log2(t - k))
        const zeros = range(k, size).map(() => new Uint8Array(rowSize))
        const parity = rowsAt(range(size, 2 * size), [...originals, ...zeros], range(0, t - k))
        expect(split(rows, rowSize)).to.deep.equal([...originals, ...parity])
      })
    }

    // 1, 2, 3 (filled up to 4), 4 and 6 (filled up to 8) chunks, the last of them short.
    for (const shape of [shapeOf(8, 512), shapeOf(4, 704), shapeOf(4, 1344), shapeOf(4, 1600), shapeOf(4, 2752)]) {
      it(`commits to ${name(shape)} as defined, by chunks and by whole rows`, async () => {
        for (const [contender, chunk] of [
          [codec, 512],
          [whole, shape.rowSize],
        ] as const) {
          const { rowRoot, rlcRoot, rlc, rows, paths } = await encoded(contender, noise(shape.k * shape.rowSize), shape)
          expect({ rowRoot, rlcRoot, rlc }).to.deep.equal(commit(split(rows, shape.rowSize), shape, chunk))
          const pathOf = split(paths, Math.log2(shape.t) * 32)
          for (const [i, row] of split(rows, shape.rowSize).entries())
            expect(climb(rowLeaf(row, chunk), i, split(pathOf[i]!, 32)), `row ${i}`).to.deep.equal(rowRoot)
        }
      })
    }

    it('opens every chunk of a row, those siblings first that are in the row', async () => {
      const shape = shapeOf(4, 1344)
      const rows = await codec.encode(noise(4 * 1344), shape)
      for (const [row, chunk] of [
        [0, 0],
        [5, 1],
        [15, 2],
      ] as const) {
        const path = split(rows.chunkPath(row, chunk), 32)
        expect(path).to.have.length(2 + 4)
        expect(climb(chunkLeaf(rows.row(row), 512, chunk), row * 4 + chunk, path), `chunk ${chunk} of row ${row}`).to.deep.equal(rows.rowRoot)
      }
      for (const chunk of [3, -1, 0.5, Number.NaN]) expect(() => rows.chunkPath(0, chunk)).to.throw(RangeError, `There is no chunk ${chunk} among 3`)
      for (const row of [0.5, Number.NaN, 2 ** 32]) {
        expect(() => rows.row(row)).to.throw(RangeError, `There is no row ${row} among 16`)
        expect(() => rows.chunkPath(row, 0)).to.throw(RangeError, `There is no row ${row} among 16`)
      }
      expect(() => rows.row(16)).to.throw(RangeError, 'There is no row 16 among 16')
      expect(() => rows.row(-1)).to.throw(RangeError, 'There is no row -1')
      expect(() => rows.paths(Uint32Array.of(0, 16))).to.throw(RangeError, 'There is no row 16')
      rows.release()
      expect(() => rows.row(0)).to.throw('released')
      expect(() => rows.chunkPath(0, 0)).to.throw('released')
    })

    it('opens chunks of rows of six, which are filled up to eight', async () => {
      const rows = await codec.encode(noise(4 * 2752), shapeOf(4, 2752))
      for (const chunk of [0, 3, 5]) {
        const path = split(rows.chunkPath(9, chunk), 32)
        expect(path).to.have.length(3 + 4)
        expect(climb(chunkLeaf(rows.row(9), 512, chunk), 9 * 8 + chunk, path), `chunk ${chunk}`).to.deep.equal(rows.rowRoot)
      }
      rows.release()
    })

    it('gives copies: what comes later in the same memory changes nothing', async () => {
      const shape = shapeOf(8, 128)
      const rows = await codec.encode(noise(8 * 128), shape)
      const taken = { rowRoot: rows.rowRoot, rlcRoot: rows.rlcRoot, rlc: rows.rlc, row: rows.row(9) }
      // What is in shared memory, a structured clone would share.
      const before = Object.fromEntries(Object.entries(taken).map(([name, bytes]) => [name, Uint8Array.from(bytes)]))
      rows.release()
      const later = await codec.encode(noise(8 * 128, 9), shape)
      expect(later.rlcRoot).to.not.deep.equal(before.rlcRoot)
      later.release()
      expect(taken).to.deep.equal(before)
    })

    it('is linear', async () => {
      const shape = shapeOf(32, 192)
      const [a, b] = [noise(32 * 192, 5), noise(32 * 192, 6)]
      const sum = await encoded(
        codec,
        a.map((byte, i) => byte ^ b[i]!),
        shape,
      )
      const [ofA, ofB] = [await encoded(codec, a, shape), await encoded(codec, b, shape)]
      expect(sum.rows).to.deep.equal(ofA.rows.map((byte, i) => byte ^ ofB.rows[i]!))
    })

    it('fills up with zeros, also where other data were before', async () => {
      const shape = shapeOf(8, 128)
      const padded = new Uint8Array(8 * 128)
      padded.set(noise(300))
      const expected = await encoded(createCodec({ threads: 0, flavour }), padded, shape)
      await encoded(codec, noise(8 * 128, 9), shape)
      expect(await encoded(codec, noise(300), shape)).to.deep.equal(expected)
    })

    it('refuses what has no such code', async () => {
      const refused = async (shape: RowShape, message: string, data = new Uint8Array(1)): Promise<void> => {
        const error = await codec.encode(data, shape).catch((reason) => reason)
        expect(error, JSON.stringify(shape)).to.be.instanceOf(RangeError)
        expect(error.message).to.contain(message)
      }
      // The logarithm of the last but one is rounded to 2.
      for (const k of [0, 2, 3, 96, 4.5, -4, Number.NaN, 4 + 2 ** -50, 32_768])
        await refused({ k, t: 4 * k, rowSize: 64 }, 'k must be a power of two from 4 to 16384')
      for (const t of [8, 32, 15, Number.NaN]) await refused({ k: 4, t, rowSize: 64 }, 't must be 4k = 16')
      for (const rowSize of [0, 32, 100, -64, 65_600, Number.NaN]) await refused({ k: 4, t: 16, rowSize }, 'rowSize must be a multiple of 64')
      await refused({ k: 16_384, t: 65_536, rowSize: 8192 }, 'are more than')
      await refused(shapeOf(4, 64), '257 bytes do not fit 4 rows of 64 bytes', new Uint8Array(257))
      for (const t of [4, 24, 32_768]) {
        const error = await foreign.encode(new Uint8Array(1), { k: 4, t, rowSize: 64 }).catch((reason) => reason)
        expect(error.message).to.contain('t must be a power of two from 2k')
      }
      for (const k of [2, 3, 6]) {
        const error = await foreign.encode(new Uint8Array(1), { k, t: 16, rowSize: 64 }).catch((reason) => reason)
        expect(error.message).to.contain('k must be a power of two')
      }
      expect((await foreign.encode(new Uint8Array(1), { k: 4, t: 16, rowSize: 100 }).catch((reason) => reason)).message).to.contain('rowSize must be')
      const largest = await foreign.encode(new Uint8Array(1), { k: 4096, t: 16_384, rowSize: 64 })
      expect(largest.shape.t).to.equal(16_384)
      largest.release()
    })
  })
}

describe('codec: encoding rows', () => {
  it('comes to the same with and without SIMD', async () => {
    const [scalar, simd] = flavours.map((flavour) => createCodec({ threads: 0, flavour }))
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 9 }), fc.integer({ min: 1, max: 20 }), fc.integer(), async (log2k, groups, seed) => {
        const shape = shapeOf(2 ** log2k, groups * 64)
        const data = noise(shape.k * shape.rowSize - (seed & 63), seed)
        expect(await encoded(simd!, data, shape)).to.deep.equal(await encoded(scalar!, data, shape))
      }),
      { seed: 3, numRuns: 15 },
    )
  })

  it('fills the whole domain: 65,536 rows', async () => {
    const shape = shapeOf(16_384, 64)
    const codec = createCodec({ threads: 0 })
    const data = noise(shape.k * shape.rowSize, 4)
    const rows = await codec.encode(data, shape)
    const indices = Uint32Array.from({ length: shape.k }, (_, i) => shape.t - 1 - 3 * i)
    expect(Buffer.compare(await codec.recover(shape, indices, rows.rows(indices)), data)).to.equal(0)
    const sampled = Uint32Array.of(0, 16_383, 16_384, 40_000, 65_535)
    expect(await codec.verify(rows, sampled, rows.rows(sampled), rows.paths(sampled))).to.deep.equal(Uint8Array.of(1, 1, 1, 1, 1))
    rows.release()
  })

  it('gives single symbols of 4,096 rows the values of the polynomials', async () => {
    const shape = shapeOf(1024, 64)
    const data = noise(shape.k * shape.rowSize, 8)
    const rows = await createCodec({ threads: 0 }).encode(data, shape)
    for (const [row, j] of [
      [1024, 0],
      [2047, 31],
      [2500, 7],
      [4095, 30],
    ] as const) {
      const points = split(data, 64).map((original, x) => ({ x, y: symbol(original, j) }))
      expect(symbol(rows.row(row), j), `symbol ${j} of row ${row}`).to.equal(interpolate(points, row))
    }
    rows.release()
  })
})
