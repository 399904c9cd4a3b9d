import { expect } from 'chai'
import { network } from 'hardhat'
import { Roles__factory } from '../../../typechain-types/index.ts'
import { DAY, defaults, deployStorage } from '../storage/deploy.ts'
import { BATCH_SUBMIT, BATCH_SUBMIT_LEGACY, dataOf, SUBMIT, SUBMIT_LEGACY, submissionOf } from '../storage/submission.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 10_000_000 } })
const { price } = defaults
const WEEK = 7 * DAY

/** The flow, with its guardian. */
async function fixture() {
  const storage = await deployStorage(ethers)
  const roles = await new Roles__factory(storage.governor).deploy()
  const { pause, unpause } = { pause: storage.flow.interface.getFunction('pause').selector, unpause: storage.flow.interface.getFunction('unpause').selector }
  await storage.manager.setTargetFunctionRole(storage.flow.target, [pause, unpause], await roles.GUARDIAN())
  await storage.manager.grantRole(await roles.GUARDIAN(), storage.guardian.address, 0)
  const flow = storage.flow.connect(storage.guardian)
  const submit = () => storage.flow.connect(storage.alice)[SUBMIT_LEGACY](dataOf([10]), { value: 1024n * price })
  return { ...storage, flow, submit }
}

describe('ExpiringPause', () => {
  it('stops every entry', async () => {
    const { flow, alice } = await networkHelpers.loadFixture(fixture)
    await flow.pause(WEEK)
    const until = await flow.pausedUntil()
    const entry = flow.connect(alice)
    const value = { value: price }
    for (const call of [
      entry[SUBMIT](submissionOf([0], alice.address), value),
      entry[SUBMIT_LEGACY](dataOf([0]), value),
      entry[BATCH_SUBMIT]([submissionOf([0], alice.address)], value),
      entry[BATCH_SUBMIT_LEGACY]([dataOf([0])], value),
    ])
      await expect(call).to.be.revertedWithCustomError(flow, 'EntriesPaused').withArgs(until)
  })

  it('ends by itself', async () => {
    const { flow, guardian, submit } = await networkHelpers.loadFixture(fixture)
    const at = (await networkHelpers.time.latest()) + 1
    await networkHelpers.time.setNextBlockTimestamp(at)
    await expect(flow.pause(WEEK))
      .to.emit(flow, 'Paused')
      .withArgs(guardian.address, at + WEEK)
    await networkHelpers.time.setNextBlockTimestamp(at + WEEK - 1)
    await expect(submit()).to.be.revertedWithCustomError(flow, 'EntriesPaused')
    await networkHelpers.time.setNextBlockTimestamp(at + WEEK)
    await expect(submit()).to.emit(flow, 'Submit')
  })

  it('is no longer than a week', async () => {
    const { flow } = await networkHelpers.loadFixture(fixture)
    await expect(flow.pause(WEEK + 1))
      .to.be.revertedWithCustomError(flow, 'PauseTooLong')
      .withArgs(WEEK + 1, WEEK)
  })

  it('can be neither prolonged nor repeated before the cooldown is over', async () => {
    const { flow } = await networkHelpers.loadFixture(fixture)
    await flow.pause(DAY)
    const until = Number(await flow.pausedUntil())
    for (const time of [until - 10, until + WEEK - 1]) {
      await networkHelpers.time.setNextBlockTimestamp(time)
      await expect(flow.pause(DAY))
        .to.be.revertedWithCustomError(flow, 'PauseCoolingDown')
        .withArgs(until + WEEK)
    }
    await expect(flow.pause(DAY)).to.emit(flow, 'Paused')
  })

  it('can be ended early, which does not shorten the cooldown', async () => {
    const { flow, guardian, submit } = await networkHelpers.loadFixture(fixture)
    await expect(flow.unpause()).to.be.revertedWithCustomError(flow, 'NotPaused')
    await flow.pause(WEEK)
    await expect(flow.unpause()).to.emit(flow, 'Unpaused').withArgs(guardian.address)
    const ended = Number(await flow.pausedUntil())
    await expect(submit()).to.emit(flow, 'Submit')
    await expect(flow.pause(DAY))
      .to.be.revertedWithCustomError(flow, 'PauseCoolingDown')
      .withArgs(ended + WEEK)
  })

  it('is for the guardian, who may do nothing else', async () => {
    const { flow, market, alice, guardian } = await networkHelpers.loadFixture(fixture)
    await expect(flow.connect(alice).pause(DAY)).to.be.revertedWithCustomError(flow, 'AccessManagedUnauthorized').withArgs(alice.address)
    await expect(flow.connect(alice).unpause()).to.be.revertedWithCustomError(flow, 'AccessManagedUnauthorized')
    await expect(market.connect(guardian).schedulePrice(1n)).to.be.revertedWithCustomError(market, 'AccessManagedUnauthorized').withArgs(guardian.address)
    await expect(flow.upgradeToAndCall(guardian.address, '0x')).to.be.revertedWithCustomError(flow, 'AccessManagedUnauthorized').withArgs(guardian.address)
  })

  it('leaves epochs, renewals, claims and withdrawals alone', async () => {
    const { flow, market, rewards, alice, bob, mine, submit } = await networkHelpers.loadFixture(fixture)
    await submit()
    await flow.pause(WEEK)
    await networkHelpers.mine(201, { interval: 1 })
    await expect(flow.makeContext()).to.emit(flow, 'NewEpoch')
    await expect(market.connect(alice).renew(0, 1024, 1024, { value: 1024n * price })).to.emit(market, 'LeaseRenewed')
    await expect(rewards.connect(mine).claimMineReward(0, bob.address, ethers.ZeroHash)).to.emit(rewards, 'DistributeReward')
    await expect(rewards.withdrawPayments(bob.address)).to.emit(rewards, 'PaymentWithdrawn')
  })
})
