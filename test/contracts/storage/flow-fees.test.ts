import { expect } from 'chai'
import { network } from 'hardhat'
import { defaults, deployStorage } from './deploy.ts'
import { BATCH_SUBMIT, dataOf, SUBMIT, SUBMIT_LEGACY, submissionOf } from './submission.ts'

const { ethers, networkHelpers } = await network.create()
const { price } = defaults
const fixture = () => deployStorage(ethers)
const smallChunks = () => deployStorage(ethers, { chunkSectors: 1024 })

describe('Flow: fees', () => {
  it('charges what is due and returns the rest in the same call', async () => {
    const { flow, rewards, alice } = await networkHelpers.loadFixture(fixture)
    const due = 18n * price
    await expect(flow.connect(alice)[SUBMIT](submissionOf([4, 1], alice.address), { value: due + 5n })).to.changeEtherBalances(
      ethers,
      [alice, flow, rewards],
      [-due, 0n, due],
    )
  })

  it('does not let a second user pay with the first one’s excess (reference defect 1)', async () => {
    const { flow, alice, bob } = await networkHelpers.loadFixture(fixture)
    await flow.connect(alice)[SUBMIT](submissionOf([0], alice.address), { value: 1_000n * price })
    await expect(flow.connect(bob)[SUBMIT](submissionOf([0], bob.address), { value: 0n }))
      .to.be.revertedWithCustomError(flow, 'NotEnoughFee')
      .withArgs(price, price, 0n)
  })

  it('does not let a submission be paid from a balance forced upon the contract', async () => {
    const { flow, alice } = await networkHelpers.loadFixture(fixture)
    await networkHelpers.setBalance(flow.target as string, 10n ** 18n)
    await expect(flow.connect(alice)[SUBMIT](submissionOf([0], alice.address), { value: price - 1n })).to.be.revertedWithCustomError(flow, 'NotEnoughFee')
  })

  it('says what a submission costs when too little is sent', async () => {
    const { flow, alice } = await networkHelpers.loadFixture(fixture)
    await expect(flow.connect(alice)[SUBMIT_LEGACY](dataOf([4]), { value: 16n * price - 1n }))
      .to.be.revertedWithCustomError(flow, 'NotEnoughFee')
      .withArgs(price, 16n * price, 16n * price - 1n)
  })

  it('charges a batch for the sum of its sectors, and each to its own chunk', async () => {
    const { flow, rewards, alice } = await networkHelpers.loadFixture(smallChunks)
    const submissions = [submissionOf([4], alice.address), submissionOf([10, 7], alice.address)]
    const due = (16n + 1152n) * price
    await expect(flow.connect(alice)[BATCH_SUBMIT](submissions, { value: due - 1n }))
      .to.be.revertedWithCustomError(flow, 'NotEnoughFee')
      .withArgs(price, due, due - 1n)
    await expect(flow.connect(alice)[BATCH_SUBMIT](submissions, { value: due + 7n })).to.changeEtherBalances(ethers, [alice, flow, rewards], [-due, 0n, due])
    const locked = await Promise.all([0, 1, 2, 3].map(async (chunk) => (await rewards.chunkOf(chunk)).locked))
    expect(locked).to.deep.equal([16n * price, 1024n * price, 128n * price, 0n])
  })

  it('pays nothing for the gap that alignment leaves (reference defect 3)', async () => {
    const { flow, rewards, alice } = await networkHelpers.loadFixture(smallChunks)
    await flow.connect(alice)[SUBMIT](submissionOf([0], alice.address), { value: price })
    // Sectors 2 to 4095, and with them all of chunks 1, 2 and 3, are a gap.
    await flow.connect(alice)[SUBMIT](submissionOf([12], alice.address), { value: 4096n * price })
    const locked = await Promise.all([0, 1, 2, 3, 4, 7].map(async (chunk) => (await rewards.chunkOf(chunk)).locked))
    expect(locked).to.deep.equal([price, 0n, 0n, 0n, 1024n * price, 1024n * price])
  })

  it('does not take money outside of a submission', async () => {
    const { flow, market, alice } = await networkHelpers.loadFixture(fixture)
    for (const to of [flow.target, market.target]) await expect(alice.sendTransaction({ to, value: 1n })).to.revert(ethers)
  })

  it('has no credit to pay out to who has none', async () => {
    const { flow, alice } = await networkHelpers.loadFixture(fixture)
    await expect(flow.connect(alice).withdrawCredit(alice.address)).to.be.revertedWithCustomError(flow, 'NoCredit').withArgs(alice.address)
  })
})
