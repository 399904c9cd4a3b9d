import { expect } from 'chai'
import { concat, getBytes, hexlify, id, toBeHex } from 'ethers'
import fc from 'fast-check'
import { network } from 'hardhat'
import { domainSeparator } from '../../../protocol/compute/receipt.ts'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { type Blob, blobIdOf, checkBlob } from '../../../protocol/da/blob.ts'
import { blsKeyFromBytes, deriveBlsKey, encodeG1, encodeG2, hashToG1 } from '../../../protocol/da/bls.ts'
import { certificateDigest, packAbsent, possessionDigest } from '../../../protocol/da/certificate.ts'
import { CODES } from '../../../protocol/da/codes.ts'
import { seatsOf } from '../../../protocol/da/committee.ts'
import { PROMISE_TYPES, paymentDomain, priceOf, promiseDigest } from '../../../protocol/da/payment.ts'
import { roundSeed } from '../../../protocol/da/sampling.ts'
import { sharesOf } from '../../../protocol/da/shares.ts'
import { BlobPayments__factory, DaLibraries__factory, SamplingRewards__factory } from '../../../typechain-types/index.ts'
import { certificate, deployDa, STAKE, started } from '../../contracts/da/deploy.ts'
import { blobs } from './blobs.ts'

const { ethers, networkHelpers } = await network.create()
/** Of the groups of BN254. */
const ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617n

describe('data availability, the same in Solidity', () => {
  const deployed = async () => new DaLibraries__factory((await ethers.getSigners())[0]).deploy()

  it('ids of blobs, and which blobs there can be', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    const changes = fc.record(
      { log2K: fc.nat(16), log2T: fc.nat(18), rowSize: fc.nat(600).map((groups) => groups * 64), length: fc.nat(2 ** 24) },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(blobs, changes, async (blob, change) => {
        expect(await libraries.isValid(blob)).to.equal(true)
        expect(await libraries.idOf(blob)).to.equal(blobIdOf(blob))
        const changed = { ...blob, ...change }
        expect(await libraries.isValid(changed)).to.equal(isValid(changed))
      }),
      { seed: 1, numRuns: 40 },
    )
  })

  const isValid = (blob: Blob): boolean => {
    try {
      return checkBlob(blob) === blob
    } catch {
      return false
    }
  }

  it('batches: root and proofs', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    for (const count of [1, 2, 5]) {
      const ids = Array.from({ length: count }, (_, i) => id(`blob ${i}`))
      const { root, proof } = batchTree(ids)
      for (const [i, blobId] of ids.entries()) expect(await libraries.verifyBlob(root, blobId, i, proof(i))).to.equal(true)
    }
  })

  it('assignment: rows in the order of slots, and the seats of committees', async () => {
    const libraries = await networkHelpers.loadFixture(deployed)
    const [seed, blobId] = [id('seed'), id('blob')]
    const key = await libraries.keyOf(seed, blobId)
    const shares = sharesOf([3n, 1n, 1n, 5n])
    for (const { index, log2K, log2T } of CODES) {
      const assignment = createAssignment({ ...shares, seed }, blobId, log2K)
      for (const member of [1, 3]) {
        const rows = assignment.rowsOf(member)
        for (const i of [0, 1, rows.length - 1]) expect(await libraries.rowAt(key, log2T, shares.members[member]!.firstSlot[index]! + i)).to.equal(rows[i])
      }
    }
    const stakes = Array.from({ length: 500 }, (_, i) => BigInt(1 + i * i) * 10n ** 18n)
    const [total, seats] = [stakes.reduce((sum, stake) => sum + stake), seatsOf(stakes, seed)]
    let before = 0n
    for (const [signer, stake] of stakes.entries()) {
      if (signer % 7 === 0 || seats[signer]! > 3) expect(await libraries.seatsOf(seed, before, stake, total), `${signer}`).to.equal(seats[signer])
      before += stake
    }
  })

  it('BLS signatures, as the pairing precompile sees them', async () => {
    const digest = id('digest')
    const bls = deriveBlsKey(getBytes(id('operator')))
    const { x, y } = hashToG1(digest)
    const minusG2 = encodeG2(blsKeyFromBytes(getBytes(toBeHex(ORDER - 1n, 32))).keyG2)
    const pairs = (signature: Uint8Array) => hexlify(concat([signature, minusG2, encodeG1({ x, y }), encodeG2(bls.keyG2)]))
    const isOne = async (data: string) => BigInt(await ethers.provider.call({ to: '0x0000000000000000000000000000000000000008', data })) === 1n
    expect(await isOne(pairs(encodeG1(bls.sign(digest))))).to.equal(true)
    expect(await isOne(pairs(encodeG1(bls.sign(id('other')))))).to.equal(false)
  })

  const epochOfFour = async () => {
    const of = await deployDa(ethers)
    const stakes = [STAKE, 3n * STAKE, 10n * STAKE, STAKE + 1n]
    return { ...of, stakes, signers: await started(of, 4, stakes) }
  }

  it('digests that are signed, one signature for all that sign', async () => {
    const of = await networkHelpers.loadFixture(epochOfFour)
    const { da, domain, signers } = of
    expect(await da.digest(7, id('batch'))).to.equal(certificateDigest(domain, 7, id('batch')))
    const { address } = signers[0]!.wallet
    expect(await da.possessionDigest(address)).to.equal(possessionDigest(domain, address))
    await da.certify(...certificate(of, signers, id('batch'), { absent: [3] }))
    expect(await da.isAbsentList(id('batch'), packAbsent([3]))).to.equal(true)
  })

  it('shares of an epoch, and who holds which row', async () => {
    const { da, stakes } = await networkHelpers.loadFixture(epochOfFour)
    const [info, members] = [await da.epochInfo(1), await da.members(1, 0, 10)]
    const shares = sharesOf(stakes)
    expect([Number(info.codes), info.committee, info.totalWeight]).to.deep.equal([shares.codes, false, shares.totalWeight])
    expect(members.map(({ weight, firstSlot }) => ({ weight, firstSlot: firstSlot.map(Number) }))).to.deep.equal(shares.members)
    for (const { log2K, t } of CODES.slice(1, 3)) {
      const assignment = createAssignment({ ...shares, seed: info.seed }, id('blob'), log2K)
      for (let row = 0; row < t; row += t / 16)
        for (let member = 0; member < 4; member++)
          expect(await da.holds(1, member, id('blob'), log2K, row), `row ${row}`).to.equal(assignment.ownerOf(row) === member)
    }
  })

  it('promises of payment and prices', async () => {
    const of = await networkHelpers.loadFixture(epochOfFour)
    const payments = BlobPayments__factory.connect(of.at.BlobPayments!, of.governor)
    const payer = of.signers[0]!.wallet
    const tree = batchTree([id('blob')])
    await of.da.certify(...certificate(of, of.signers, tree.root))
    await payments.deposit(payer.address, { value: 10n })
    const terms = {
      payer: payer.address,
      disperser: await of.governor.getAddress(),
      blobId: id('blob'),
      fee: 7n,
      nonce: 2n ** 64n - 1n,
      deadline: (await networkHelpers.time.latest()) + 600,
    }
    const signature = await payer.signTypedData(paymentDomain(31337, of.at.BlobPayments!), PROMISE_TYPES, terms)
    expect(await payments.redeem.staticCall(tree.root, [{ terms, signature, index: 0, proof: [] }])).to.deep.equal([0n])
    expect(await payments.promiseHash(terms)).to.equal(promiseDigest(domainSeparator(paymentDomain(31337, of.at.BlobPayments!)), terms))
    const { blobPrice, pricePerKiB } = await payments.prices()
    for (const [log2K, rowSize] of [
      [6, 64],
      [8, 448],
      [12, 8192],
    ] as const)
      expect(await payments.priceOf(log2K, rowSize)).to.equal(priceOf({ blobPrice, pricePerKiB }, { k: 2 ** log2K, rowSize }))
  })

  it('seeds of rounds', async () => {
    const { at, governor } = await networkHelpers.loadFixture(epochOfFour)
    const rewards = SamplingRewards__factory.connect(at.SamplingRewards!, governor)
    const { number, seed } = await rewards.round()
    const { hash } = (await ethers.provider.getBlock(Number(number * (await rewards.roundBlocks()))))!
    expect(seed).to.equal(roundSeed(hash!, number))
  })
})
