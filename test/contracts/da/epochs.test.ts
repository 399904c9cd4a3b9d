import { expect } from 'chai'
import { network } from 'hardhat'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { addG1 } from '../../../protocol/da/bls.ts'
import { epochSharesOf } from '../../../protocol/da/committee.ts'
import { sharesOf } from '../../../protocol/da/shares.ts'
import { bond, certificate, DAY, type Da, deployDa, erc7201, registerMany, STAKE, signatures, type TestSigner } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
const EPOCH = 120
const MIN_SIGNERS = 4
const { AbiCoder, concat, id, keccak256, toBeHex, ZeroHash } = ethers

async function registered() {
  const of = await deployDa(ethers)
  return { ...of, signers: await registerMany(of, 5, { stakes: [STAKE, 2n * STAKE, 3n * STAKE, STAKE, 5n * STAKE] }) }
}

async function one() {
  const of = await registered()
  await of.da.advance(1000)
  return of
}

/** Two chunks of members. */
async function many() {
  const of = await deployDa(ethers)
  return { ...of, signers: await registerMany(of, 130) }
}

/** The epoch as the protocol has it, from what the contract says. */
async function epochOf({ da }: Da, epoch = 1) {
  const info = await da.epochInfo(epoch)
  const members = await da.members(epoch, 0, 10_000)
  return {
    seed: info.seed,
    totalWeight: info.totalWeight,
    codes: Number(info.codes),
    committee: info.committee,
    members: members.map(({ id, weight, firstSlot }) => ({ id: Number(id), weight, firstSlot: firstSlot.map(Number) })),
  }
}

/** That weights, shares, codes and keys of an epoch without a committee belong together, and are those of `members`: id and weight of each. */
async function expectMembers({ da, signers }: Da & { signers: TestSigner[] }, epoch: number, members: [number, bigint][]) {
  const info = await da.epochInfo(epoch)
  const shares = sharesOf(members.map(([, weight]) => weight))
  const keys = members.map(([id]) => signers[id - 1]!.bls.key)
  const { x, y } = addG1(keys)
  expect([info.totalWeight, Number(info.codes), info.aggregateKey]).to.deep.equal([members.reduce((sum, [, weight]) => sum + weight, 0n), shares.codes, [x, y]])
  expect(await da.members(epoch, 0, 1000)).to.deep.equal(
    members.map(([id], i) => {
      const { weight, firstSlot } = shares.members[i]!
      return [BigInt(id), signers[id - 1]!.wallet.address, weight, [keys[i]!.x, keys[i]!.y], firstSlot.map(BigInt)]
    }),
  )
}

const passEpoch = () => networkHelpers.time.increase(EPOCH)
const unbond = async ({ bonds, da }: Da, { wallet }: TestSigner, amount: bigint) => bonds.connect(wallet).unbond(await da.bondIdOf(wallet.address), amount)

describe('Data availability: epochs', () => {
  it('begin with the active signers, their keys and their stakes, and a seed that is drawn for them', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, signers, randomness } = of
    expect([await da.currentEpoch(), await da.nextEpochAt()]).to.deep.equal([0n, 0n])
    await networkHelpers.setPrevRandao(77n)
    const now = (await networkHelpers.time.latest()) + 10
    await networkHelpers.time.setNextBlockTimestamp(now)
    const seed = keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256', 'bytes32'], [ZeroHash, 77n, ZeroHash]))
    const total = 12n * STAKE
    await expect(da.advance(1000)).to.emit(da, 'EpochStarted').withArgs(1n, seed, 5n, total, 0b11110n)
    expect(await randomness.seedOf(da)).to.equal(seed)
    expect([await da.currentEpoch(), await da.nextEpochAt()]).to.deep.equal([1n, BigInt(now + EPOCH)])

    const weights = [1n, 2n, 3n, 1n, 5n].map((n) => n * STAKE)
    const shares = sharesOf(weights)
    const aggregate = addG1(signers.map(({ bls }) => bls.key))
    expect(await da.epochInfo(1)).to.deep.equal([BigInt(now), 5n, BigInt(shares.codes), false, total, seed, [aggregate.x, aggregate.y]])
    const members = await da.members(1, 0, 100)
    expect(members).to.deep.equal(
      signers.map(({ wallet, bls }, i) => {
        const { weight, firstSlot } = shares.members[i]!
        return [BigInt(i + 1), wallet.address, weight, [bls.key.x, bls.key.y], firstSlot.map(BigInt)]
      }),
    )
    expect(await da.members(1, 3, 100)).to.deep.equal(members.slice(3))
    expect(await da.members(1, 1, 2)).to.deep.equal(members.slice(1, 3))
    expect(await da.members(1, 5, 2)).to.deep.equal([])
    expect(await da.members(1, 2n ** 255n, 2n ** 255n)).to.deep.equal([])
  })

  it('have seeds that follow from certificates made before the epoch before them began, and from none that could be chosen by the seed (I67)', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, signers } = of
    const seeds = async (certify: () => Promise<unknown>) => {
      const before = await networkHelpers.takeSnapshot()
      await certify()
      const drawn: string[] = []
      for (const epoch of [2, 3]) {
        await passEpoch()
        await networkHelpers.setPrevRandao(BigInt(70 + epoch))
        await da.advance(1000)
        drawn.push((await da.epochInfo(epoch)).seed)
      }
      await before.restore()
      return drawn
    }
    const all: string[][] = []
    for (const certify of [
      async () => {},
      () => da.certify(...certificate(of, signers, id('a'))),
      () => da.certify(...certificate(of, signers, id('b'))),
      () => da.certify(...certificate(of, signers, id('a'), { absent: [0] })),
      () => da.certifyBySignatures(...signatures(of, signers, id('a'))),
    ])
      all.push(await seeds(certify))
    const [next, afterNext] = [0, 1].map((i) => new Set(all.map((drawn) => drawn[i])).size)
    expect([next, afterNext]).to.deep.equal([1, 5])
  })

  it('follow each other when they are due, and not before', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da } = of
    const dueAt = await da.nextEpochAt()
    await networkHelpers.time.setNextBlockTimestamp(dueAt - 1n)
    await expect(da.advance(1000)).to.be.revertedWithCustomError(da, 'EpochNotDue').withArgs(dueAt)
    await networkHelpers.time.setNextBlockTimestamp(dueAt)
    await da.advance(1000)
    expect(await da.currentEpoch()).to.equal(2n)
  })

  it('need a least number of signers', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, signers } = of
    for (const { wallet } of signers.slice(0, 2)) await da.connect(wallet).resign()
    await expect(da.advance(1000)).to.be.revertedWithCustomError(da, 'TooFewSigners').withArgs(3, MIN_SIGNERS)
    await da.setMinSigners(3)
    await da.advance(1000)
    expect((await da.epochInfo(1)).members).to.equal(3n)
  })

  it('are built in steps of any size, by anybody, with the same members', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, stranger } = of
    const before = await networkHelpers.takeSnapshot()
    await da.advance(1000)
    const members = await da.members(1, 0, 10)
    await before.restore()
    // Five stakes one by one; the fifth completes the pass, and the sixth step writes all.
    for (let step = 1; step <= 5; step++) {
      expect(await da.connect(stranger).advance.staticCall(1)).to.equal(false)
      await da.connect(stranger).advance(1)
      expect(await da.currentEpoch()).to.equal(0n)
    }
    await da.advance(0)
    expect(await da.currentEpoch()).to.equal(0n)
    expect(await da.connect(stranger).advance.staticCall(1)).to.equal(true)
    await da.connect(stranger).advance(1)
    expect(await da.currentEpoch()).to.equal(1n)
    expect(await da.members(1, 0, 10)).to.deep.equal(members)
  })

  it('drop who has too little stake when they are built', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, bonds, challenges, signers } = of
    await unbond(of, signers[0]!, 1n)
    await bonds.connect(challenges).slash(await da.bondIdOf(signers[2]!.wallet.address), STAKE, challenges)
    await bond(of, signers[4]!, STAKE)
    await passEpoch()
    await expect(da.advance(1000)).to.emit(da, 'SignerLeft').withArgs(1n)
    // The last one took the place of the first, and was read there.
    await expectMembers(of, 2, [
      [5, 6n * STAKE],
      [2, 2n * STAKE],
      [3, 2n * STAKE],
      [4, STAKE],
    ])
    expect(await da.activeSigners()).to.equal(4n)
    expect(await da.members(1, 0, 10), 'the epoch before stays as it was').to.have.length(5)
  })

  it('do not begin when too few are left of those that were active; who has the stake may join at once', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, signers } = of
    for (const signer of [signers[0]!, signers[3]!]) await unbond(of, signer, 1n)
    expect(await da.advance.staticCall(1000)).to.equal(false)
    await da.advance(1000)
    expect([await da.currentEpoch(), await da.activeSigners()]).to.deep.equal([0n, 3n])
    await expect(da.advance(1000)).to.be.revertedWithCustomError(da, 'TooFewSigners').withArgs(3, MIN_SIGNERS)
    await bond(of, signers[0]!, STAKE)
    await da.connect(signers[0]!.wallet).join()
    await da.advance(1000)
    expect((await da.epochInfo(1)).members).to.equal(4n)
  })

  it('start over when they are not complete within a day, as stakes may have left that were read', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, signers } = of
    const begun = (await networkHelpers.time.latest()) + 10
    await networkHelpers.time.setNextBlockTimestamp(begun)
    await da.advance(5)
    await unbond(of, signers[4]!, STAKE)
    const before = await networkHelpers.takeSnapshot()
    await networkHelpers.time.setNextBlockTimestamp(begun + DAY - 1)
    await da.advance(1)
    expect((await da.members(1, 4, 1))[0]!.weight, 'within a day: as it was read').to.equal(5n * STAKE)
    await before.restore()

    await networkHelpers.time.setNextBlockTimestamp(begun + DAY)
    await da.advance(1)
    expect(await da.currentEpoch()).to.equal(0n)
    // And once more, with one of five read.
    await networkHelpers.time.setNextBlockTimestamp(begun + 2 * DAY)
    await da.advance(1000)
    await expectMembers(of, 1, [
      [1, STAKE],
      [2, 2n * STAKE],
      [3, 3n * STAKE],
      [4, STAKE],
      [5, 4n * STAKE],
    ])
  })

  it('start over where too few are left too, and let go of what was being built', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, signers } = of
    await da.setMinSigners(5)
    await unbond(of, signers[0]!, 1n)
    await da.advance(1)
    expect(await da.activeSigners()).to.equal(4n)
    await networkHelpers.time.increase(DAY)
    await da.advance(1000)
    expect(await da.currentEpoch()).to.equal(0n)
    await bond(of, signers[0]!, STAKE)
    await da.connect(signers[0]!.wallet).join()
    await da.advance(1000)
    expect(await da.currentEpoch()).to.equal(1n)
  })

  it('do not begin on a block without randomness', async () => {
    const of = await networkHelpers.loadFixture(registered)
    await networkHelpers.setPrevRandao(1n)
    await expect(of.da.advance(1000)).to.be.revertedWithCustomError(of.randomness, 'ConstantRandomness').withArgs(1n)
  })

  it('say who holds which row, as the protocol does', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da } = of
    const epoch = await epochOf(of)
    for (const log2K of [8, 14]) {
      const blobId = id(`blob ${log2K}`)
      const assignment = createAssignment(epoch, blobId, log2K)
      const rows = 2 ** (log2K + 2)
      for (let i = 0; i < 12; i++) {
        const row = i === 0 ? 0 : i === 1 ? rows - 1 : (i * 2654435761) % rows
        const owner = assignment.ownerOf(row)
        const holders = await Promise.all(epoch.members.map((_, member) => da.holds(1, member, blobId, log2K, row)))
        expect(holders).to.deep.equal(epoch.members.map((_, member) => member === owner))
      }
      const [last] = assignment.rowsOf(4).slice(-1)
      expect(await da.holds(1, 4, blobId, log2K, last!), 'its last row').to.equal(true)
      expect(await da.holds(1, 5, blobId, log2K, last!), 'no such member').to.equal(false)
      expect(await da.holds(1, 0, blobId, log2K, rows), 'no such row').to.equal(false)
    }
    for (const log2K of [0, 5, 6, 7, 16, 255])
      await expect(da.holds(1, 0, id('blob'), log2K, 0))
        .to.be.revertedWithCustomError(da, 'InvalidCode')
        .withArgs(log2K)
  })

  it('are unknown before they begin', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da } = of
    await passEpoch()
    await da.advance(5)
    for (const epoch of [0, 2])
      for (const asked of [da.members(epoch, 0, 1), da.holds(epoch, 0, id('blob'), 8, 0)])
        await expect(asked).to.be.revertedWithCustomError(da, 'UnknownEpoch').withArgs(epoch)
    expect((await da.epochInfo(2)).startedAt).to.equal(0n)
  })

  it('of many signers are written in chunks, and absent members of each are found', async () => {
    const of = await networkHelpers.loadFixture(many)
    const { da, signers } = of
    // Twice, as if the rest had taken longer than a day: nothing is counted twice.
    for (const _ of [1, 2]) {
      await networkHelpers.time.increase(DAY)
      await da.advance(131)
      expect(await da.currentEpoch(), '130 are read, and 128 written').to.equal(0n)
    }
    await da.advance(1)
    await expectMembers(
      of,
      1,
      signers.map((_, i) => [i + 1, STAKE]),
    )
    const { codes, committee, members } = await epochOf(of)
    expect([codes, committee, members.length]).to.deep.equal([0b10000, false, 130])
    await da.certify(...certificate(of, signers, id('batch'), { absent: [3, 127, 128, 129] }))
    await da.certifyBySignatures(...signatures(of, signers, id('other'), { absent: [3, 127, 128, 129] }))
    await expect(da.holds(1, 0, id('blob'), 12, 0))
      .to.be.revertedWithCustomError(da, 'InvalidCode')
      .withArgs(12)
  })

  it('have a committee that is drawn by stake where no code gives all their least rows', async () => {
    const of = await networkHelpers.loadFixture(many)
    const { da, signers } = of
    // Three large ones, and many that need their least rows.
    for (const signer of signers.slice(0, 3)) await bond(of, signer, 9_999n * STAKE)
    const stakes = signers.map((_, i) => (i < 3 ? 10_000n * STAKE : STAKE))
    await da.advance(131)
    await da.advance(1)
    expect(await da.currentEpoch(), 'all are written, and share no code').to.equal(0n)
    const smaller = await of.randomness.seedOf(da)
    await da.advance(129)
    await da.advance(1)
    expect(await da.currentEpoch(), 'all are drawn').to.equal(0n)
    await da.advance(1)
    expect((await da.epochInfo(1)).seed, 'not the one that was drawn before').not.to.equal(smaller)

    const epoch = await epochOf(of)
    const expected = epochSharesOf(stakes, epoch.seed)
    expect(epoch).to.deep.equal({
      seed: epoch.seed,
      totalWeight: 442n,
      codes: expected.codes,
      committee: true,
      members: expected.members.map(({ weight, firstSlot }, i) => ({ id: expected.signers[i]! + 1, weight, firstSlot })),
    })
    const { aggregateKey } = await da.epochInfo(1)
    const seated = expected.signers.map((signer) => signers[signer]!)
    expect(aggregateKey).to.deep.equal(Object.values(addG1(seated.map(({ bls }) => bls.key))))

    const blobId = id('blob')
    const assignment = createAssignment(epoch, blobId, 14)
    for (const [member] of epoch.members.entries()) {
      const [row] = assignment.rowsOf(member).slice(-1)
      for (const [other] of epoch.members.entries()) expect(await da.holds(1, other, blobId, 14, row!)).to.equal(other === member)
    }
    await da.certify(...certificate(of, seated, id('batch')))
    await expect(da.certify(...certificate(of, seated, id('other'), { absent: [0, 1] })))
      .to.be.revertedWithCustomError(da, 'NotEnoughWeight')
      .withArgs(442n - epoch.members[0]!.weight - epoch.members[1]!.weight, 442n)
  })

  it('have a committee where there are more signers than seats', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, at, signers } = of
    // Registering that many takes long: the five are active many times instead.
    const count = 443
    const list = BigInt(erc7201('perigee.storage.Signers')) + 1n
    const idAt = (i: number) => (i % 5) + 1
    await networkHelpers.setStorageAt(at.DataAvailability!, list, count)
    for (let word = 0; word < count / 8; word++) {
      const ids = Array.from({ length: 8 }, (_, i) => idAt(8 * word + i)).reverse()
      await networkHelpers.setStorageAt(
        at.DataAvailability!,
        BigInt(keccak256(toBeHex(list, 32))) + BigInt(word),
        BigInt(concat(ids.map((id) => toBeHex(id, 4)))),
      )
    }
    await da.advance(1000)
    expect(await of.randomness.seedOf(da), 'all are read, and no seed is drawn in the same block').to.equal(ZeroHash)
    await da.advance(0)
    for (let step = 0; step < 10 && (await da.currentEpoch()) === 0n; step++) await da.advance(200)
    const epoch = await epochOf(of)
    const stakes = Array.from({ length: count }, (_, i) => [1n, 2n, 3n, 1n, 5n][i % 5]! * STAKE)
    const expected = epochSharesOf(stakes, epoch.seed)
    expect(epoch).to.deep.equal({
      seed: epoch.seed,
      totalWeight: 442n,
      codes: expected.codes,
      committee: true,
      members: expected.members.map(({ weight, firstSlot }, i) => ({ id: idAt(expected.signers[i]!), weight, firstSlot })),
    })
    const { x, y } = addG1(expected.signers.map((signer) => signers[signer % 5]!.bls.key))
    expect((await da.epochInfo(1)).aggregateKey).to.deep.equal([x, y])
  })

  it('draw seats by the randomness of a later block than that in which the last stake was read (I67)', async () => {
    const of = await networkHelpers.loadFixture(many)
    const { da, signers, governor } = of
    for (const signer of signers.slice(0, 3)) await bond(of, signer, 9_999n * STAKE)
    const nonce = await governor.getNonce()
    await networkHelpers.setPrevRandao(77n)
    await ethers.provider.send('evm_setAutomine', [false])
    // All that the seats follow from but the seed would be settled by who sends these, and could be tried before it does.
    const sent = [await da.advance(1000, { gasLimit: 16_000_000, nonce }), await da.advance(1000, { gasLimit: 16_000_000, nonce: nonce + 1 })]
    await networkHelpers.mine()
    await ethers.provider.send('evm_setAutomine', [true])
    const receipts = await Promise.all(sent.map(({ hash }) => ethers.provider.getTransactionReceipt(hash)))
    expect(receipts.map((receipt) => [receipt!.blockNumber - receipts[0]!.blockNumber, receipt!.status])).to.deep.equal([
      [0, 1],
      [0, 0],
    ])
    const inTheirBlock = await of.randomness.seedOf(da)
    await networkHelpers.setPrevRandao(78n)
    await da.advance(1000, { gasLimit: 16_000_000 })
    const info = await da.epochInfo(1)
    expect(info.committee).to.equal(true)
    expect(info.seed).to.equal(keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256', 'bytes32'], [inTheirBlock, 78n, ZeroHash])))
  })
})
