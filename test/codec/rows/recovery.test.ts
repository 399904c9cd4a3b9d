import { expect } from 'chai'
import fc from 'fast-check'
import { createCodec } from '../../../codec/rows/codec.ts'
import type { RowShape } from '../../../codec/rows/index.ts'
import type { Flavour } from '../../../codec/rows/kernels.ts'
import { noise, range, split } from './naive.ts'

const flavours: Flavour[] = ['scalar', 'simd']
const shapeOf = (k: number, rowSize: number): RowShape => ({ k, t: 4 * k, rowSize })

for (const flavour of flavours) {
  describe(`codec: recovering rows, ${flavour}`, () => {
    const codec = createCodec({ threads: 0, flavour })

    /** What comes back from the rows with these indices, in their order. */
    async function recovered(data: Uint8Array, shape: RowShape, indices: readonly number[]): Promise<Uint8Array> {
      const encoded = await codec.encode(data, shape)
      const known = Uint32Array.from(indices)
      const rows = encoded.rows(known)
      encoded.release()
      return codec.recover(shape, known, rows)
    }

    it('gives the data back from any k or more rows, in any order', async () => {
      const anyRows = fc.integer({ min: 2, max: 8 }).chain((log2k) => {
        const k = 2 ** log2k
        return fc.record({
          k: fc.constant(k),
          indices: fc.shuffledSubarray(range(0, 4 * k), { minLength: k, maxLength: 4 * k }),
          groups: fc.integer({ min: 1, max: 9 }),
          seed: fc.integer(),
        })
      })
      await fc.assert(
        fc.asyncProperty(anyRows, async ({ k, indices, groups, seed }) => {
          const shape = shapeOf(k, groups * 64)
          const data = noise(k * shape.rowSize, seed)
          expect(await recovered(data, shape, indices)).to.deep.equal(data)
        }),
        { seed: 7, numRuns: 40 },
      )
    })

    it('gives the data back from each quarter of the rows, and from parity of all of them', async () => {
      for (const k of [4, 16, 512]) {
        const shape = shapeOf(k, 64)
        const data = noise(k * 64, k)
        for (const quarter of [0, 1, 2, 3])
          expect(await recovered(data, shape, range(quarter * k, (quarter + 1) * k)), `quarter ${quarter} of ${4 * k}`).to.deep.equal(data)
        const scattered = range(0, k).map((i) => k + 3 * i)
        expect(await recovered(data, shape, scattered), `parity of ${4 * k}`).to.deep.equal(data)
        expect(await recovered(data, shape, [...range(1, k), 4 * k - 1]), `all but one of ${k}`).to.deep.equal(data)
      }
    })

    it('finds for any k rows, garbage too, the one code that has them', async () => {
      const shape = shapeOf(16, 128)
      await fc.assert(
        fc.asyncProperty(fc.shuffledSubarray(range(0, 64), { minLength: 16, maxLength: 16 }), fc.integer(), async (some, seed) => {
          const garbage = noise(16 * 128, seed)
          const indices = Uint32Array.from(some)
          const encoded = await codec.encode(await codec.recover(shape, indices, garbage), shape)
          expect(encoded.rows(indices)).to.deep.equal(garbage)
          encoded.release()
        }),
        { seed: 8, numRuns: 25 },
      )
    })

    it('takes no notice of rows beyond those it needs, originals first', async () => {
      const shape = shapeOf(8, 64)
      const encoded = await codec.encode(noise(512), shape)
      const indices = Uint32Array.from(range(0, 32).reverse())
      const rows = encoded.rows(indices)
      for (const [i, index] of indices.entries()) if (index >= 8) rows.fill(0xee, i * 64, (i + 1) * 64)
      expect(await codec.recover(shape, indices, rows)).to.deep.equal(noise(512))
      encoded.release()
    })

    it('gives a copy: what comes later in the same memory changes nothing', async () => {
      const shape = shapeOf(8, 64)
      const encoded = await codec.encode(noise(512), shape)
      const indices = Uint32Array.from(range(8, 16))
      const recovered = await codec.recover(shape, indices, encoded.rows(indices))
      await codec.recover(shape, indices, noise(512, 9))
      expect(recovered).to.deep.equal(noise(512))
      encoded.release()
    })

    it('refuses too few rows, repeated ones, and what does not fit', async () => {
      const shape = shapeOf(4, 64)
      const refused = async (message: string, indices: readonly number[], bytes: number, of = shape): Promise<void> => {
        const error = await codec.recover(of, Uint32Array.from(indices), new Uint8Array(bytes)).catch((reason) => reason)
        expect(error).to.be.instanceOf(RangeError)
        expect(error.message).to.contain(message)
      }
      await refused('takes 4 rows, got 3', [1, 2, 3], 192)
      await refused('twice', [1, 2, 3, 1], 256)
      await refused('There is no row 16 among 16', [1, 2, 3, 16], 256)
      await refused('rows: expected 256 bytes, got 255', [1, 2, 3, 4], 255)
      await refused('t must be 4k', [1, 2, 3, 4], 256, { ...shape, t: 8 })
    })
  })
}

describe('codec: recovering rows', () => {
  it('comes to the same with and without SIMD, in threads and without', async () => {
    const shape = shapeOf(64, 8192)
    const rows = noise(64 * 8192, 11)
    const indices = Uint32Array.from(range(0, 64).map((i) => 255 - 2 * i))
    const threaded = createCodec({ threads: 2 })
    const [first, ...others] = await Promise.all(
      [...flavours.map((flavour) => createCodec({ threads: 0, flavour })), threaded].map((codec) => codec.recover(shape, indices, rows)),
    )
    await threaded.close()
    for (const other of others) expect(Buffer.compare(other, first!)).to.equal(0)
    expect(split(first!, 8192)[63], 'a row that is not given').to.not.deep.equal(new Uint8Array(8192))
  })
})
