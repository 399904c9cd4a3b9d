import { bn254 } from '@noble/curves/bn254.js'
import { expect } from 'chai'
import { getBytes, id, keccak256, toBeHex } from 'ethers'
import fc from 'fast-check'
import {
  addG1,
  addG2,
  aggregate,
  blsKeyFromBytes,
  decodeG1,
  decodeG2,
  deriveBlsKey,
  encodeG1,
  encodeG2,
  type G2Point,
  hashToG1,
  provePossession,
  verifySignature,
} from '../../../protocol/da/bls.ts'
import { possessionDigest } from '../../../protocol/da/certificate.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'

const { Fp, Fp2, Fr } = bn254.fields
const P = Fp.ORDER
const digest = id('digest')
const scalar = (value: bigint): Uint8Array => getBytes(toBeHex(value, 32))
const [alice, bob] = [blsKeyFromBytes(scalar(2n)), deriveBlsKey(getBytes(id('bob')))]

/** A point of the twist outside the subgroup that keys are in. */
function pointOfWrongOrder(): G2Point {
  for (let real = 1n; ; real++) {
    const x = Fp2.create({ c0: real, c1: 0n })
    const square = Fp2.add(Fp2.mul(Fp2.sqr(x), x), bn254.G2.Point.CURVE().b)
    try {
      const y = Fp2.sqrt(square)
      if (!bn254.G2.Point.fromAffine({ x, y }).isTorsionFree()) return { x: [x.c1, x.c0], y: [y.c1, y.c0] }
    } catch {
      // no root: no point with this x
    }
  }
}

describe('BLS keys', () => {
  it('are scalars of the curve, in both groups; in G2 the imaginary part comes first', () => {
    const one = blsKeyFromBytes(scalar(1n))
    expect(one.key).to.deep.equal({ x: 1n, y: 2n })
    // The generator of EIP-197.
    expect(one.keyG2.x).to.deep.equal([
      11559732032986387107991004021392285783925812861821192530917403151452391805634n,
      10857046999023057135944570762232829481370756359578518086990519993285655852781n,
    ])
    expect(one.keyG2.y).to.deep.equal([
      4082367875863433681332203403145435568316851327593401208105741076214120093531n,
      8495653923123431417604973247489272438418190587263600148770280649306958101930n,
    ])
    expect(() => blsKeyFromBytes(scalar(0n))).to.throw(DaFormatError, 'no scalar')
    expect(() => blsKeyFromBytes(scalar(Fr.ORDER))).to.throw(DaFormatError, 'no scalar')
    expect(blsKeyFromBytes(scalar(Fr.ORDER - 1n)).key).to.deep.equal({ x: 1n, y: P - 2n })
    expect(() => blsKeyFromBytes(new Uint8Array(31))).to.throw(DaFormatError, 'expected 32')
  })

  it('follow from an ECDSA key, always the same one', () => {
    const derived = deriveBlsKey(getBytes(id('operator')))
    expect(derived.key).to.deep.equal({
      x: 15694681643580781201668402190954290352985546576082357253100922474652192910790n,
      y: 14288602956359693015182901646380094254429845622780934545776532681300862989314n,
    })
    expect(derived.key).to.not.deep.equal(bob.key)
    expect(() => deriveBlsKey(new Uint8Array(33))).to.throw(DaFormatError, 'expected 32')
  })
})

describe('hashes to the curve', () => {
  it('are at the first counter that has a point, with the smaller of its roots', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const digest = `0x${Buffer.from(bytes).toString('hex')}`
        const { counter, x, y } = hashToG1(digest)
        const xAt = (counter: number) => BigInt(keccak256(digest + toBeHex(counter, 1).slice(2))) % P
        const square = (x: bigint) => (x ** 3n + 3n) % P
        expect(x).to.equal(xAt(counter))
        expect(y ** 2n % P).to.equal(square(x))
        expect(y <= P / 2n).to.equal(true)
        for (let before = 0; before < counter; before++) expect(Fp.pow(square(xAt(before)), (P - 1n) / 2n), 'has no root').to.equal(P - 1n)
      }),
      { seed: 1, numRuns: 25 },
    )
    expect(() => hashToG1('0x12')).to.throw(DaFormatError, 'expected 32 bytes in hex')
  })
})

describe('BLS signatures', () => {
  const signature = alice.sign(digest)

  it('are valid for their digest and key alone', () => {
    expect(verifySignature(digest, signature, alice.keyG2)).to.equal(true)
    expect(verifySignature(id('other'), signature, alice.keyG2)).to.equal(false)
    expect(verifySignature(digest, signature, bob.keyG2)).to.equal(false)
    expect(verifySignature(digest, { x: signature.x, y: P - signature.y }, alice.keyG2)).to.equal(false)
  })

  it('of several are one: of the sum of their keys', () => {
    const all = aggregate(digest, [signature, bob.sign(digest)], [alice.keyG2, bob.keyG2])
    expect(all.key).to.deep.equal(addG2([alice.keyG2, bob.keyG2]))
    expect(verifySignature(digest, all.signature, all.key)).to.equal(true)
    const { counter, y } = hashToG1(digest)
    expect([all.counter, all.y]).to.deep.equal([counter, y])
    const without = aggregate(digest, [signature], [alice.keyG2, bob.keyG2])
    expect(verifySignature(digest, without.signature, without.key)).to.equal(false)
    expect(addG1([alice.key, alice.key])).to.deep.equal(blsKeyFromBytes(scalar(4n)).key)
  })

  it('prove possession of a key for one account of one contract', () => {
    const domain = { chainId: 31337, contract: `0x${'11'.repeat(20)}` }
    const account = `0x${'22'.repeat(20)}`
    const { key, keyG2, proof, counter, y } = provePossession(bob, domain, account)
    expect([key, keyG2]).to.deep.equal([bob.key, bob.keyG2])
    const possession = possessionDigest(domain, account)
    expect(verifySignature(possession, proof, keyG2)).to.equal(true)
    const hint = hashToG1(possession)
    expect([counter, y]).to.deep.equal([hint.counter, hint.y])
  })

  it('that are no points, or are under keys that are none, are not valid', () => {
    const outside = pointOfWrongOrder()
    for (const bad of [
      { x: 0n, y: 0n },
      { x: 1n, y: 3n },
      { x: signature.x + P, y: signature.y },
      { x: signature.x - P, y: signature.y },
      { x: signature.x, y: signature.y + P },
    ])
      expect(verifySignature(digest, bad, alice.keyG2), `${bad.x}`).to.equal(false)
    expect(verifySignature(digest, signature, outside)).to.equal(false)
    expect(verifySignature(digest, signature, { x: [0n, 0n], y: [0n, 0n] })).to.equal(false)
    expect(() => verifySignature('digest', signature, alice.keyG2)).to.not.throw()
    // What is no point at all is a mistake of ours, not of whoever signed.
    expect(() => verifySignature(digest, undefined as never, alice.keyG2)).to.throw(TypeError)
  })
})

describe('points in bytes', () => {
  it('are read back the same: 32 bytes a coordinate, big endian', () => {
    expect(encodeG1({ x: 1n, y: 2n })).to.deep.equal(getBytes(`0x${'1'.padStart(64, '0')}${'2'.padStart(64, '0')}`))
    for (const { key, keyG2 } of [alice, bob]) {
      expect(decodeG1(encodeG1(key))).to.deep.equal(key)
      expect(decodeG2(encodeG2(keyG2))).to.deep.equal(keyG2)
    }
  })

  it('of wrong length, off the curve, not reduced, at infinity or outside the subgroup are refused', () => {
    expect(() => decodeG1(new Uint8Array(63))).to.throw(DaFormatError, 'expected 64')
    expect(() => decodeG2(new Uint8Array(64))).to.throw(DaFormatError, 'expected 128')
    expect(() => decodeG1(new Uint8Array(64))).to.throw(DaFormatError, 'no point of G1')
    expect(() => decodeG2(new Uint8Array(128))).to.throw(DaFormatError, 'no point of the twist')
    expect(() => decodeG1(encodeG1({ x: 1n, y: 3n }))).to.throw(DaFormatError, 'no point of G1')
    expect(() => decodeG1(encodeG1({ x: 1n + P, y: 2n }))).to.throw(DaFormatError, 'coordinates below p')
    const { x, y } = alice.keyG2
    expect(() => decodeG2(encodeG2({ x, y: [y[1], y[0]] }))).to.throw(DaFormatError, 'no point of the twist')
    expect(() => decodeG1(encodeG1({ x: 1n, y: 2n + P }))).to.throw(DaFormatError, 'coordinates below p')
    expect(() => decodeG2(encodeG2({ x: [x[0] + P, x[1]], y }))).to.throw(DaFormatError, 'coordinates below p')
    expect(() => decodeG2(encodeG2({ x, y: [y[0], y[1] + P] }))).to.throw(DaFormatError, 'coordinates below p')
    expect(() => decodeG2(encodeG2(pointOfWrongOrder()))).to.throw(DaFormatError, 'no point of G2')
    expect(() => addG1([alice.key, { x: alice.key.x, y: P - alice.key.y }])).to.throw(DaFormatError, 'infinity')
    expect(() => addG2([alice.keyG2, { x, y: [P - y[0], P - y[1]] }])).to.throw(DaFormatError, 'infinity')
    expect(() => addG2([{ x, y: [y[1], y[0]] }])).to.throw(DaFormatError, 'no point of the twist')
    expect(() => addG1([{ x: 1n, y: 3n }])).to.throw(DaFormatError, 'no point of G1')
  })

  it('of any bytes are a point or refused', () => {
    const decoders = [
      [decodeG1, encodeG1(alice.key)],
      [decodeG2, encodeG2(alice.keyG2)],
    ] as const
    for (const [decode, valid] of decoders) {
      const refused = (bytes: Uint8Array): void => {
        expect(() => decode(bytes)).to.throw(DaFormatError)
      }
      fc.assert(fc.property(fc.uint8Array({ maxLength: 140 }), refused), { seed: 1, numRuns: 50 })
      fc.assert(
        fc.property(fc.nat(valid.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => refused(valid.map((byte, i) => (i === at ? byte ^ flip : byte)))),
        { seed: 2, numRuns: 50 },
      )
    }
  })
})
