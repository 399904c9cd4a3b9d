import { expect } from 'chai'
import { hexlify, id } from 'ethers'
import fc from 'fast-check'
import { type Blob, blobIdOf, blobOf, checkBlob, checkPadding, decodeHeader, encodeHeader, shapeOf } from '../../../protocol/da/blob.ts'
import { MAX_BLOB_BYTES, shapeFor } from '../../../protocol/da/codes.ts'
import { checkHash, DaFormatError } from '../../../protocol/da/format-error.ts'
import { blobs } from './blobs.ts'

const blob = blobOf(shapeFor(100_000, 31), 100_000, id('rows'), id('rlc'))

describe('blobs', () => {
  it('have a header of 16 bytes, and an id that hashes it with both roots', () => {
    expect(hexlify(encodeHeader(blob))).to.equal('0x0101080a000001c000000000000186a0')
    expect(blobIdOf(blob)).to.equal('0xa4f3736555d8e42a3c26ef51c598fb8788315a06f2330f6444886e26e65dae53')
  })

  it('are read back from their header; other bytes give a blob that encodes to them, or say what was expected', () => {
    fc.assert(
      fc.property(blobs, fc.nat(15), fc.nat(255), (blob, at, byte) => {
        const header = encodeHeader(blob)
        expect(decodeHeader(header, blob.rowRoot, blob.rlcRoot)).to.deep.equal(blob)
        header[at] = byte
        readOrRefused(header)
      }),
      { seed: 1 },
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), readOrRefused), { seed: 2 })
  })

  const readOrRefused = (bytes: Uint8Array): void => {
    try {
      expect(encodeHeader(decodeHeader(bytes, blob.rowRoot, blob.rlcRoot))).to.deep.equal(Buffer.from(bytes))
    } catch (error) {
      expect(error).to.be.instanceOf(DaFormatError)
    }
  }

  it('have the shape that they were made in', () => {
    for (const [length, codes] of [
      [1, 31],
      [100_000, 31],
      [MAX_BLOB_BYTES, 16],
    ] as const) {
      const shape = shapeFor(length, codes)
      expect(shapeOf(blobOf(shape, length, blob.rowRoot, blob.rlcRoot))).to.deep.equal(shape)
    }
    expect(() => blobOf(shapeFor(100_000, 31), 200_000, blob.rowRoot, blob.rlcRoot)).to.throw(DaFormatError, 'the row size is 448: expected 832')
  })

  it('of another version, scheme, code, row size, length or with broken roots are refused', () => {
    const header = encodeHeader(blob)
    header[0] = 2
    expect(() => decodeHeader(header, blob.rowRoot, blob.rlcRoot)).to.throw(DaFormatError, 'the version of the header is 2: expected 1')
    expect(() => decodeHeader(header.subarray(1), blob.rowRoot, blob.rlcRoot)).to.throw(DaFormatError, '15 bytes: expected 16')
    const bad: [Partial<Blob>, string][] = [
      [{ scheme: 2 }, 'the scheme is 2: expected 1'],
      [{ log2K: 7, log2T: 9 }, 'expected 6, 8, 10, 12 or 14'],
      [{ log2T: 9 }, 'log2 T is 9: expected 10'],
      [{ rowSize: blob.rowSize + 64 }, 'the row size is 512: expected 448'],
      [{ rowSize: blob.rowSize - 64 }, 'the row size is 384: expected 448'],
      [{ length: 0 }, 'from 1 to 1048576'],
      [{ length: 2 ** 20 + 1 }, 'from 1 to 1048576'],
      [{ log2K: 14, log2T: 16, length: MAX_BLOB_BYTES + 1 }, 'from 1 to 33554432'],
      [{ rowRoot: '0x12' }, 'the row root is 0x12: expected 32 bytes in hex'],
      [{ rlcRoot: blob.rlcRoot.slice(2) }, 'the root of linear combinations'],
    ]
    for (const [change, message] of bad) {
      expect(() => checkBlob({ ...blob, ...change }), message).to.throw(DaFormatError, message)
      expect(() => blobIdOf({ ...blob, ...change }), message).to.throw(DaFormatError, message)
    }
  })

  it('have roots that are hex and nothing like it, in lower case where they are compared', () => {
    expect(() => checkHash([blob.rowRoot] as never, 'the root')).to.throw(DaFormatError, 'expected 32 bytes in hex')
    expect(checkHash(`0x${'AB'.repeat(32)}`, 'the root')).to.equal(`0x${'ab'.repeat(32)}`)
  })

  it('are what their rows begin with, and zeros follow', () => {
    const rows = new Uint8Array(256 * 448)
    rows.fill(7, 0, 100_000)
    expect(checkPadding(blob, rows)).to.deep.equal(new Uint8Array(100_000).fill(7))
    for (const at of [100_000, rows.length - 1]) {
      const spoilt = rows.slice()
      spoilt[at] = 1
      expect(() => checkPadding(blob, spoilt)).to.throw(DaFormatError, `byte ${at} behind a blob of 100000 bytes is 1: expected zeros`)
    }
    expect(() => checkPadding(blob, rows.subarray(1))).to.throw(DaFormatError, 'expected 114688')
  })
})
