import { bn254 } from '@noble/curves/bn254.js'
import { expect } from 'chai'
import fc from 'fast-check'
import { network } from 'hardhat'
import { hashToG1 } from '../../../protocol/da/bls.ts'
import { roundMessage } from '../../../protocol/randomness/drand.ts'
import { hashToG1 as hashToCurve, mapToG1 } from '../../../protocol/randomness/hash-to-g1.ts'
import { BN254Harness__factory } from '../../../typechain-types/index.ts'
import published from '../../vectors/drand-evmnet.json' with { type: 'json' }

const { ethers, networkHelpers } = await network.create()
const deployed = async () => new BN254Harness__factory((await ethers.getSigners())[0]).deploy()

const G1 = bn254.G1.Point
const G2 = bn254.G2.Point
const P = bn254.fields.Fp.ORDER
const R = bn254.fields.Fr.ORDER
const scalar = fc.bigInt({ min: 1n, max: R - 1n })

const g1 = (point: InstanceType<typeof G1>) => (point.is0() ? { x: 0n, y: 0n } : point.toAffine())
const g2 = (point: InstanceType<typeof G2>) => {
  const { x, y } = point.toAffine()
  return { x: [x.c1, x.c0] as [bigint, bigint], y: [y.c1, y.c0] as [bigint, bigint] }
}
const times = (k: bigint) => g1(G1.BASE.multiply(k))
const timesG2 = (k: bigint) => g2(G2.BASE.multiply(k))
const pair = ({ x, y }: { x: bigint; y: bigint }) => [x, y]

/** A valid signature by `secret` over a fixed hash. */
function signed(secret: bigint) {
  const { x, y } = hashToG1(ethers.id('a digest'))
  const hash = G1.fromAffine({ x, y })
  return { signature: g1(hash.multiply(secret)), key: times(secret), keyG2: timesG2(secret), hash: g1(hash) }
}

describe('BN254', () => {
  it('adds points as another implementation does: equal, opposite and infinite ones too', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    const check = async (a: InstanceType<typeof G1>, b: InstanceType<typeof G1>) => {
      const [valid, sum] = await lib.add(g1(a), g1(b))
      expect(valid).to.equal(true)
      expect(sum).to.deep.equal(pair(g1(a.add(b))))
    }
    const point = G1.BASE.multiply(7n)
    for (const [a, b] of [
      [point, point],
      [point, point.negate()],
      [point, G1.ZERO],
      [G1.ZERO, G1.ZERO],
    ] as const)
      await check(a, b)
    await fc.assert(
      fc.asyncProperty(scalar, scalar, (a, b) => check(G1.BASE.multiply(a), G1.BASE.multiply(b))),
      { numRuns: 10, seed: 1 },
    )
  })

  it('adds no points that are not on the curve, or whose coordinates are not reduced', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    for (const bad of [
      { x: 1n, y: 1n },
      { x: 1n + P, y: 2n },
    ])
      for (const [a, b] of [
        [bad, times(1n)],
        [times(1n), bad],
      ] as const)
        expect((await lib.add(a, b))[0]).to.equal(false)
  })

  it('hashes digests to the curve with the smaller root as a hint', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    for (let i = 0; i < 10; i++) {
      const digest = ethers.id(`digest ${i}`)
      const { x, y, counter } = hashToG1(digest)
      const [valid, hash] = await lib.hashToG1(digest, counter, y)
      expect([valid, ...hash]).to.deep.equal([true, x, y])
      G1.fromAffine({ x, y }).assertValidity()
      expect((await lib.hashToG1(digest, counter, P - y))[0], 'the larger root').to.equal(false)
      expect((await lib.hashToG1(digest, counter, y + P))[0], 'a root that is not reduced').to.equal(false)
      expect((await lib.hashToG1(digest, counter, y + 1n))[0], 'no root').to.equal(false)
      expect((await lib.hashToG1(digest, counter + 1, y))[0], 'another counter').to.equal(false)
      expect((await lib.hashToG1(ethers.id('another'), counter, y))[0], 'another digest').to.equal(false)
    }
  })

  it('accepts the signatures that a pairing of another implementation does', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    const check = async (secret: bigint, signer: bigint) => {
      const { key, keyG2, hash } = signed(secret)
      const signature = G1.fromAffine(hash).multiply(signer)
      const { Fp12 } = bn254.fields
      const pairs = [
        { g1: signature, g2: G2.BASE.negate() },
        { g1: G1.fromAffine(hash), g2: G2.BASE.multiply(secret) },
      ]
      const expected = Fp12.eql(bn254.pairingBatch(pairs), Fp12.ONE)
      expect(expected).to.equal(secret === signer)
      expect(await lib.isSignature(g1(signature), key, keyG2, hash)).to.equal(expected)
    }
    await fc.assert(
      fc.asyncProperty(scalar, fc.option(scalar), (secret, other) => check(secret, other ?? secret)),
      { numRuns: 4, seed: 1 },
    )
  })

  it('refuses keys of different secrets in the two groups, and points of neither', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    const { signature, key, keyG2, hash } = signed(5n)
    expect(await lib.isSignature(signature, key, keyG2, hash)).to.equal(true)
    const negated = { x: key.x, y: P - key.y }
    const off = { x: 1n, y: 1n }
    const refused: [string, Parameters<typeof lib.isSignature>][] = [
      ['another key in G1', [signature, times(6n), keyG2, hash]],
      ['the opposite key in G1', [signature, negated, keyG2, hash]],
      ['no key in G1', [signature, { x: 0n, y: 0n }, keyG2, hash]],
      ['another key in G2', [signature, key, timesG2(6n), hash]],
      ['no signature', [{ x: 0n, y: 0n }, key, keyG2, hash]],
      ['another hash', [signature, key, keyG2, times(9n)]],
      ['a signature off the curve', [off, key, keyG2, hash]],
      ['a key off the curve', [signature, off, keyG2, hash]],
      ['a hash off the curve', [signature, key, keyG2, off]],
      ['a key off the twist', [signature, key, { x: keyG2.x, y: keyG2.x }, hash]],
      [
        'real and imaginary parts swapped',
        [signature, key, { x: [...keyG2.x].reverse() as [bigint, bigint], y: [...keyG2.y].reverse() as [bigint, bigint] }, hash],
      ],
      ['a key of the twist, outside of the group', [signature, key, g2(outsideOfGroup()), hash]],
    ]
    for (const [what, args] of refused) expect(await lib.isSignature(...args), what).to.equal(false)
  })

  it('refuses what only γ times a wrong key would balance', async () => {
    // Without γ depending on the signature, a forger would choose it so that the two checks cancel each other out.
    const lib = await networkHelpers.loadFixture(deployed)
    const { key, keyG2, hash } = signed(5n)
    // e(s + γ·k, -G2)·e(h + γ·G1, K) = 1 for the wrong pair (s', k') = (5h - d, k + d/γ) of any fixed γ; here for γ = 1.
    const d = G1.BASE.multiply(3n)
    const signature = G1.fromAffine(hash).multiply(5n).subtract(d)
    const wrong = G1.fromAffine(key).add(d)
    expect(await lib.isSignature(g1(signature), g1(wrong), keyG2, hash)).to.equal(false)
  })

  it('verifies the signature of a key that was checked, as a pairing of another implementation does', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    const { signature, keyG2, hash } = signed(5n)
    expect(await lib.isSignatureBy(signature, keyG2, hash)).to.equal(true)
    const off = { x: 1n, y: 1n }
    const refused: [string, Parameters<typeof lib.isSignatureBy>][] = [
      ['another key', [signature, timesG2(6n), hash]],
      ['another hash', [signature, keyG2, times(9n)]],
      ['no signature', [{ x: 0n, y: 0n }, keyG2, hash]],
      ['the opposite signature', [{ x: signature.x, y: P - signature.y }, keyG2, hash]],
      ['a signature off the curve', [off, keyG2, hash]],
      ['a signature that is not reduced', [{ x: signature.x + P, y: signature.y }, keyG2, hash]],
      ['a hash off the curve', [signature, keyG2, off]],
      ['a key off the twist', [signature, { x: keyG2.x, y: keyG2.x }, hash]],
      ['a key outside of the group', [signature, g2(outsideOfGroup()), hash]],
    ]
    for (const [what, args] of refused) expect(await lib.isSignatureBy(...args), what).to.equal(false)
  })

  it('knows a key from infinity, from what is not on the twist, and from what is not in the group', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    const { keyG2 } = signed(5n)
    expect(await lib.isKey(keyG2)).to.equal(true)
    expect(await lib.isKey({ x: [0n, 0n], y: [0n, 0n] })).to.equal(false)
    expect(await lib.isKey({ x: keyG2.x, y: keyG2.x })).to.equal(false)
    expect(await lib.isKey({ x: [keyG2.x[0] + P, keyG2.x[1]], y: keyG2.y })).to.equal(false)
    expect(await lib.isKey(g2(outsideOfGroup()))).to.equal(false)
  })

  it('maps elements of the field to the curve as others do, by any of the three candidates', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    const check = async (u: bigint) => {
      const { point, hints } = mapToG1(u)
      const [valid, mapped] = await lib.mapToG1(u, hints)
      expect(valid).to.equal(true)
      expect(mapped).to.deep.equal(pair(g1(point)))
      return hints.findLastIndex((hint) => hint !== 0n)
    }
    for (const { u, point } of published.maps) {
      await check(BigInt(u))
      expect(ethers.concat(pair(g1(mapToG1(BigInt(u)).point)).map((part) => ethers.toBeHex(part, 32)))).to.equal(point)
    }
    const candidates = new Set<number>()
    const element = fc.bigInt({ min: 0n, max: P - 1n })
    await fc.assert(
      fc.asyncProperty(element, async (u) => void candidates.add(await check(u))),
      { numRuns: 40, seed: 1, examples: [[0n], [1n], [P - 1n]] },
    )
    expect([...candidates].sort()).to.deep.equal([1, 2, 3])
  })

  it('maps by no hints but the right ones', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    // One that takes the third candidate needs them all.
    let u = 1n
    while (mapToG1(u).hints.includes(0n)) u++
    const { hints } = mapToG1(u)
    for (const [at, hint] of hints.entries())
      for (const wrong of [0n, hint + 1n, ...(at > 0 ? [hint + P] : [])]) {
        const changed = [...hints] as typeof hints
        changed[at] = wrong
        const [valid, point] = await lib.mapToG1(u, changed)
        // A root that is not reduced shows that there is none as well as one that is; as a coordinate it does not count.
        expect(valid, `hint ${at} is ${wrong}`).to.equal(wrong === hint + P && at < 3)
        if (valid) expect(point).to.deep.equal(pair(g1(mapToG1(u).point)))
      }
    // With an inverse of one's own, and the root to it, any point could be had: that of another message, which was signed.
    const { Fp } = bn254.fields
    const minus = Fp.sub(1n, Fp.mul(4n, Fp.sqr(u)))
    for (const root of [Fp.sqrt(Fp.neg(12n)), Fp.neg(Fp.sqrt(Fp.neg(12n)))]) {
      const wanted = G1.BASE.multiply(7n).toAffine()
      const own = Fp.div(Fp.sub(Fp.neg(Fp.inv(2n)), wanted.x), Fp.mul(Fp.mul(u, minus), root))
      expect((await lib.mapToG1(u, [own, wanted.y, 0n, 0n]))[0]).to.equal(false)
    }
    // Who says of a square that it is none would choose another point.
    while (mapToG1(u).hints[2] !== 0n) u++
    const [inverse, root] = mapToG1(u).hints
    expect((await lib.mapToG1(u, [inverse, root + P, root, root]))[0]).to.equal(false)
    expect([...(await lib.mapToG1(u, [inverse, P - root, 0n, 0n]))], 'the sign follows from u').to.deep.equal([true, pair(g1(mapToG1(u).point))])
  })

  it('hashes rounds of drand to the curve, whatever their number', async () => {
    const lib = await networkHelpers.loadFixture(deployed)
    const check = async (round: bigint) => {
      const { point, hints } = hashToCurve(roundMessage(round))
      const [valid, hash] = await lib.roundHash(round, hints)
      expect(valid).to.equal(true)
      expect(hash).to.deep.equal(pair(g1(point)))
      return ethers.concat(pair(g1(point)).map((part) => ethers.toBeHex(part, 32)))
    }
    for (const { round, hash } of published.rounds) if (hash) expect(await check(BigInt(round))).to.equal(hash)
    const [first, second] = hashToCurve(roundMessage(1n)).hints
    for (const hints of [
      [first, [0n, 0n, 0n, 0n]],
      [[0n, 0n, 0n, 0n], second],
    ] as [typeof first, typeof second][])
      expect((await lib.roundHash(1n, hints))[0], 'half of it is no hash').to.equal(false)
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), async (round) => void (await check(round))),
      { numRuns: 40, seed: 1, examples: [[0n], [2n ** 64n - 1n]] },
    )
  })
})

/** The twist has points of other orders: the first x that has a y there gives one. */
function outsideOfGroup(): InstanceType<typeof G2> {
  const { Fp2 } = bn254.fields
  for (let c0 = 1n; ; c0++) {
    const x = { c0, c1: 0n }
    const square = Fp2.add(Fp2.mul(Fp2.sqr(x), x), G2.CURVE().b)
    try {
      const point = G2.fromAffine({ x, y: Fp2.sqrt(square) })
      if (!point.isTorsionFree()) return point
    } catch {
      // no square
    }
  }
}
