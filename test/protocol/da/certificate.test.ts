import { expect } from 'chai'
import { getBytes, hexlify, id, SigningKey, Wallet } from 'ethers'
import fc from 'fast-check'
import { certificateDigest, isEnoughWeight, isSignedBy, packAbsent, possessionDigest, signDigest, unpackAbsent } from '../../../protocol/da/certificate.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'

const contract = `0x${'11'.repeat(20)}`
const account = `0x${'22'.repeat(20)}`
const domain = { chainId: 31337, contract }

describe('certificates', () => {
  it('are signed for one chain, contract, epoch and batch', () => {
    const digest = certificateDigest(domain, 7, id('batch'))
    const others = [
      certificateDigest({ ...domain, chainId: 1 }, 7, id('batch')),
      certificateDigest({ ...domain, contract: account }, 7, id('batch')),
      certificateDigest(domain, 8, id('batch')),
      certificateDigest(domain, 7, id('other')),
      possessionDigest(domain, account),
      possessionDigest(domain, contract),
      possessionDigest({ ...domain, chainId: 1 }, account),
      possessionDigest({ ...domain, contract: account }, account),
    ]
    expect(new Set([digest, ...others]).size).to.equal(9)
    expect(() => certificateDigest(domain, 7, '0x12')).to.throw(DaFormatError, 'the root of the batch')
  })

  it('need two thirds of the weight', () => {
    expect(isEnoughWeight(2n, 3n)).to.equal(true)
    expect(isEnoughWeight(2n * 10n ** 20n - 1n, 3n * 10n ** 20n)).to.equal(false)
    expect(isEnoughWeight(667n, 1000n)).to.equal(true)
    expect(isEnoughWeight(666n, 1000n)).to.equal(false)
  })

  it('list absent members, two bytes each, which are read back the same', () => {
    expect(packAbsent([])).to.equal('0x')
    expect(packAbsent([0, 1, 258, 65_535])).to.equal('0x000000010102ffff')
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(999), { maxLength: 50 }), (members) => {
        members.sort((a, b) => a - b)
        expect(unpackAbsent(packAbsent(members), 1000)).to.deep.equal(members)
      }),
      { seed: 1 },
    )
  })

  it('with a list that does not ascend, goes beyond the members, or is no list, are refused', () => {
    for (const members of [[1, 1], [2, 1], [-1], [65_536], [0.5]]) expect(() => packAbsent(members), `${members}`).to.throw(DaFormatError)
    for (const absent of ['0x00', '0x0001000', '0001', '0xzzzz', '', '0x00010001', '0x00020001', '0x000a']) {
      expect(() => unpackAbsent(absent, 10), absent).to.throw(DaFormatError)
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), fc.integer({ min: 1, max: 0x10000 }), (bytes, members) => {
        try {
          expect(packAbsent(unpackAbsent(hexlify(bytes), members))).to.equal(hexlify(bytes))
        } catch (error) {
          expect(error).to.be.instanceOf(DaFormatError)
        }
      }),
      { seed: 2 },
    )
  })

  it('take one form of an ECDSA signature, by that account of that digest', () => {
    const key = new SigningKey(id('key'))
    const signer = new Wallet(key).address
    const digest = certificateDigest(domain, 7, id('batch'))
    const signature = signDigest(key, digest)
    expect(isSignedBy(signer, digest, signature)).to.equal(true)
    expect(isSignedBy(signer.toLowerCase(), digest, signature)).to.equal(true)
    expect(isSignedBy(account, digest, signature)).to.equal(false)
    const both = Array.from({ length: 8 }, (_, epoch) => certificateDigest(domain, epoch, id('batch'))).map((of) => ({ of, signature: signDigest(key, of) }))
    expect(new Set(both.map(({ signature }) => signature[64]))).to.deep.equal(new Set([27, 28]))
    for (const { of, signature } of both) expect(isSignedBy(signer, of, signature)).to.equal(true)
    expect(isSignedBy(signer, id('other'), signature)).to.equal(false)
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const otherS = getBytes(`0x${(order - BigInt(hexlify(signature.subarray(32, 64)))).toString(16).padStart(64, '0')}`)
    const malformed: Uint8Array[] = [
      Uint8Array.of(...signature.subarray(0, 32), ...otherS, signature[64]! ^ 7), // 27 ↔ 28
      Uint8Array.of(...signature.subarray(0, 64), signature[64]! - 27),
      getBytes(key.sign(digest).compactSerialized),
      signature.subarray(0, 64),
      Uint8Array.of(...signature, 0),
      new Uint8Array(65).fill(27),
      new Uint8Array(0),
    ]
    for (const [i, bytes] of malformed.entries()) expect(isSignedBy(signer, digest, bytes), `${i}`).to.equal(false)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 60, maxLength: 70 }), (bytes) => {
        expect(isSignedBy(signer, digest, bytes)).to.equal(false)
      }),
      { seed: 3, numRuns: 30 },
    )
  })
})
