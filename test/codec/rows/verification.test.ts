import { expect } from 'chai'
import fc from 'fast-check'
import { createCodec, createRsema1dCodec, type RowCodec } from '../../../codec/rows/codec.ts'
import type { EncodedRows, RowShape } from '../../../codec/rows/index.ts'
import type { Flavour } from '../../../codec/rows/kernels.ts'
import { commit, join, noise, pathOf, rowLeaf, split } from './naive.ts'

const flavours: Flavour[] = ['scalar', 'simd']
const shape: RowShape = { k: 16, t: 64, rowSize: 704 }
const depth = 6
const indices = Uint32Array.of(63, 0, 15, 16, 33)
const everyIndex = Uint32Array.from({ length: shape.t }, (_, i) => i)

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = bytes.slice()
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}

for (const flavour of flavours) {
  describe(`codec: verifying rows, ${flavour}`, () => {
    const codec = createCodec({ threads: 0, flavour })
    let of: EncodedRows
    let rows: Uint8Array
    let paths: Uint8Array

    before(async () => {
      of = await codec.encode(noise(16 * 704), shape)
      rows = of.rows(indices)
      paths = of.paths(indices)
    })
    after(() => of.release())

    it('accepts every row of a code', async () => {
      expect(await codec.verify(of, everyIndex, of.rows(everyIndex), of.paths(everyIndex))).to.deep.equal(new Uint8Array(64).fill(1))
      expect(await codec.verify(of, new Uint32Array(), new Uint8Array(), new Uint8Array())).to.deep.equal(new Uint8Array())
    })

    it('accepts every row in the arrangement of Leopard', async () => {
      const foreign: Pick<RowCodec, 'encode' | 'verify'> = createRsema1dCodec({ threads: 0, flavour })
      const encoded = await foreign.encode(noise(16 * 704), shape)
      expect(await foreign.verify(encoded, everyIndex, encoded.rows(everyIndex), encoded.paths(everyIndex))).to.deep.equal(new Uint8Array(64).fill(1))
    })

    it('rejects a row, and no other, when a bit of it or of its path is not as it was', async () => {
      for (const [bytes, length, replaced] of [
        [rows, shape.rowSize, (changed: Uint8Array) => codec.verify(of, indices, changed, paths)],
        [paths, depth * 32, (changed: Uint8Array) => codec.verify(of, indices, rows, changed)],
      ] as const) {
        await fc.assert(
          fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
            const expected = new Uint8Array(5).fill(1)
            expected[Math.floor(bit / 8 / length)] = 0
            expect(await replaced(flipped(bytes, bit))).to.deep.equal(expected)
          }),
          { seed: 4, numRuns: 40 },
        )
      }
    })

    it('gives a copy: what is verified later changes nothing', async () => {
      const first = await codec.verify(of, indices, rows, paths)
      await codec.verify(of, indices, flipped(rows, 0), paths)
      expect(first).to.deep.equal(new Uint8Array(indices.length).fill(1))
    })

    it('rejects a row at another index', async () => {
      for (const bit of [0, 1, 2, 3, 4, 5]) {
        const moved = indices.map((index, i) => (i === 2 ? index ^ (1 << bit) : index))
        expect(await codec.verify(of, moved, rows, paths)).to.deep.equal(Uint8Array.of(1, 1, 0, 1, 1))
      }
    })

    it('rejects every row under another root or as of another shape', async () => {
      const none = new Uint8Array(5)
      expect(await codec.verify({ ...of, rowRoot: flipped(of.rowRoot, 77) }, indices, rows, paths)).to.deep.equal(none)
      const narrow = { ...shape, rowSize: 640 }
      expect(await codec.verify({ ...of, shape: narrow }, indices, rows.subarray(0, 5 * 640), paths)).to.deep.equal(none)
    })

    it('accepts rows of a blob for which others were claimed before', async () => {
      const fresh = createCodec({ threads: 0, flavour })
      await fresh.verify({ ...of, rowRoot: flipped(of.rowRoot, 77) }, indices, rows, paths)
      await fresh.verify({ ...of, shape: { ...shape, rowSize: 640 } }, indices, rows.subarray(0, 5 * 640), paths)
      expect(await fresh.verify(of, indices, rows, paths)).to.deep.equal(new Uint8Array(5).fill(1))
    })

    it('rejects a row that is in the tree but not of the code', async () => {
      const forged = of.rows(everyIndex)
      forged[33 * shape.rowSize + 500]! ^= 8
      const rowsOf = split(forged, shape.rowSize)
      // Honest but for that row: the coefficients follow from the root over all rows, and the combinations are those of the originals.
      const commitment = commit(rowsOf, shape, 512)
      const tree = rowsOf.map((row) => rowLeaf(row, 512))
      const forgedPaths = join([...everyIndex].flatMap((index) => pathOf(tree, index)))
      const verdicts = await codec.verify({ shape, ...commitment }, everyIndex, forged, forgedPaths)
      expect(verdicts).to.deep.equal(Uint8Array.from(everyIndex, (index) => (index === 33 ? 0 : 1)))
    })

    it('refuses combinations that are not those of the root', async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(of.rlc.length * 8 - 1), async (bit) => {
          const error = await codec.verify({ ...of, rlc: flipped(of.rlc, bit) }, indices, rows, paths).catch((reason) => reason)
          expect(error.message).to.contain('do not match their root')
        }),
        { seed: 5, numRuns: 20 },
      )
      const error: Error = await codec.verify({ ...of, rlcRoot: flipped(of.rlcRoot, 200) }, indices, rows, paths).catch((reason) => reason)
      expect(error.message).to.contain('do not match their root')
    })

    it('tells blobs apart, more of them in turn than it keeps in mind', async () => {
      const small: RowShape = { k: 4, t: 16, rowSize: 64 }
      const third = Uint8Array.of(0, 0, 1, 0)
      const blobs = await Promise.all([...Array(6).keys()].map((seed) => codec.encode(noise(256, seed), small)))
      const own = (blob: EncodedRows): [Uint32Array, Uint8Array, Uint8Array] => {
        const some = Uint32Array.of(3, 9, 12, 15)
        return [some, blob.rows(some), blob.paths(some)]
      }
      const mixed = join(blobs.slice(0, 4).map((blob, i) => blob.row(own(blob)[0][i]!)))
      for (let round = 0; round < 2; round++) {
        for (const blob of blobs) expect(await codec.verify(blob, ...own(blob))).to.deep.equal(Uint8Array.of(1, 1, 1, 1))
        const [some, , paths] = own(blobs[2]!)
        expect(await codec.verify(blobs[2]!, some, mixed, paths)).to.deep.equal(third)
      }
      for (const blob of blobs) blob.release()
    })

    it('accepts no garbage and is none the worse for it', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(63), { minLength: 1, maxLength: 9 }), fc.integer(), async (some, seed) => {
          const verdicts = await codec.verify(of, Uint32Array.from(some), noise(some.length * 704, seed), noise(some.length * depth * 32, seed + 1))
          expect(verdicts).to.deep.equal(new Uint8Array(some.length))
        }),
        { seed: 6, numRuns: 25 },
      )
      expect(await codec.verify(of, indices, rows, paths)).to.deep.equal(new Uint8Array(5).fill(1))
    })

    it('refuses arguments that do not fit one another', async () => {
      const refused = async (message: string, run: Promise<Uint8Array>): Promise<void> => {
        const error = await run.catch((reason) => reason)
        expect(error).to.be.instanceOf(RangeError)
        expect(error.message).to.contain(message)
      }
      await refused('There is no row 64 among 64', codec.verify(of, Uint32Array.of(0, 1, 2, 3, 64), rows, paths))
      await refused('rows: expected 3520 bytes, got 3519', codec.verify(of, indices, rows.subarray(1), paths))
      await refused('paths: expected 960 bytes, got 961', codec.verify(of, indices, rows, new Uint8Array(961)))
      await refused('rlc: expected 256 bytes, got 240', codec.verify({ ...of, rlc: of.rlc.subarray(16) }, indices, rows, paths))
      await refused('rowRoot: expected 32 bytes, got 31', codec.verify({ ...of, rowRoot: of.rowRoot.subarray(1) }, indices, rows, paths))
      await refused('rlcRoot: expected 32 bytes, got 0', codec.verify({ ...of, rlcRoot: new Uint8Array() }, indices, rows, paths))
      await refused('65 rows are more than the 64', codec.verify(of, new Uint32Array(65), new Uint8Array(65 * 704), new Uint8Array(65 * depth * 32)))
      await refused('t must be', codec.verify({ ...of, shape: { ...shape, t: 32 } }, indices, rows, paths))
    })
  })
}
