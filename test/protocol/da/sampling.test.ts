import { expect } from 'chai'
import { hexlify, id, solidityPackedKeccak256 } from 'ethers'
import fc from 'fast-check'
import { DaFormatError } from '../../../protocol/da/format-error.ts'
import { pickedChunk, qualityOf, roundSeed } from '../../../protocol/da/sampling.ts'
import { hash } from './blobs.ts'

describe('the sampling lottery', () => {
  it('hashes packed values', () => {
    const account = `0x${'22'.repeat(20)}`
    fc.assert(
      fc.property(hash, hash, fc.nat(65_535), fc.integer({ min: 1, max: 512 }), fc.uint8Array({ maxLength: 512 }), (seed, blobId, row, groups, chunk) => {
        const rowSize = 64 * groups
        const picked = BigInt(solidityPackedKeccak256(['bytes32', 'bytes32', 'uint32'], [seed, blobId, row])) % BigInt(Math.ceil(rowSize / 512))
        expect(pickedChunk(seed, blobId, row, rowSize)).to.equal(Number(picked))
        const types = ['bytes32', 'address', 'bytes32', 'uint32', 'bytes']
        expect(qualityOf(seed, account, blobId, row, chunk)).to.equal(BigInt(solidityPackedKeccak256(types, [seed, account, blobId, row, hexlify(chunk)])))
        expect(roundSeed(seed, row)).to.equal(solidityPackedKeccak256(['bytes32', 'uint256'], [seed, row]))
      }),
      { seed: 1 },
    )
  })

  it('knows rows of 32 bits only', () => {
    for (const row of [-1, 2 ** 32, 0.5]) expect(() => pickedChunk(id('seed'), id('blob'), row, 64)).to.throw(DaFormatError, 'the row')
  })
})
