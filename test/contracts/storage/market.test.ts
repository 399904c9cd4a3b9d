import { expect } from 'chai'
import { network } from 'hardhat'
import { DAY, defaults, deployStorage } from './deploy.ts'
import { dataOf, SUBMIT_LEGACY } from './submission.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 10_000_000 } })
const { price, leasePeriod } = defaults
const NOTICE = 7 * DAY
const HOUR = 3_600
const MAX_UINT96 = 2n ** 96n - 1n
const fixture = () => deployStorage(ethers)

describe('StorageMarket: price', () => {
  it('changes only after notice, and says when', async () => {
    const { market } = await networkHelpers.loadFixture(fixture)
    const at = (await networkHelpers.time.latest()) + 10
    await networkHelpers.time.setNextBlockTimestamp(at)
    await expect(market.schedulePrice(3_000n))
      .to.emit(market, 'PriceScheduled')
      .withArgs(price, 3_000n, at + NOTICE)
    expect(await market.scheduledPrice()).to.deep.equal([3_000n, BigInt(at + NOTICE)])
    await networkHelpers.time.increaseTo(at + NOTICE - 1)
    expect(await market.pricePerSector()).to.equal(price)
    await networkHelpers.time.increaseTo(at + NOTICE)
    expect(await market.pricePerSector()).to.equal(3_000n)
  })

  it('accepts the old price too for one hour after a rise, and no longer', async () => {
    const { flow, market, alice } = await networkHelpers.loadFixture(fixture)
    await market.schedulePrice(3_000n)
    const effectiveAt = Number((await market.scheduledPrice()).effectiveAt)
    const submit = (value: bigint) => flow.connect(alice)[SUBMIT_LEGACY](dataOf([0]), { value })
    await networkHelpers.time.setNextBlockTimestamp(effectiveAt)
    await expect(submit(price)).to.changeEtherBalance(ethers, alice, -price)
    // Whoever offers the new price, or more than the old but less than the new, pays one of the two exactly.
    await expect(submit(3_000n)).to.changeEtherBalance(ethers, alice, -3_000n)
    await expect(submit(2_999n)).to.changeEtherBalance(ethers, alice, -price)
    await expect(submit(price - 1n))
      .to.be.revertedWithCustomError(market, 'NotEnoughFee')
      .withArgs(3_000n, 3_000n, price - 1n)
    await networkHelpers.time.setNextBlockTimestamp(effectiveAt + HOUR - 1)
    await expect(submit(price)).to.changeEtherBalance(ethers, alice, -price)
    await networkHelpers.time.setNextBlockTimestamp(effectiveAt + HOUR)
    await expect(submit(price)).to.be.revertedWithCustomError(market, 'NotEnoughFee').withArgs(3_000n, 3_000n, price)
  })

  it('charges the lower price at once after a fall', async () => {
    const { market } = await networkHelpers.loadFixture(fixture)
    await market.schedulePrice(400n)
    await networkHelpers.time.increaseTo((await market.scheduledPrice()).effectiveAt)
    expect(await market.due(10, 10_000n)).to.equal(4_000n)
  })

  it('lets a scheduled price be replaced, with full notice', async () => {
    const { market } = await networkHelpers.loadFixture(fixture)
    await market.schedulePrice(3_000n)
    const first = Number((await market.scheduledPrice()).effectiveAt)
    await networkHelpers.time.increaseTo(first - 2)
    await market.schedulePrice(2_000n)
    await networkHelpers.time.increaseTo(first + HOUR)
    expect(await market.pricePerSector()).to.equal(price)
    await networkHelpers.time.increaseTo((await market.scheduledPrice()).effectiveAt)
    expect(await market.pricePerSector()).to.equal(2_000n)
  })

  it('keeps the old price for its hour: no new one can be scheduled within it', async () => {
    const { market } = await networkHelpers.loadFixture(fixture)
    await market.schedulePrice(3_000n)
    const effectiveAt = Number((await market.scheduledPrice()).effectiveAt)
    await networkHelpers.time.setNextBlockTimestamp(effectiveAt + HOUR - 1)
    await expect(market.schedulePrice(1n))
      .to.be.revertedWithCustomError(market, 'PriceJustChanged')
      .withArgs(effectiveAt + HOUR)
    await expect(market.schedulePrice(1n)).to.emit(market, 'PriceScheduled')
  })

  it('is for governance to change, within what fits', async () => {
    const { market, alice } = await networkHelpers.loadFixture(fixture)
    await expect(market.connect(alice).schedulePrice(1n)).to.be.revertedWithCustomError(market, 'AccessManagedUnauthorized').withArgs(alice.address)
    await expect(market.schedulePrice(MAX_UINT96 + 1n))
      .to.be.revertedWithCustomError(market, 'PriceTooHigh')
      .withArgs(MAX_UINT96 + 1n, MAX_UINT96)
  })
})

describe('StorageMarket: leases', () => {
  async function leased() {
    const storage = await fixture()
    await storage.flow.connect(storage.alice)[SUBMIT_LEGACY](dataOf([4, 1]), { value: 18n * price })
    const openedAt = Number(await storage.flow.openedAtPosition(16))
    const triple = [0n, 16n, 18n] as const
    return { ...storage, triple, until: openedAt + leasePeriod }
  }

  it('begin when the epoch of the submission was opened, and cost no storage', async () => {
    const { market, triple, until } = await networkHelpers.loadFixture(leased)
    expect(await market.leaseOf(...triple)).to.equal(until)
    expect(await market.leasePeriod()).to.equal(leasePeriod)
    expect(await market.gracePeriod()).to.equal(defaults.gracePeriod)
  })

  it('are renewed from their end by anyone, for the price, which goes to the miners of these sectors', async () => {
    const { market, rewards, bob, triple, until } = await networkHelpers.loadFixture(leased)
    const tx = market.connect(bob).renew(...triple, { value: 18n * price + 9n })
    await expect(tx).to.changeEtherBalances(ethers, [bob, rewards, market], [-18n * price, 18n * price, 0n])
    await expect(tx)
      .to.emit(market, 'LeaseRenewed')
      .withArgs(...triple, until + leasePeriod, bob.address)
    await expect(tx)
      .to.emit(rewards, 'Filled')
      .withArgs(0n, 18n * price)
    expect(await market.leaseOf(...triple)).to.equal(until + leasePeriod)
  })

  it('are renewed from now once they have ended', async () => {
    const { market, bob, triple, until } = await networkHelpers.loadFixture(leased)
    await networkHelpers.time.setNextBlockTimestamp(until + 5)
    await market.connect(bob).renew(...triple, { value: 18n * price })
    expect(await market.leaseOf(...triple)).to.equal(until + 5 + leasePeriod)
  })

  it('cannot be paid further ahead than two periods', async () => {
    const { market, bob, triple, until } = await networkHelpers.loadFixture(leased)
    await market.connect(bob).renew(...triple, { value: 18n * price })
    const now = (await networkHelpers.time.latest()) + 1
    await networkHelpers.time.setNextBlockTimestamp(now)
    await expect(market.connect(bob).renew(...triple, { value: 18n * price }))
      .to.be.revertedWithCustomError(market, 'LeaseTooLong')
      .withArgs(until + 2 * leasePeriod, now + 2 * leasePeriod)
  })

  it('cost what the market says', async () => {
    const { market, bob, triple } = await networkHelpers.loadFixture(leased)
    await expect(market.connect(bob).renew(...triple, { value: 18n * price - 1n }))
      .to.be.revertedWithCustomError(market, 'NotEnoughFee')
      .withArgs(price, 18n * price, 18n * price - 1n)
  })

  it('are those of exactly one submission', async () => {
    const { flow, market, alice, bob, triple, until } = await networkHelpers.loadFixture(leased)
    await flow.connect(alice)[SUBMIT_LEGACY](dataOf([4]), { value: 16n * price })
    await market.connect(bob).renew(...triple, { value: 18n * price })
    // Another triple within the log has the lease of its epoch, and nothing of the renewal.
    expect(await market.leaseOf(1, 16, 18)).to.equal(until)
    expect(await market.leaseOf(0, 16, 17)).to.equal(until)
    expect(await market.leaseKey(...triple)).to.equal(
      ethers.keccak256(ethers.AbiCoder.defaultAbiCoder().encode(['uint256', 'uint256', 'uint256'], [...triple])),
    )
  })

  const unknown: [string, bigint, bigint, bigint][] = [
    ['no submission of that index', 1n, 16n, 18n],
    ['no sectors', 0n, 16n, 0n],
    ['the sector that holds nothing', 0n, 0n, 1n],
    ['sectors past the end', 0n, 16n, 19n],
    ['a position that overflows', 0n, 2n ** 256n - 1n, 2n],
    ['a length that overflows', 0n, 16n, 2n ** 256n - 1n],
  ]
  for (const [what, ...triple] of unknown)
    it(`do not exist for ${what}`, async () => {
      const { market, bob } = await networkHelpers.loadFixture(leased)
      await expect(market.leaseOf(...triple))
        .to.be.revertedWithCustomError(market, 'UnknownSubmission')
        .withArgs(...triple)
      await expect(market.connect(bob).renew(...triple, { value: 10n ** 18n })).to.be.revertedWithCustomError(market, 'UnknownSubmission')
    })
})
