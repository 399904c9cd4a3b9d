import { expect } from 'chai'
import { network } from 'hardhat'
import { Bonds__factory } from '../../../typechain-types/index.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 2_000_000 } })
const DAY = 86_400
const DELAY = 14 * DAY
const MAX = 2n ** 96n - 1n
const UNKNOWN = ethers.id('no such bond')

/** Ascending, as a bond wants its arbiters. */
const ascending = <T extends { address: string }>(accounts: T[]): T[] => [...accounts].sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1))

async function deployed() {
  const [deployer, party, payer, stranger, victim, a, b] = await ethers.getSigners()
  if (!deployer || !party || !payer || !stranger || !victim || !a || !b) throw new Error('seven accounts are needed')
  const bonds = await new Bonds__factory(deployer).deploy()
  const arbiters = ascending([a, b])
  const [first, second] = arbiters as [typeof a, typeof a]
  const under = arbiters.map(({ address }) => address)
  const id = await bonds.bondId(party, under, DELAY)
  return { bonds, party, payer, stranger, victim, first, second, under, id }
}

/** 100 wei of the party's, 60 of them asked back and not yet due. */
async function bonded() {
  const all = await deployed()
  await all.bonds.connect(all.party).bond(all.party, all.under, DELAY, { value: 100n })
  return all
}

async function unbonding() {
  const all = await bonded()
  await all.bonds.connect(all.party).unbond(all.id, 60n)
  return { ...all, due: Number((await all.bonds.bondOf(all.id)).unbondsAt) }
}

describe('Bonds: the party', () => {
  it('bonds under the arbiters and the delay that the id names', async () => {
    const { bonds, party, payer, stranger, under, id, first, second } = await networkHelpers.loadFixture(deployed)
    const tx = bonds.connect(payer).bond(party, under, DELAY, { value: 100n })
    await expect(tx).to.changeEtherBalances(ethers, [payer, bonds], [-100n, 100n])
    await expect(tx).to.emit(bonds, 'BondOpened').withArgs(id, party.address, under, DELAY)
    await expect(tx).to.emit(bonds, 'Bonded').withArgs(id, party.address, payer.address, 100n)
    expect(await bonds.bondOf(id)).to.deep.equal([party.address, BigInt(DELAY), 100n, 0n, 0n, 0n])
    expect(await bonds.bonded(id)).to.equal(100n)
    for (const [account, is] of [
      [first, true],
      [second, true],
      [party, false],
      [stranger, false],
    ] as const)
      expect(await bonds.isArbiter(id, account)).to.equal(is)
    const { keccak256, AbiCoder } = ethers
    expect(id).to.equal(keccak256(AbiCoder.defaultAbiCoder().encode(['address', 'address[]', 'uint64'], [party.address, under, DELAY])))
  })

  it('adds to a bond without opening it anew', async () => {
    const { bonds, party, payer, under, id } = await networkHelpers.loadFixture(unbonding)
    const before = await bonds.bondOf(id)
    const tx = bonds.connect(payer).bond(party, under, DELAY, { value: 7n })
    await expect(tx).not.to.emit(bonds, 'BondOpened')
    const { bonded, unbonding: waiting, unbondsAt } = await bonds.bondOf(id)
    expect([bonded, waiting, unbondsAt]).to.deep.equal([47n, 60n, before.unbondsAt])
  })

  it('has another bond for every set of arbiters and every delay', async () => {
    const { bonds, party, under, id } = await networkHelpers.loadFixture(bonded)
    for (const [arbiters, delay] of [
      [under.slice(0, 1), DELAY],
      [under, DELAY + 1],
    ] as const) {
      await bonds.connect(party).bond(party, arbiters, delay, { value: 1n })
      expect(await bonds.bonded(await bonds.bondId(party, arbiters, delay))).to.equal(1n)
    }
    expect(await bonds.bonded(id)).to.equal(100n)
    expect(await bonds.bonded(UNKNOWN)).to.equal(0n)
    expect(await bonds.bondOf(UNKNOWN)).to.deep.equal([ethers.ZeroAddress, 0n, 0n, 0n, 0n, 0n])
  })

  it('asks part of it back: it stops counting at once, and leaves after the delay, to where the party says', async () => {
    const { bonds, party, stranger, id } = await networkHelpers.loadFixture(bonded)
    const now = (await networkHelpers.time.latest()) + 10
    await networkHelpers.time.setNextBlockTimestamp(now)
    await expect(bonds.connect(party).unbond(id, 60n))
      .to.emit(bonds, 'UnbondingStarted')
      .withArgs(id, 60n, now + DELAY)
    expect(await bonds.bonded(id)).to.equal(40n)

    await networkHelpers.time.setNextBlockTimestamp(now + DELAY - 1)
    await expect(bonds.connect(party).withdraw(id, party))
      .to.be.revertedWithCustomError(bonds, 'NotDue')
      .withArgs(id, now + DELAY)
    await networkHelpers.time.setNextBlockTimestamp(now + DELAY)
    const tx = bonds.connect(party).withdraw(id, stranger)
    await expect(tx).to.changeEtherBalances(ethers, [bonds, stranger], [-60n, 60n])
    await expect(tx).to.emit(bonds, 'BondWithdrawn').withArgs(id, party.address, stranger.address, 60n)
    expect((await bonds.bondOf(id)).unbonding).to.equal(0n)
    await expect(bonds.connect(party).withdraw(id, party)).to.be.revertedWithCustomError(bonds, 'NothingToWithdraw')
  })

  it('makes what waits wait anew when it asks more back', async () => {
    const { bonds, party, id, due } = await networkHelpers.loadFixture(unbonding)
    await networkHelpers.time.setNextBlockTimestamp(due - 1)
    await bonds.connect(party).unbond(id, 1n)
    await networkHelpers.time.setNextBlockTimestamp(due - 1 + DELAY - 1)
    await expect(bonds.connect(party).withdraw(id, party))
      .to.be.revertedWithCustomError(bonds, 'NotDue')
      .withArgs(id, due - 1 + DELAY)
    await expect(bonds.connect(party).withdraw(id, party)).to.changeEtherBalance(ethers, party, 61n)
  })

  it('bonds again what it asked back, due or not', async () => {
    const { bonds, party, id, due } = await networkHelpers.loadFixture(unbonding)
    await expect(bonds.connect(party).rebond(id, 20n)).to.emit(bonds, 'UnbondingCancelled').withArgs(id, 20n)
    await networkHelpers.time.increaseTo(due)
    await bonds.connect(party).rebond(id, 10n)
    const { bonded, unbonding: waiting } = await bonds.bondOf(id)
    expect([bonded, waiting]).to.deep.equal([70n, 30n])
    await expect(bonds.connect(party).rebond(id, 31n)).to.be.revertedWithCustomError(bonds, 'InsufficientBond').withArgs(id, 30n, 31n)
  })

  it('is the only one that moves its bond', async () => {
    const { bonds, payer, first, stranger, id, due } = await networkHelpers.loadFixture(unbonding)
    await networkHelpers.time.increaseTo(due)
    for (const other of [payer, first, stranger]) {
      const as = bonds.connect(other)
      for (const move of [() => as.unbond(id, 1n), () => as.rebond(id, 1n), () => as.withdraw(id, other)])
        await expect(move()).to.be.revertedWithCustomError(bonds, 'NotParty').withArgs(id, other.address)
    }
  })

  it('cannot move a bond that does not exist, nothing, or more than there is', async () => {
    const { bonds, party, id } = await networkHelpers.loadFixture(unbonding)
    const as = bonds.connect(party)
    for (const move of [() => as.unbond(UNKNOWN, 1n), () => as.rebond(UNKNOWN, 1n), () => as.withdraw(UNKNOWN, party)])
      await expect(move()).to.be.revertedWithCustomError(bonds, 'UnknownBond').withArgs(UNKNOWN)
    for (const move of [() => as.unbond(id, 0n), () => as.rebond(id, 0n)]) await expect(move()).to.be.revertedWithCustomError(bonds, 'ZeroAmount')
    await expect(as.unbond(id, 41n)).to.be.revertedWithCustomError(bonds, 'InsufficientBond').withArgs(id, 40n, 41n)
    await expect(as.unbond(id, 2n ** 96n + 1n))
      .to.be.revertedWithCustomError(bonds, 'InsufficientBond')
      .withArgs(id, 40n, 2n ** 96n + 1n)
  })

  it('cannot bond nothing, for nobody, under nobody, twice under one, or for ever', async () => {
    const { bonds, party, under } = await networkHelpers.loadFixture(deployed)
    const [low, high] = under as [string, string]
    const MAX_DELAY = await bonds.MAX_DELAY()
    const bond = (to: { address: string }, arbiters: string[], delay: bigint, value = 1n) => bonds.bond(to.address, arbiters, delay, { value })
    await expect(bond(party, under, 1n, 0n)).to.be.revertedWithCustomError(bonds, 'ZeroAmount')
    await expect(bond({ address: ethers.ZeroAddress }, under, 1n)).to.be.revertedWithCustomError(bonds, 'ZeroParty')
    for (const arbiters of [[], [ethers.ZeroAddress], [ethers.ZeroAddress, low], [low, low], [high, low], [low, high, low]])
      await expect(bond(party, arbiters, 1n))
        .to.be.revertedWithCustomError(bonds, 'InvalidArbiters')
        .withArgs(arbiters)
    await expect(bond(party, under, MAX_DELAY + 1n))
      .to.be.revertedWithCustomError(bonds, 'DelayTooLong')
      .withArgs(MAX_DELAY + 1n, MAX_DELAY)
    await bond(party, under, MAX_DELAY)
    expect((await bonds.bondOf(await bonds.bondId(party, under, MAX_DELAY))).delay).to.equal(MAX_DELAY)
  })

  it('cannot bond more than fits, what unbonds included', async () => {
    const { bonds, party, under, id } = await networkHelpers.loadFixture(deployed)
    await networkHelpers.setBalance(party.address, 2n ** 97n)
    const as = bonds.connect(party)
    await as.bond(party, under, DELAY, { value: MAX })
    await as.unbond(id, MAX)
    await expect(as.bond(party, under, DELAY, { value: 1n }))
      .to.be.revertedWithCustomError(bonds, 'BondTooLarge')
      .withArgs(MAX + 1n, MAX)
    await as.rebond(id, MAX)
    expect(await bonds.bonded(id)).to.equal(MAX)
  })
})

describe('Bonds: arbiters', () => {
  it('slash what is bonded first, then what unbonds, and no more than is there', async () => {
    const { bonds, first, victim, id } = await networkHelpers.loadFixture(unbonding)
    const as = bonds.connect(first)
    await expect(as.slash(id, 50n, victim))
      .to.emit(bonds, 'Slashed')
      .withArgs(id, first.address, victim.address, 50n)
    let { bonded: left, unbonding: waiting } = await bonds.bondOf(id)
    expect([left, waiting]).to.deep.equal([0n, 50n])
    expect(await as.slash.staticCall(id, 80n, victim)).to.equal(50n)
    await as.slash(id, 80n, victim)
    ;({ bonded: left, unbonding: waiting } = await bonds.bondOf(id))
    expect([left, waiting]).to.deep.equal([0n, 0n])
    expect(await bonds.compensation(victim)).to.equal(100n)
    await expect(as.slash(id, 1n, victim))
      .to.emit(bonds, 'Slashed')
      .withArgs(id, first.address, victim.address, 0n)
  })

  it('slash what is due until it has left', async () => {
    const { bonds, party, first, victim, id, due } = await networkHelpers.loadFixture(unbonding)
    await networkHelpers.time.increaseTo(due)
    await bonds.connect(first).slash(id, 90n, victim)
    await expect(bonds.connect(party).withdraw(id, party)).to.changeEtherBalance(ethers, party, 10n)
  })

  it('lock up to what is there, all of them together', async () => {
    const { bonds, first, second, id } = await networkHelpers.loadFixture(unbonding)
    await expect(bonds.connect(first).lock(id, 70n)).to.emit(bonds, 'StakeLocked').withArgs(id, first.address, 70n)
    expect(await bonds.connect(second).lock.staticCall(id, 70n)).to.equal(30n)
    await bonds.connect(second).lock(id, 2n ** 127n)
    expect((await bonds.bondOf(id)).locked).to.equal(100n)
    expect([await bonds.lockedBy(id, first), await bonds.lockedBy(id, second)]).to.deep.equal([70n, 30n])
    expect(await bonds.connect(first).lock.staticCall(id, 1n)).to.equal(0n)
  })

  it('keep locked money from leaving, and let the rest go', async () => {
    const { bonds, party, first, id, due } = await networkHelpers.loadFixture(unbonding)
    await bonds.connect(first).lock(id, 75n)
    await networkHelpers.time.increaseTo(due)
    // 40 bonded and 35 of the 60 are kept.
    await expect(bonds.connect(party).withdraw(id, party)).to.changeEtherBalance(ethers, party, 25n)
    await expect(bonds.connect(party).withdraw(id, party)).to.be.revertedWithCustomError(bonds, 'NothingToWithdraw')
    await expect(bonds.connect(first).unlock(id, 10n)).to.emit(bonds, 'StakeUnlocked').withArgs(id, first.address, 10n)
    await expect(bonds.connect(party).withdraw(id, party)).to.changeEtherBalance(ethers, party, 10n)
    await bonds.connect(first).unlock(id, 65n)
    await expect(bonds.connect(party).withdraw(id, party)).to.changeEtherBalance(ethers, party, 25n)
  })

  it('never take what another one locked', async () => {
    const { bonds, first, second, victim, id } = await networkHelpers.loadFixture(unbonding)
    await bonds.connect(first).lock(id, 70n)
    expect(await bonds.connect(second).slash.staticCall(id, 100n, victim)).to.equal(30n)
    await bonds.connect(second).slash(id, 100n, victim)
    expect(await bonds.lockedBy(id, first)).to.equal(70n)
    expect(await bonds.connect(second).slash.staticCall(id, 100n, victim)).to.equal(0n)
    await bonds.connect(first).slash(id, 100n, victim)
    expect(await bonds.compensation(victim)).to.equal(100n)
    expect((await bonds.bondOf(id)).locked).to.equal(0n)
  })

  it('take what nobody locked before what they locked themselves', async () => {
    const { bonds, first, second, victim, id } = await networkHelpers.loadFixture(unbonding)
    await bonds.connect(first).lock(id, 50n)
    await bonds.connect(second).lock(id, 20n)
    await bonds.connect(first).slash(id, 30n, victim)
    expect(await bonds.lockedBy(id, first)).to.equal(50n)
    await bonds.connect(first).slash(id, 15n, victim)
    expect([await bonds.lockedBy(id, first), await bonds.lockedBy(id, second)]).to.deep.equal([35n, 20n])
    expect((await bonds.bondOf(id)).locked).to.equal(55n)
  })

  it('close one of two faults without touching the lock of the other', async () => {
    const { bonds, first, victim, id } = await networkHelpers.loadFixture(bonded)
    const as = bonds.connect(first)
    await as.lock(id, 60n)
    await as.lock(id, 40n)
    await as.unlock(id, 60n)
    await as.slash(id, 60n, victim)
    expect(await bonds.lockedBy(id, first)).to.equal(40n)
    expect(await bonds.compensation(victim)).to.equal(60n)
  })

  it('unlock what is left of a lock when some of it was slashed, and nothing of another’s', async () => {
    const { bonds, first, second, victim, id } = await networkHelpers.loadFixture(bonded)
    await bonds.connect(first).lock(id, 70n)
    await bonds.connect(second).lock(id, 30n)
    await bonds.connect(first).slash(id, 50n, victim)
    await expect(bonds.connect(first).unlock(id, 70n)).to.emit(bonds, 'StakeUnlocked').withArgs(id, first.address, 20n)
    expect((await bonds.bondOf(id)).locked).to.equal(30n)
  })

  it('are those that the bond was opened under, and no others', async () => {
    const { bonds, party, stranger, victim, under, id, first } = await networkHelpers.loadFixture(bonded)
    for (const other of [party, stranger, victim]) {
      const as = bonds.connect(other)
      for (const act of [() => as.lock(id, 1n), () => as.unlock(id, 1n), () => as.slash(id, 1n, other)])
        await expect(act()).to.be.revertedWithCustomError(bonds, 'NotArbiter').withArgs(id, other.address)
    }
    // Neither the arbiter of one bond for another one of the same party, nor anybody by bonding for it under himself.
    await bonds.connect(stranger).bond(party, [stranger.address], DELAY, { value: 1n })
    await expect(bonds.connect(stranger).slash(id, 1n, stranger)).to.be.revertedWithCustomError(bonds, 'NotArbiter')
    const alone = await bonds.bondId(party, [stranger.address], DELAY)
    await expect(bonds.connect(first).slash(alone, 1n, first))
      .to.be.revertedWithCustomError(bonds, 'NotArbiter')
      .withArgs(alone, first.address)
    await expect(bonds.connect(first).lock(UNKNOWN, 1n)).to.be.revertedWithCustomError(bonds, 'NotArbiter').withArgs(UNKNOWN, first.address)
    expect(await bonds.bonded(id)).to.equal(100n)
    expect(await bonds.isArbiter(await bonds.bondId(party, under, DELAY), stranger)).to.equal(false)
  })

  it('who are malicious hold and take what was put under them, and nothing else of the same party', async () => {
    const { bonds, party, stranger: evil, under, id, due } = await networkHelpers.loadFixture(unbonding)
    const trap = await bonds.bondId(party, [evil.address], 0)
    await bonds.connect(evil).bond(party, [evil.address], 0, { value: 500n })
    await bonds.connect(evil).lock(trap, 2n ** 100n)
    await bonds.connect(evil).slash(trap, 2n ** 100n, evil)
    await expect(bonds.connect(evil).withdrawCompensation(evil)).to.changeEtherBalances(ethers, [bonds, evil], [-500n, 500n])
    // Had it put itself among the others, that would be yet another bond.
    const both = ascending([...under.map((address) => ({ address })), evil]).map(({ address }) => address)
    await bonds.connect(evil).bond(party, both, DELAY, { value: 9n })
    expect(await bonds.connect(evil).slash.staticCall(await bonds.bondId(party, both, DELAY), 1_000n, evil)).to.equal(9n)

    await networkHelpers.time.increaseTo(due)
    await expect(bonds.connect(party).withdraw(id, party)).to.changeEtherBalance(ethers, party, 60n)
    expect(await bonds.bonded(id)).to.equal(40n)
  })
})

describe('Bonds: compensations', () => {
  it('are paid out to where who was compensated says, once', async () => {
    const { bonds, first, victim, stranger, id } = await networkHelpers.loadFixture(bonded)
    await bonds.connect(first).slash(id, 30n, victim)
    await bonds.connect(first).slash(id, 5n, stranger)
    const tx = bonds.connect(victim).withdrawCompensation(stranger)
    await expect(tx).to.changeEtherBalances(ethers, [bonds, stranger], [-30n, 30n])
    await expect(tx).to.emit(bonds, 'CompensationWithdrawn').withArgs(victim.address, stranger.address, 30n)
    await expect(bonds.connect(victim).withdrawCompensation(victim)).to.be.revertedWithCustomError(bonds, 'NothingToWithdraw')
    expect(await bonds.compensation(stranger)).to.equal(5n)
  })

  it('and bonds stay where they are when the receiver refuses them', async () => {
    const { bonds, party, first, victim, id, due } = await networkHelpers.loadFixture(unbonding)
    await bonds.connect(first).slash(id, 30n, victim)
    await networkHelpers.time.increaseTo(due)
    const refuser = bonds.target as string // has no receive function
    await expect(bonds.connect(victim).withdrawCompensation(refuser)).to.be.revertedWithCustomError(bonds, 'TransferRejected').withArgs(refuser, 30n)
    await expect(bonds.connect(party).withdraw(id, refuser)).to.be.revertedWithCustomError(bonds, 'TransferRejected').withArgs(refuser, 60n)
    expect(await bonds.compensation(victim)).to.equal(30n)
    expect((await bonds.bondOf(id)).unbonding).to.equal(60n)
  })
})
