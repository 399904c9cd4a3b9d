import { expect } from 'chai'
import fc from 'fast-check'
import { CODES, codeOf, MAX_BLOB_BYTES, shapeFor } from '../../../protocol/da/codes.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'

describe('codes of blobs', () => {
  it('have just as many rows for each member as keep the chance of a false acceptance at 2^-100', () => {
    // C(T − e, s)/C(T, s) = ∏ (T − e − i)/(T − i), i = 0…s − 1: in whole numbers, no rounding.
    const isSmallEnough = (t: number, e: number, s: number): boolean => {
      let [above, below] = [1n, 1n]
      for (let i = 0; i < s; i++) {
        above *= BigInt(t - e - i)
        below *= BigInt(t - i)
      }
      return above << 100n <= below
    }
    for (const { k, t, minRows } of CODES) {
      const e = Math.floor((t - k) / 2)
      expect(isSmallEnough(t, e, minRows), `K = ${k}`).to.equal(true)
      expect(isSmallEnough(t, e, minRows - 1), `K = ${k}, one row less`).to.equal(false)
    }
    expect(CODES.map(({ k, t, log2K, log2T }) => [k, t, 2 ** log2K, 2 ** log2T])).to.deep.equal([64, 256, 1024, 4096, 16_384].map((k) => [k, 4 * k, k, 4 * k]))
  })

  it('given a length, the smallest that the epoch allows and that holds it is taken, with the smallest rows', () => {
    const kOf = (length: number, codes = 0b11111) => [shapeFor(length, codes).k, shapeFor(length, codes).rowSize]
    expect(kOf(1)).to.deep.equal([64, 64])
    expect(kOf(4096)).to.deep.equal([64, 64])
    expect(kOf(4097)).to.deep.equal([64, 128])
    expect(kOf(16_384)).to.deep.equal([64, 256])
    expect(kOf(16_385)).to.deep.equal([256, 128])
    expect(kOf(2 ** 20)).to.deep.equal([256, 4096])
    expect(kOf(2 ** 20 + 7)).to.deep.equal([1024, 1088])
    expect(kOf(2 ** 23 + 1)).to.deep.equal([4096, 2112])
    expect(kOf(MAX_BLOB_BYTES)).to.deep.equal([4096, 8192])
    expect(kOf(1, 0b10000)).to.deep.equal([16_384, 64])
    expect(kOf(MAX_BLOB_BYTES, 0b10000)).to.deep.equal([16_384, 2048])
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_BLOB_BYTES }), fc.integer({ min: 8, max: 31 }), (length, codes) => {
        const { k, rowSize, log2K } = shapeFor(length, codes)
        expect(k * rowSize).to.be.at.least(length)
        expect(rowSize === 64 || k * (rowSize - 64) < length).to.equal(true)
        expect(rowSize % 64).to.equal(0)
        expect(codes & (1 << codeOf(log2K).index)).to.not.equal(0)
      }),
      { seed: 1 },
    )
  })

  it('given a length that no blob has, or that no code of the epoch holds, it says so', () => {
    for (const length of [0, -1, 1.5, Number.NaN, MAX_BLOB_BYTES + 1]) expect(() => shapeFor(length, 31)).to.throw(DaFormatError, 'from 1 to 33554432')
    expect(() => shapeFor(16_385, 1)).to.throw(DaFormatError, 'no code of the epoch (mask 1) holds a blob of 16385 bytes')
    expect(() => shapeFor(1, 0)).to.throw(DaFormatError)
    for (const log2K of [0, 4, 7, 16, Number.NaN]) expect(() => codeOf(log2K)).to.throw(DaFormatError, 'expected 6, 8, 10, 12 or 14')
  })
})
