import { expect } from 'chai'
import { network } from 'hardhat'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { aggregate, hashToG1 } from '../../../protocol/da/bls.ts'
import { certificateDigest } from '../../../protocol/da/certificate.ts'
import { bond, certificate, type Da, deployDa, registerMany, registration, STAKE, signatures, testSigner } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
/** A chain whose clock begins with its first block. */
const newborn = await network.create({ override: { initialDate: new Date(0) } })
const EPOCH = 120
const HOUR = 3600
const ROOT = ethers.id('a batch')
const P = 21888242871839275222246405745257275088696311157297823662689037894645226208583n
/** Of a secp256k1 signature: the other s is as valid on the curve. */
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** Six signers in epoch 1: weights 1, 1, 1, 1, 1, 4. Two thirds are 6 of 9. */
async function six() {
  const of = await deployDa(ethers)
  const signers = await registerMany(of, 6, { stakes: [STAKE, STAKE, STAKE, STAKE, STAKE, 4n * STAKE] })
  await of.da.advance(1000)
  return { ...of, signers }
}
const TOTAL = 9n * STAKE

/** Certifies by either kind of signature; both take the same arguments but for the last. */
const kinds = {
  'one BLS signature': {
    certify: (of: Six, root = ROOT, options = {}) => of.da.certify(...certificate(of, of.signers, root, options)),
    /** What those that are not in `absent` signed, sent with other arguments. */
    replay: (of: Six, signedFor: Partial<Certified>, sentAs: Partial<Certified>, domain = of.domain) => {
      // With the hint of what it is sent as, so that nothing but the signature is wrong.
      const [root, epoch, absent, { counter, y }] = certificate(of, of.signers, sentAs.root ?? ROOT, sentAs)
      const [, , , signed] = certificate({ ...of, domain }, of.signers, signedFor.root ?? ROOT, signedFor)
      return of.da.certify(root, epoch, absent, { ...signed, counter, y })
    },
    listing: (of: Six, signers: number[], absent: string, epoch = 1n) => {
      const [, , , signed] = certificate(of, of.signers, ROOT, { absent: others(signers) })
      return of.da.certify(ROOT, epoch, absent, signed)
    },
  },
  'a list of ECDSA signatures': {
    certify: (of: Six, root = ROOT, options = {}) => of.da.certifyBySignatures(...signatures(of, of.signers, root, options)),
    replay: (of: Six, signedFor: Partial<Certified>, sentAs: Partial<Certified>, domain = of.domain) => {
      const [root, epoch, absent] = signatures(of, of.signers, sentAs.root ?? ROOT, sentAs)
      const [, , , list] = signatures({ ...of, domain }, of.signers, signedFor.root ?? ROOT, signedFor)
      return of.da.certifyBySignatures(root, epoch, absent, list)
    },
    listing: (of: Six, signers: number[], absent: string, epoch = 1n) => {
      const [, , , list] = signatures(of, of.signers, ROOT, { absent: others(signers) })
      return of.da.certifyBySignatures(ROOT, epoch, absent, list)
    },
  },
} as const
const zero = { x: 0n, y: 0n }
/** What nobody signs by no key. */
const infinity = { signature: zero, key: { x: [0n, 0n] as [bigint, bigint], y: [0n, 0n] as [bigint, bigint] } }
function hintOf(domain: Da['domain']) {
  const { counter, y } = hashToG1(certificateDigest(domain, 0, ROOT))
  return { counter, y }
}
type Six = Awaited<ReturnType<typeof six>>
interface Certified {
  root: string
  epoch: number
  absent: number[]
}
const others = (members: number[]) => [0, 1, 2, 3, 4, 5].filter((member) => !members.includes(member))
const nextEpoch = async ({ da }: Da) => {
  await networkHelpers.time.increaseTo(await da.nextEpochAt())
  await da.advance(1000)
}

for (const [name, { certify, replay, listing }] of Object.entries(kinds))
  describe(`Data availability: certificates by ${name}`, () => {
    it('need two thirds of the weight, whoever they are of', async () => {
      const of = await networkHelpers.loadFixture(six)
      const { da } = of
      const cases: [number[], bigint][] = [
        [[], 9n],
        [[0, 4], 7n],
        [[1, 2, 3], 6n],
      ]
      for (const [absent, signed] of cases) {
        const root = ethers.id(`without ${absent}`)
        await expect(certify(of, root, { absent }))
          .to.emit(da, 'BatchCertified')
          .withArgs(root, 1n, signed * STAKE, TOTAL, signatures(of, of.signers, root, { absent })[2])
        const at = BigInt(await networkHelpers.time.latest())
        expect(await da.certificateOf(root)).to.deep.equal([1n, at])
      }
      const tooFew: [number[], bigint][] = [
        [[5], 5n],
        [[0, 1, 2, 3], 5n],
        [[0, 1, 2, 3, 5], 1n],
      ]
      for (const [absent, signed] of tooFew)
        await expect(certify(of, ROOT, { absent }))
          .to.be.revertedWithCustomError(da, 'NotEnoughWeight')
          .withArgs(signed * STAKE, TOTAL)
      expect(await da.certificateOf(ROOT)).to.deep.equal([0n, 0n])
    })

    it('are made once for a batch', async () => {
      const of = await networkHelpers.loadFixture(six)
      await certify(of)
      for (const again of Object.values(kinds)) await expect(again.certify(of)).to.be.revertedWithCustomError(of.da, 'AlreadyCertified').withArgs(ROOT)
    })

    it('list who is absent in ascending order, each once, each a member', async () => {
      const of = await networkHelpers.loadFixture(six)
      const { da } = of
      const malformed: [string, number[], string][] = [
        ['descending', [0, 2, 3, 4, 5], '0x00010000'],
        ['twice', [1, 2, 3, 4, 5], '0x00000000'],
        ['no member', [1, 2, 3, 4, 5], '0x00000006'],
        ['only no member', [0, 1, 2, 3, 4, 5], '0x0006'],
        ['half an index', [1, 2, 3, 4, 5], '0x000000'],
        ['half an index alone', [0, 1, 2, 3, 4, 5], '0x00'],
      ]
      for (const [what, signers, absent] of malformed) await expect(listing(of, signers, absent), what).to.be.revertedWithCustomError(da, 'InvalidAbsent')
      await listing(of, [1, 3, 4, 5], '0x00000002')
      expect(await da.isAbsentList(ROOT, '0x00000002')).to.equal(true)
      for (const other of ['0x', '0x0000', '0x00000003']) expect(await da.isAbsentList(ROOT, other)).to.equal(false)
      expect(await da.isAbsentList(ethers.id('uncertified'), '0x')).to.equal(false)
    })

    it('are for one chain, contract, epoch, batch and set of signers', async () => {
      const of = await networkHelpers.loadFixture(six)
      const { da, domain } = of
      await nextEpoch(of)
      const refused: [string, Partial<Certified>, Partial<Certified>, typeof domain?][] = [
        ['another batch', { epoch: 2 }, { epoch: 2, root: ethers.id('another') }],
        ['a later epoch', { epoch: 1 }, { epoch: 2 }],
        ['an earlier epoch', { epoch: 2 }, { epoch: 1 }],
        ['another chain', { epoch: 2 }, { epoch: 2 }, { ...domain, chainId: 1n }],
        ['another contract', { epoch: 2 }, { epoch: 2 }, { ...domain, contract: ethers.ZeroAddress }],
        ['more signers than signed', { epoch: 2, absent: [0] }, { epoch: 2 }],
        ['fewer signers than signed', { epoch: 2 }, { epoch: 2, absent: [0] }],
        ['others than signed', { epoch: 2, absent: [0] }, { epoch: 2, absent: [1] }],
      ]
      const error = name.startsWith('one') ? 'InvalidSignature' : 'WrongSigner'
      for (const [what, signedFor, sentAs, signedIn] of refused)
        await expect(replay(of, signedFor, sentAs, signedIn), what).to.be.revertedWithCustomError(da, error)
      await replay(of, { epoch: 2 }, { epoch: 2 })
    })

    it('are made in the current epoch and the one before, of which each lasts four lengths', async () => {
      const of = await networkHelpers.loadFixture(six)
      const { da } = of
      const startedAt = Number((await da.epochInfo(1)).startedAt)
      const closed = async (epoch: number) =>
        expect(certify(of, ROOT, { epoch }))
          .to.be.revertedWithCustomError(da, 'EpochClosed')
          .withArgs(epoch)
      await closed(0)
      await closed(2)
      await expect(listing(of, [0, 1, 2, 3, 4, 5], '0x', 2n ** 64n - 1n)).to.be.revertedWithCustomError(da, 'EpochClosed')
      await networkHelpers.time.setNextBlockTimestamp(startedAt + 4 * EPOCH - 1)
      await certify(of, ethers.id('the last of epoch 1'))
      await networkHelpers.time.setNextBlockTimestamp(startedAt + 4 * EPOCH)
      await closed(1)

      await da.advance(1000)
      await closed(1)
      const second = Number((await da.epochInfo(2)).startedAt)
      await networkHelpers.time.increaseTo(second + EPOCH)
      await da.advance(1000)
      await networkHelpers.time.setNextBlockTimestamp(second + 4 * EPOCH - 1)
      await certify(of, ethers.id('the last of epoch 2'), { epoch: 2 })
      await networkHelpers.time.setNextBlockTimestamp(second + 4 * EPOCH)
      await closed(2)
      await certify(of, ethers.id('one of epoch 3'), { epoch: 3 })
      await da.advance(1000)
      await certify(of, ethers.id('the last of epoch 3'), { epoch: 3 })
      await closed(2)
    })

    it('are not made in an epoch before those, even within its four lengths', async () => {
      const of = await networkHelpers.loadFixture(six)
      for (const _ of [2, 3]) await nextEpoch(of)
      expect(await networkHelpers.time.latest()).to.be.lessThan(Number((await of.da.epochInfo(1)).startedAt) + 3 * EPOCH)
      await expect(certify(of)).to.be.revertedWithCustomError(of.da, 'EpochClosed').withArgs(1n)
    })

    it('are not made before the first epoch, where nobody is two thirds of nobody, on a chain whose clock has just begun too', async () => {
      const young = await deployDa(newborn.ethers)
      const at = (await newborn.ethers.provider.getBlock('latest'))!.timestamp
      expect(at).to.be.lessThan(4 * EPOCH)
      const certificates = {
        certify: () => young.da.certify(ROOT, 0, '0x', { ...infinity, ...hintOf(young.domain) }),
        certifyBySignatures: () => young.da.certifyBySignatures(ROOT, 0, '0x', '0x'),
      }
      await expect(name.startsWith('one') ? certificates.certify() : certificates.certifyBySignatures())
        .to.be.revertedWithCustomError(young.da, 'EpochClosed')
        .withArgs(0n)
    })

    it('count signers as they were when the epoch was built, whatever happened since', async () => {
      const of = await networkHelpers.loadFixture(six)
      const { da, bonds, challenges, signers } = of
      const large = signers[5]!
      const bondId = await da.bondIdOf(large.wallet)
      await da.connect(large.wallet).resign()
      await bonds.connect(large.wallet).unbond(bondId, 4n * STAKE)
      await da.setMinStake(100n * STAKE)
      const seventh = testSigner(6, ethers)
      await networkHelpers.setBalance(seventh.wallet.address, STAKE)
      await bond(of, seventh, 100n * STAKE)
      await da.connect(seventh.wallet).register(...registration(of, seventh))
      const now = Number((await da.epochInfo(1)).startedAt) + 4 * EPOCH - 1
      await networkHelpers.time.setNextBlockTimestamp(now)
      await expect(certify(of, ROOT, { absent: [0, 1, 2] }))
        .to.emit(da, 'BatchCertified')
        .withArgs(ROOT, 1n, 6n * STAKE, TOTAL, '0x000000010002')

      // Until nobody can challenge the certificate any more, its stake can't leave and can be taken.
      const retention = HOUR + 300
      await networkHelpers.time.setNextBlockTimestamp(now + retention)
      await expect(bonds.connect(large.wallet).withdraw(bondId, large.wallet)).to.be.revertedWithCustomError(bonds, 'NotDue')
      await bonds.connect(challenges).slash(bondId, 4n * STAKE, challenges)
      expect(await bonds.compensation(challenges)).to.equal(4n * STAKE)
    })
  })

describe('Data availability: certificates', () => {
  it('sign a digest that binds everything, the same for both kinds', async () => {
    const { da, domain } = await networkHelpers.loadFixture(six)
    expect(await da.digest(7, ROOT)).to.equal(certificateDigest(domain, 7, ROOT))
  })

  it('refuse hints that don’t lead to the digest’s point', async () => {
    const of = await networkHelpers.loadFixture(six)
    const [root, epoch, absent, signed] = certificate(of, of.signers, ROOT)
    for (const hint of [{ counter: signed.counter + 1 }, { y: P - signed.y }, { y: signed.y + P }, { y: 0n }])
      await expect(of.da.certify(root, epoch, absent, { ...signed, ...hint })).to.be.revertedWithCustomError(of.da, 'InvalidHint')
  })

  it('refuse keys that are not those of the signers, and points that are none', async () => {
    const of = await networkHelpers.loadFixture(six)
    const { da, signers } = of
    const [root, epoch, absent, signed] = certificate(of, signers, ROOT)
    const digest = certificateDigest(of.domain, 1, ROOT)
    const forger = testSigner(99, ethers).bls
    const alone = aggregate(digest, [forger.sign(digest)], [forger.keyG2])
    const refused: [string, typeof signed][] = [
      ['the signature and key of another', alone],
      ['the signature of another', { ...signed, signature: alone.signature }],
      ['the key of another', { ...signed, key: alone.key }],
      ['no signature', { ...signed, signature: zero }],
      ['no signature by no key', { ...signed, ...infinity }],
      ['a signature off the curve', { ...signed, signature: { x: 1n, y: 1n } }],
      ['the opposite signature', { ...signed, signature: { x: signed.signature.x, y: P - signed.signature.y } }],
      ['a key off the twist', { ...signed, key: { x: signed.key.x, y: signed.key.x } }],
    ]
    for (const [what, other] of refused)
      await expect(da.certify(root, epoch, absent, other, { gasLimit: 16_000_000 }), what).to.be.revertedWithCustomError(da, 'InvalidSignature')
    await da.certify(root, epoch, absent, signed)
  })

  it('refuse lists that are too short or too long, out of order, or of another form', async () => {
    const of = await networkHelpers.loadFixture(six)
    const { da, signers } = of
    const [root, epoch, absent, list] = signatures(of, signers, ROOT)
    const of65 = (i: number) => ethers.dataSlice(list, 65 * i, 65 * (i + 1))
    const wrong = (bytes: string) => expect(da.certifyBySignatures(root, epoch, absent, bytes))
    for (const bytes of [
      '0x',
      ethers.dataSlice(list, 0, 65 * 5),
      ethers.dataSlice(list, 0, 65 * 6 - 1),
      ethers.concat([list, '0x00']),
      ethers.concat([list, of65(0)]),
    ])
      await wrong(bytes).to.be.revertedWithCustomError(da, 'InvalidSignature')
    const swapped = ethers.concat([of65(1), of65(0), ...[2, 3, 4, 5].map(of65)])
    await wrong(swapped).to.be.revertedWithCustomError(da, 'WrongSigner').withArgs(0, signers[1]!.wallet.address)
    const repeated = ethers.concat([of65(0), of65(0), ...[2, 3, 4, 5].map(of65)])
    await wrong(repeated).to.be.revertedWithCustomError(da, 'WrongSigner').withArgs(1, signers[0]!.wallet.address)
    const { r, s, yParity } = ethers.Signature.from(of65(0))
    const high = ethers.concat([r, ethers.toBeHex(N - BigInt(s), 32), ethers.toBeHex(28 - yParity, 1)])
    await wrong(ethers.concat([high, ethers.dataSlice(list, 65)]))
      .to.be.revertedWithCustomError(da, 'WrongSigner')
      .withArgs(0, ethers.ZeroAddress)
    await da.certifyBySignatures(root, epoch, absent, list)
  })

  it('say which blobs are available', async () => {
    const of = await networkHelpers.loadFixture(six)
    const { da, signers } = of
    const blobs = [0, 1, 2].map((i) => ethers.id(`blob ${i}`))
    const batch = batchTree(blobs)
    expect(await da.isAvailable(blobs[1]!, batch.root, 1, batch.proof(1))).to.equal(false)
    await da.certify(...certificate(of, signers, batch.root))
    for (const i of [0, 1, 2]) expect(await da.isAvailable(blobs[i]!, batch.root, i, batch.proof(i))).to.equal(true)
    expect(await da.isAvailable(blobs[1]!, batch.root, 0, batch.proof(1)), 'another index').to.equal(false)
    expect(await da.isAvailable(blobs[1]!, batch.root, 5, batch.proof(1)), 'an index beyond the tree').to.equal(false)
    expect(await da.isAvailable(blobs[1]!, batch.root, 1, batch.proof(0)), 'another proof').to.equal(false)
    expect(await da.isAvailable(blobs[1]!, ethers.id('uncertified'), 1, batch.proof(1)), 'another batch').to.equal(false)
    expect(await da.isAvailable(batch.root, batch.root, 0, []), 'the root itself').to.equal(false)
  })
})
