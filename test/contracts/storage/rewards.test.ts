import { expect } from 'chai'
import { id } from 'ethers'
import { network } from 'hardhat'
import { StorageRewards__factory } from '../../../typechain-types/index.ts'
import { DAY, defaults, deployStorage } from './deploy.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 10_000_000 } })
const { releaseSeconds } = defaults
const MINER = id('miner')
const fixture = () => deployStorage(ethers, { chunkSectors: 1024 })

describe('StorageRewards: fees in', () => {
  it('are spread over the chunks they touch by sectors, to the last wei', async () => {
    const { rewards, alice } = await networkHelpers.loadFixture(fixture)
    await rewards.connect(alice).fill(1000, 1024 + 24 + 500, { value: 1_000_003n })
    const locked = await Promise.all([0, 1, 2, 3].map(async (chunk) => (await rewards.chunkOf(chunk)).locked))
    expect(locked).to.deep.equal([(1_000_003n * 24n) / 1548n, (1_000_003n * 1024n) / 1548n, 323_000n, 0n])
    expect(locked.reduce((a, b) => a + b)).to.equal(1_000_003n)
  })

  it('fill 64 evenly spaced chunks, all within, of a span that has more', async () => {
    const { rewards, alice } = await networkHelpers.loadFixture(fixture)
    for (const chunks of [65, 1000, 1024, 65_536]) {
      const before = await rewards.queryFilter(rewards.filters.Filled)
      await rewards.connect(alice).fill(1024 * 100_000, 1024 * chunks, { value: 6_400_001n })
      const filled = (await rewards.queryFilter(rewards.filters.Filled)).slice(before.length).map(({ args }) => args)
      const indexes = filled.map(({ pricingIndex }) => Number(pricingIndex)).sort((a, b) => a - b)
      expect(new Set(indexes).size).to.equal(64)
      expect(indexes[0]).to.equal(100_000)
      expect(indexes[63]).to.be.lessThan(100_000 + chunks)
      // Shards take every numShards-th load, numShards a power of two: each of 64 shards must find one.
      if (chunks > 64 * 2) expect(new Set(indexes.map((index) => index % 64)).size).to.equal(64)
      expect(filled.reduce((sum, { amount }) => sum + amount, 0n)).to.equal(6_400_001n)
    }
  })

  it('cost bounded gas however many sectors they are for', async () => {
    const { flow, rewards, alice } = await networkHelpers.loadFixture(fixture)
    const tx = await rewards.connect(alice).fill(2n ** 62n, 2n ** 62n, { value: 10n ** 18n })
    expect((await tx.wait())!.gasUsed).to.be.lessThan(2_000_000n)
    expect(flow.target).not.to.equal(rewards.target)
  })

  it('are refused for a range that cannot be', async () => {
    const { rewards } = await networkHelpers.loadFixture(fixture)
    for (const [start, sectors] of [
      [0n, 0n],
      [2n ** 64n, 1n],
      [0n, 2n ** 64n],
    ] as const)
      await expect(rewards.fill(start, sectors, { value: 1n }))
        .to.be.revertedWithCustomError(rewards, 'InvalidRange')
        .withArgs(start, sectors)
  })

  it('are refused where a chunk would hold more than it can count', async () => {
    const { rewards, alice } = await networkHelpers.loadFixture(fixture)
    await networkHelpers.setBalance(alice.address, 2n ** 97n)
    await rewards.connect(alice).fill(0, 1, { value: 2n ** 96n - 1n })
    await expect(rewards.connect(alice).fill(0, 1, { value: 1n }))
      .to.be.revertedWithCustomError(rewards, 'AmountTooLarge')
      .withArgs(2n ** 96n)
  })

  it('give the treasury its capped part', async () => {
    const { rewards, alice, treasury } = await networkHelpers.loadFixture(fixture)
    await expect(rewards.setServiceFee(2_501, treasury.address)).to.be.revertedWithCustomError(rewards, 'ServiceFeeTooHigh').withArgs(2_501n, 2_500n)
    await expect(rewards.setServiceFee(1, ethers.ZeroAddress)).to.be.revertedWithCustomError(rewards, 'InvalidTreasury').withArgs(ethers.ZeroAddress)
    await expect(rewards.setServiceFee(2_500, treasury.address)).to.emit(rewards, 'ServiceFeeSet').withArgs(2_500n, treasury.address)
    expect(await rewards.serviceFee()).to.deep.equal([2_500n, treasury.address])
    await rewards.connect(alice).fill(0, 1, { value: 1_003n })
    expect(await rewards.payments(treasury.address)).to.equal(250n)
    expect((await rewards.chunkOf(0)).locked).to.equal(753n)
    await rewards.setServiceFee(0, ethers.ZeroAddress)
    await rewards.connect(alice).fill(0, 1, { value: 1_003n })
    expect(await rewards.payments(treasury.address)).to.equal(250n)
  })
})

describe('StorageRewards: release', () => {
  async function filled() {
    const storage = await fixture()
    await storage.rewards.fill(0, 1, { value: 1_000_000n })
    return { ...storage, at: await networkHelpers.time.latest() }
  }

  it('is linear over the release time', async () => {
    const { rewards, at } = await networkHelpers.loadFixture(filled)
    for (const [part, whole] of [
      [1, 4],
      [1, 2],
      [3, 4],
      [1, 1],
    ] as const) {
      await networkHelpers.time.increaseTo(at + (releaseSeconds * part) / whole)
      expect(await rewards.chunkOf(0)).to.deep.equal([
        (1_000_000n * BigInt(whole - part)) / BigInt(whole),
        (1_000_000n * BigInt(part)) / BigInt(whole),
        BigInt(at + releaseSeconds),
      ])
    }
    await networkHelpers.time.increase(365 * DAY)
    expect((await rewards.chunkOf(0)).released).to.equal(1_000_000n)
  })

  it('of two payments ends at the average of their ends, weighted by what is locked', async () => {
    const { rewards, at } = await networkHelpers.loadFixture(filled)
    await networkHelpers.time.setNextBlockTimestamp(at + releaseSeconds / 2)
    await rewards.fill(0, 1, { value: 1_500_000n })
    // Half a million end at 1.0, one and a half at 1.5.
    expect(await rewards.chunkOf(0)).to.deep.equal([2_000_000n, 500_000n, BigInt(at + Math.floor(releaseSeconds * 1.375))])
  })

  it('is not delayed by dust', async () => {
    const { rewards, at } = await networkHelpers.loadFixture(filled)
    await networkHelpers.time.increase(DAY)
    for (let i = 0; i < 5; i++) await rewards.fill(0, 1, { value: 1n })
    expect((await rewards.chunkOf(0)).end).to.equal(at + releaseSeconds)
  })
})

describe('StorageRewards: claims', () => {
  async function paying() {
    const storage = await fixture()
    await storage.rewards.fill(0, 1, { value: 1_000_000n })
    const at = await networkHelpers.time.latest()
    const claim = (chunk = 0) => storage.rewards.connect(storage.mine).claimMineReward(chunk, storage.bob.address, MINER)
    return { ...storage, at, claim }
  }

  it('pay half of what is released, and half of the rest next time', async () => {
    const { rewards, bob, at, claim } = await networkHelpers.loadFixture(paying)
    await networkHelpers.time.setNextBlockTimestamp(at + releaseSeconds / 2)
    await expect(claim()).to.emit(rewards, 'DistributeReward').withArgs(0n, bob.address, MINER, 250_000n)
    await networkHelpers.time.setNextBlockTimestamp(at + releaseSeconds)
    await expect(claim()).to.emit(rewards, 'DistributeReward').withArgs(0n, bob.address, MINER, 375_000n)
    expect(await rewards.payments(bob.address)).to.equal(625_000n)
  })

  it('add the base reward while the chunk releases and the pool lasts', async () => {
    const { rewards, alice, bob, at, claim } = await networkHelpers.loadFixture(paying)
    await expect(rewards.setBaseReward(700n)).to.emit(rewards, 'BaseRewardSet').withArgs(700n)
    await expect(rewards.connect(alice).donate({ value: 1_000n }))
      .to.emit(rewards, 'Donated')
      .withArgs(alice.address, 1_000n)
    expect(await rewards.baseReward()).to.equal(700n)
    await networkHelpers.time.setNextBlockTimestamp(at + releaseSeconds / 2)
    await claim()
    expect(await rewards.payments(bob.address)).to.equal(250_700n)
    expect(await rewards.totalBaseReward()).to.equal(300n)
    expect(await rewards.claimable(0)).to.equal(125_300n)
    await networkHelpers.time.setNextBlockTimestamp(at + releaseSeconds)
    await claim()
    expect(await rewards.payments(bob.address)).to.equal(250_700n + 375_000n)
    expect(await rewards.totalBaseReward()).to.equal(300n)
  })

  it('pay nothing for a chunk that was never paid for', async () => {
    const { rewards, alice, bob, claim } = await networkHelpers.loadFixture(paying)
    await rewards.setBaseReward(700n)
    await rewards.connect(alice).donate({ value: 1_000n })
    await expect(claim(5)).not.to.emit(rewards, 'DistributeReward')
    expect(await rewards.payments(bob.address)).to.equal(0n)
    expect(await rewards.chunkOf(5)).to.deep.equal([0n, 0n, 0n])
  })

  it('are for the mine alone', async () => {
    const { rewards, mine, alice } = await networkHelpers.loadFixture(paying)
    expect(await rewards.mine()).to.equal(mine.address)
    await expect(rewards.connect(alice).claimMineReward(0, alice.address, MINER))
      .to.be.revertedWithCustomError(rewards, 'NotMine')
      .withArgs(alice.address)
  })

  it('are withdrawn once, to the payee, by anyone', async () => {
    const { rewards, alice, bob, at, claim } = await networkHelpers.loadFixture(paying)
    await networkHelpers.time.setNextBlockTimestamp(at + releaseSeconds)
    await claim()
    const tx = rewards.connect(alice).withdrawPayments(bob.address)
    await expect(tx).to.changeEtherBalances(ethers, [bob, rewards, alice], [500_000n, -500_000n, 0n])
    await expect(tx).to.emit(rewards, 'PaymentWithdrawn').withArgs(bob.address, 500_000n)
    await expect(rewards.withdrawPayments(bob.address)).to.be.revertedWithCustomError(rewards, 'NothingToWithdraw').withArgs(bob.address)
  })

  it('stay credited when the payee does not take them', async () => {
    const { rewards, flow, mine, at } = await networkHelpers.loadFixture(paying)
    await networkHelpers.time.setNextBlockTimestamp(at + releaseSeconds)
    await rewards.connect(mine).claimMineReward(0, flow.target, MINER)
    await expect(rewards.withdrawPayments(flow.target)).to.be.revertedWithCustomError(rewards, 'WithdrawFailed').withArgs(flow.target, 500_000n)
    expect(await rewards.payments(flow.target)).to.equal(500_000n)
  })
})

describe('StorageRewards: parameters', () => {
  it('are for governance to set', async () => {
    const { rewards, alice } = await networkHelpers.loadFixture(fixture)
    for (const call of [rewards.connect(alice).setBaseReward(1), rewards.connect(alice).setServiceFee(1, alice.address)])
      await expect(call).to.be.revertedWithCustomError(rewards, 'AccessManagedUnauthorized').withArgs(alice.address)
  })

  it('are checked at deployment', async () => {
    const { governor, manager, mine, rewards } = await networkHelpers.loadFixture(fixture)
    const factory = new StorageRewards__factory(governor)
    for (const sectors of [512, 1023, 1025, 0])
      await expect(factory.deploy(manager.target, mine.address, sectors, DAY))
        .to.be.revertedWithCustomError(rewards, 'InvalidChunkSectors')
        .withArgs(sectors)
    for (const seconds of [0, 3650 * DAY + 1])
      await expect(factory.deploy(manager.target, mine.address, 1024, seconds))
        .to.be.revertedWithCustomError(rewards, 'InvalidReleaseSeconds')
        .withArgs(seconds)
    expect(await rewards.chunkSectors()).to.equal(1024n)
    expect(await rewards.releaseSeconds()).to.equal(releaseSeconds)
  })
})
