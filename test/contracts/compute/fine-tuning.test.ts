import { expect } from 'chai'
import { parseEther, type Signer } from 'ethers'
import { network } from 'hardhat'
import { DAY, LOCK_TIME, STAKE } from './deploy.ts'
import { BALANCE, type Changes, deployTuning, FEE, FINE_TUNING, HOUR, offer, QUOTA, ROOT, SECRET, type Tuning, uuid } from './fine-tuning.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 10_000_000 } })
const { time } = networkHelpers
const WINDOW = 6 * HOUR
const PENALTY = (FEE * 30n) / 100n
const ID = uuid(1)
const State = { Delivered: 1n, Acknowledged: 2n, Penalised: 3n, Owed: 4n, Settled: 5n, Abandoned: 6n }

const fixture = () => deployTuning(ethers)
/** The contracts can be created at their addresses once only, so every state starts from this one. */
const deployed = () => networkHelpers.loadFixture(fixture)

async function delivered() {
  const all = await deployed()
  await all.tuning.addDeliverable(all.alice, ID, ROOT, FEE)
  return { ...all, acknowledgeBy: Number((await all.terms(ID)).acknowledgeBy) }
}

async function acknowledged() {
  const all = await delivered()
  await all.asUser.acknowledgeDeliverable(all.provider, ID)
  return all
}

/** The provider has its part without the user. */
async function penalised() {
  const all = await delivered()
  await time.increaseTo(all.acknowledgeBy + 1)
  await all.tuning.settleFees(all.settlement(ID, 1, { encryptedSecret: '0x' }))
  return all
}

/** The user has paid the rest, and waits for the secret. */
async function owed() {
  const all = await penalised()
  await all.asUser.acknowledgeDeliverable(all.provider, ID)
  return { ...all, handOverBy: Number((await all.terms(ID)).handOverBy) }
}

async function settled() {
  const all = await acknowledged()
  await all.tuning.settleFees(all.settlement(ID, 1))
  return all
}

const shown = async ({ tuning, alice, provider }: Tuning, id = ID) => {
  const { id: found, modelRootHash, encryptedSecret, acknowledged: isAcknowledged, settled: isSettled } = await tuning.getDeliverable(alice, provider, id)
  return { id: found, modelRootHash, encryptedSecret, acknowledged: isAcknowledged, settled: isSettled }
}
const balanceOf = async ({ tuning, alice, provider }: Tuning) => (await tuning.getAccount(alice, provider)).balance

describe('FineTuningServing: services', () => {
  it('are shown as they were registered, and good while signer and stake are', async () => {
    const { tuning, provider, registry, bonds, tee } = await deployed()
    const service = await tuning.getService(provider)
    const address = await provider.getAddress()
    const quota = Object.values(QUOTA)
    expect(service).to.deep.equal([address, 'http://127.0.0.1:5770', quota, 7n, false, ['perigee/classifier'], tee.address, true])
    expect(await tuning.getAllServices()).to.deep.equal([service])
    await tuning.acknowledgeTEESignerByOwner(provider)

    await registry.revoke(tee.address)
    expect((await tuning.getService(provider)).teeSignerAcknowledged).to.equal(false)
    await expect(tuning.acknowledgeTEESignerByOwner(provider)).to.be.revertedWithCustomError(tuning, 'SignerNotAttested').withArgs(address, tee.address)
    await registry.attest(tee.address, 2n ** 40n)
    await bonds.connect(provider).unbond(await tuning.bondOf(provider), 1n)
    expect((await tuning.getService(provider)).teeSignerAcknowledged).to.equal(false)
  })

  it('change without value, and end', async () => {
    const { tuning, provider, tee } = await deployed()
    const quota = { ...QUOTA, gpuType: 'H100' }
    await expect(tuning.addOrUpdateService('https://x', quota, 9n, true, [], tee.address))
      .to.emit(tuning, 'ServiceUpdated')
      .withArgs(await provider.getAddress(), 'https://x', Object.values(quota), 9n, tee.address, true)
    expect((await tuning.getService(provider)).slice(1, 6)).to.deep.equal(['https://x', Object.values(quota), 9n, true, []])
    await expect(offer(tuning, tee.address, 1n)).to.be.revertedWithCustomError(tuning, 'CannotAddStakeWhenUpdating')
    await expect(tuning.removeService()).to.emit(tuning, 'ServiceRemoved')
    expect(await tuning.getAllServices()).to.deep.equal([])
    await expect(tuning.getService(provider)).to.be.revertedWithCustomError(tuning, 'ServiceNotExist')
  })

  it('need a stake, which Bonds keeps and one provider brings once for all its services', async () => {
    const { tuning, other, bonds, serving, provider, tee } = await deployed()
    const as = tuning.connect(other)
    await expect(offer(as, tee.address, STAKE - 1n))
      .to.be.revertedWithCustomError(tuning, 'InsufficientStake')
      .withArgs(STAKE - 1n, STAKE)
    await expect(offer(as, tee.address, STAKE)).to.changeEtherBalances(ethers, [bonds, tuning], [STAKE, 0n])
    // That of the first provider came with its inference service.
    expect(await tuning.bondOf(provider)).to.equal(await serving.bondOf(provider))
    expect(await bonds.bonded(await tuning.bondOf(provider))).to.equal(STAKE)
  })

  it('have a signer and a description of bounded length', async () => {
    const { tuning, tee } = await deployed()
    await expect(offer(tuning, ethers.ZeroAddress)).to.be.revertedWithCustomError(tuning, 'InvalidAddress').withArgs(ethers.ZeroAddress)
    const describe = (url: string) => tuning.addOrUpdateService(url, QUOTA, 1n, false, [], tee.address)
    await describe('x'.repeat(7_600))
    await expect(describe('x'.repeat(8_200))).to.be.revertedWithCustomError(tuning, 'DetailsTooLong')
  })

  it('are attested by the registry: nobody acknowledges or revokes that here', async () => {
    const { tuning, provider } = await deployed()
    await expect(tuning.revokeTEESignerAcknowledgement(provider))
      .to.be.revertedWithCustomError(tuning, 'SignerAttestedByRegistry')
      .withArgs(await provider.getAddress())
  })
})

describe('FineTuningServing: delivery', () => {
  it('states the fee and remembers the signer', async () => {
    const all = await deployed()
    const { tuning, alice, provider, tee } = all
    const now = (await time.latest()) + 10
    await time.setNextBlockTimestamp(now)
    const parties = [await alice.getAddress(), await provider.getAddress()] as const
    await expect(tuning.addDeliverable(alice, ID, ROOT, FEE))
      .to.emit(tuning, 'DeliverableAdded')
      .withArgs(...parties, ID, ROOT, now)
    expect(await all.terms(ID)).to.deep.equal([State.Delivered, FEE, 0n, 0n, tee.address, BigInt(now + WINDOW), 0n])
    expect(await tuning.getDeliverable(alice, provider, ID)).to.deep.equal([ID, ROOT, '0x', false, BigInt(now), false])
    expect(await balanceOf(all)).to.equal(BALANCE)
  })

  it('takes a UUID in either case, and shows it in lower case', async () => {
    const all = await deployed()
    await all.tuning.addDeliverable(all.alice, ID.toUpperCase(), ROOT, FEE)
    expect((await shown(all)).id).to.equal(ID)
    for (const id of [
      '',
      'task-1',
      ID.slice(1),
      `${ID}0`,
      ID.replace('-', '0'),
      ID.replace('f', 'g'),
      ID.replace('f', '`'),
      ID.replace('f', '/'),
      ID.replace('f', ':'),
    ])
      await expect(all.tuning.addDeliverable(all.alice, id, ROOT, FEE))
        .to.be.revertedWithCustomError(all.tuning, 'InvalidUuid')
        .withArgs(id)
  })

  it('is for users with a sub-account, of a root and a fee that fit', async () => {
    const all = await deployed()
    const { tuning, alice, bob, other, provider } = all
    const deliver = (user: Signer = alice, root = ROOT, fee = FEE) => tuning.addDeliverable(user, ID, root, fee)
    await expect(tuning.connect(other).addDeliverable(alice, ID, ROOT, FEE)).to.be.revertedWithCustomError(tuning, 'AccountNotExists')
    await expect(deliver(bob))
      .to.be.revertedWithCustomError(tuning, 'AccountNotExists')
      .withArgs(await bob.getAddress(), await provider.getAddress())
    for (const root of ['0x', ROOT.slice(0, -2), `${ROOT}00`])
      await expect(deliver(alice, root))
        .to.be.revertedWithCustomError(tuning, 'InvalidRootHash')
        .withArgs((root.length - 2) / 2)
    await expect(deliver(alice, ROOT, BALANCE + 1n))
      .to.be.revertedWithCustomError(tuning, 'InsufficientBalance')
      .withArgs(await alice.getAddress(), await provider.getAddress(), BALANCE, BALANCE + 1n)
    await deliver(alice, ROOT, BALANCE)
  })

  it('keeps to the ceiling that the user set', async () => {
    const all = await deployed()
    const { tuning, asUser, alice, provider } = all
    await expect(asUser.setFeeCeiling(provider, FEE - 1n))
      .to.emit(tuning, 'FeeCeilingSet')
      .withArgs(await alice.getAddress(), await provider.getAddress(), FEE - 1n)
    expect(await tuning.feeCeiling(alice, provider)).to.equal(FEE - 1n)
    await expect(tuning.addDeliverable(alice, ID, ROOT, FEE))
      .to.be.revertedWithCustomError(tuning, 'FeeAboveCeiling')
      .withArgs(FEE, FEE - 1n)
    await asUser.setFeeCeiling(provider, FEE)
    await tuning.addDeliverable(alice, ID, ROOT, FEE)
    await asUser.acknowledgeDeliverable(provider, ID)
    await asUser.setFeeCeiling(provider, 0)
    await tuning.addDeliverable(alice, uuid(2), ROOT, 2n * FEE)
    await expect(asUser.setFeeCeiling(provider, 2n ** 88n)).to.be.revertedWithCustomError(tuning, 'AmountTooLarge')
  })

  it('waits for the one before to be acknowledged or settled', async () => {
    const all = await delivered()
    const { tuning, alice, asUser, provider } = all
    await expect(tuning.addDeliverable(alice, uuid(2), ROOT, FEE))
      .to.be.revertedWithCustomError(tuning, 'PreviousDeliverableNotAcknowledged')
      .withArgs(ID)
    await asUser.acknowledgeDeliverable(provider, ID)
    await tuning.addDeliverable(alice, uuid(2), ROOT, FEE)
  })

  it('is of every id once, as long as it is kept', async () => {
    const { tuning, alice } = await acknowledged()
    await expect(tuning.addDeliverable(alice, ID, ROOT, FEE))
      .to.be.revertedWithCustomError(tuning, 'DeliverableAlreadyExists')
      .withArgs(ID)
  })

  it('finds nothing that is not there', async () => {
    const { tuning, asUser, alice, provider, settlement } = await delivered()
    const id = uuid(2)
    for (const call of [
      () => asUser.acknowledgeDeliverable(provider, id),
      () => asUser.reclaimDeliverable(provider, id, alice),
      () => tuning.settleFees(settlement(id, 1)),
      () => tuning.abandonDeliverable(alice, id),
      () => tuning.getDeliverable(alice, provider, id),
      () => tuning.termsOf(alice, provider, id),
      () => asUser.acknowledgeDeliverable(alice, ID),
    ])
      await expect(call()).to.be.revertedWithCustomError(tuning, 'DeliverableNotExists')
  })
})

describe('FineTuningServing: settlement', () => {
  it('pays the whole fee for the secret of what was acknowledged', async () => {
    const all = await acknowledged()
    const { tuning, alice, provider, settlement } = all
    const parties = [await alice.getAddress(), await provider.getAddress()] as const
    const tx = tuning.settleFees(settlement(ID, 5))
    await expect(tx)
      .to.emit(tuning, 'FeesSettled')
      .withArgs(...parties, ID, FEE, true, 5n)
    await expect(tx)
      .to.emit(tuning, 'BalanceUpdated')
      .withArgs(...parties, BALANCE - FEE, 0n)
    expect(await shown(all)).to.deep.equal({ id: ID, modelRootHash: ROOT, encryptedSecret: SECRET, acknowledged: true, settled: true })
    expect((await all.terms(ID)).slice(0, 4)).to.deep.equal([State.Settled, FEE, FEE, 0n])
    expect(await balanceOf(all)).to.equal(BALANCE - FEE)
    expect((await tuning.getAccount(alice, provider)).nonce).to.equal(5n)

    expect(await tuning.earningsOf(provider)).to.equal(FEE)
    await expect(tuning.withdrawEarnings(provider)).to.changeEtherBalances(ethers, [tuning, provider], [-FEE, FEE])
    expect(await tuning.earningsOf(provider)).to.equal(0n)
    await expect(tuning.withdrawEarnings(provider)).to.be.revertedWithCustomError(tuning, 'NothingEarned')
  })

  it('happens once', async () => {
    const { tuning, settlement, asUser, alice, provider } = await settled()
    for (const encryptedSecret of [SECRET, '0x'])
      await expect(tuning.settleFees(settlement(ID, 2, { encryptedSecret })))
        .to.be.revertedWithCustomError(tuning, 'DeliverableAlreadySettled')
        .withArgs(ID)
    await expect(tuning.abandonDeliverable(alice, ID)).to.be.revertedWithCustomError(tuning, 'DeliverableAlreadySettled').withArgs(ID)
    // A user who downloads her model again acknowledges again: nothing happens.
    await expect(asUser.acknowledgeDeliverable(provider, ID)).not.to.emit(tuning, 'DeliverableAcknowledged')
  })

  it('is of exactly the fee and the root that were delivered', async () => {
    const { tuning, settlement } = await acknowledged()
    for (const taskFee of [FEE - 1n, FEE + 1n])
      await expect(tuning.settleFees(settlement(ID, 1, { taskFee })))
        .to.be.revertedWithCustomError(tuning, 'FeeNotAsStated')
        .withArgs(FEE, taskFee)
    for (const modelRootHash of [ROOT.replace('ab', 'ac'), `${ROOT}00`, ROOT.slice(0, -2), '0x'])
      await expect(tuning.settleFees(settlement(ID, 1, { modelRootHash })))
        .to.be.revertedWithCustomError(tuning, 'RootNotAsDelivered')
        .withArgs(ROOT)
  })

  it('needs a nonce above the last, that fits', async () => {
    const { tuning, alice, asUser, provider, settlement } = await deployed()
    await tuning.addDeliverable(alice, ID, ROOT, FEE)
    await asUser.acknowledgeDeliverable(provider, ID)
    await expect(tuning.settleFees(settlement(ID, 0)))
      .to.be.revertedWithCustomError(tuning, 'NonceNotNew')
      .withArgs(0n, 0n)
    await expect(tuning.settleFees(settlement(ID, 2n ** 48n))).to.be.revertedWithCustomError(tuning, 'NonceNotNew')
    await tuning.settleFees(settlement(ID, 7))
    await tuning.addDeliverable(alice, uuid(2), ROOT, FEE)
    await asUser.acknowledgeDeliverable(provider, uuid(2))
    await expect(tuning.settleFees(settlement(uuid(2), 7)))
      .to.be.revertedWithCustomError(tuning, 'NonceNotNew')
      .withArgs(7n, 7n)
    await tuning.settleFees(settlement(uuid(2), 2n ** 48n - 1n))
  })

  it('needs the secret, of its length', async () => {
    const { tuning, settlement } = await acknowledged()
    for (const encryptedSecret of ['0x', SECRET.slice(0, -2), `${SECRET}00`])
      await expect(tuning.settleFees(settlement(ID, 1, { encryptedSecret })))
        .to.be.revertedWithCustomError(tuning, 'InvalidSecretLength')
        .withArgs((encryptedSecret.length - 2) / 2, 129n)
  })

  it('needs the signature of the deliverable’s signer over every field', async () => {
    const { tuning, provider, other, settlement } = await acknowledged()
    const good = settlement(ID, 1)
    const stranger = ethers.Wallet.createRandom()
    const wrong: Changes[] = [
      { by: stranger as never },
      { provider: await other.getAddress() },
      { signature: settlement(ID, 2).signature },
      { signature: settlement(ID, 1, { taskFee: FEE + 1n }).signature },
      { signature: settlement(ID, 1, { user: await other.getAddress() }).signature },
      { signature: settlement(uuid(2), 1).signature },
      { signature: settlement(ID, 1, { modelRootHash: ROOT.replace('ab', 'ac') }).signature },
      { signature: settlement(ID, 1, { encryptedSecret: SECRET.replace('04', '05') }).signature },
      { signature: '0x' },
      { signature: `0x${'00'.repeat(65)}` },
    ]
    for (const changes of wrong) await expect(tuning.settleFees(settlement(ID, 1, changes))).to.be.revertedWithCustomError(tuning, 'SignerNotAttested')
    await expect(tuning.settleFees(settlement(ID, 1, { by: stranger as never })))
      .to.be.revertedWithCustomError(tuning, 'SignerNotAttested')
      .withArgs(await provider.getAddress(), stranger.address)
    await tuning.settleFees(good)
  })

  it('is for the provider of the deliverable, not for another one that names the same signer', async () => {
    const { tuning, alice, other, ledger, tee, asUser, settlement } = await acknowledged()
    const thief = tuning.connect(other)
    await offer(thief, tee.address, STAKE)
    await ledger.transferFund(other, FINE_TUNING, BALANCE - FEE)
    await thief.addDeliverable(alice, ID, ROOT, FEE)
    await asUser.acknowledgeDeliverable(other, ID)
    await expect(thief.settleFees(settlement(ID, 1))).to.be.revertedWithCustomError(tuning, 'SignerNotAttested')
  })

  it('needs the stake of the provider', async () => {
    const { tuning, provider, bonds, settlement } = await acknowledged()
    await bonds.connect(provider).unbond(await tuning.bondOf(provider), 1n)
    await expect(tuning.settleFees(settlement(ID, 1)))
      .to.be.revertedWithCustomError(tuning, 'InsufficientStake')
      .withArgs(STAKE - 1n, STAKE)
  })

  it('of what was acknowledged takes all of the fee or nothing', async () => {
    const all = await deployed()
    const { tuning, alice, asUser, provider, settlement } = all
    for (const id of [ID, uuid(2)]) {
      await tuning.addDeliverable(alice, id, ROOT, BALANCE - 1n)
      await asUser.acknowledgeDeliverable(provider, id)
    }
    const terms = { taskFee: BALANCE - 1n }
    await tuning.settleFees(settlement(ID, 1, terms))
    await expect(tuning.settleFees(settlement(uuid(2), 2, terms)))
      .to.be.revertedWithCustomError(tuning, 'InsufficientBalance')
      .withArgs(await alice.getAddress(), await provider.getAddress(), 1n, BALANCE - 1n)
    expect(await balanceOf(all)).to.equal(1n)
  })

  it('goes on after the signer was replaced, by the old one or by the new (the reference strands such work)', async () => {
    const all = await acknowledged()
    const { tuning, asUser, alice, provider, registry, settlement, tee } = all
    const next = ethers.Wallet.createRandom()
    await registry.attest(next.address, 2n ** 40n)
    await offer(tuning, next.address)
    await time.increase(30 * DAY)
    expect((await all.terms(ID)).signer).to.equal(tee.address)
    await tuning.settleFees(settlement(ID, 1))
    expect((await all.terms(ID)).signer).to.equal(tee.address)
    await tuning.addDeliverable(alice, uuid(2), ROOT, FEE)
    await asUser.acknowledgeDeliverable(provider, uuid(2))
    expect((await all.terms(uuid(2))).signer).to.equal(next.address)
    await expect(tuning.settleFees(settlement(uuid(2), 2))).to.be.revertedWithCustomError(tuning, 'SignerNotAttested')

    const third = ethers.Wallet.createRandom()
    await registry.attest(third.address, 2n ** 40n)
    await offer(tuning, third.address)
    await tuning.settleFees(settlement(uuid(2), 2, { by: third as never }))
  })

  it('goes on for a lock time after the attestation expired, and not once it is revoked', async () => {
    const { tuning, registry, settlement, tee } = await acknowledged()
    const now = (await time.latest()) + 100
    await registry.attest(tee.address, now - LOCK_TIME)
    await time.setNextBlockTimestamp(now)
    await expect(tuning.settleFees(settlement(ID, 1))).to.be.revertedWithCustomError(tuning, 'SignerNotAttested')
    await registry.revoke(tee.address)
    await expect(tuning.settleFees(settlement(ID, 1))).to.be.revertedWithCustomError(tuning, 'SignerNotAttested')
    await registry.attest(tee.address, now - LOCK_TIME + 100)
    await tuning.settleFees(settlement(ID, 1))
  })
})

describe('FineTuningServing: a user who does not answer', () => {
  it('has her window: the provider cannot settle within it (reference defect 13)', async () => {
    const { tuning, settlement, acknowledgeBy } = await delivered()
    expect(await tuning.acknowledgementWindow()).to.equal(WINDOW)
    expect(await tuning.penaltyPercentage()).to.equal(30n)
    for (const at of [(await time.latest()) + 1, acknowledgeBy]) {
      await time.setNextBlockTimestamp(at)
      await expect(tuning.settleFees(settlement(ID, 1, { encryptedSecret: '0x' })))
        .to.be.revertedWithCustomError(tuning, 'AcknowledgementPending')
        .withArgs(acknowledgeBy)
    }
    await time.setNextBlockTimestamp(acknowledgeBy + 1)
    await tuning.settleFees(settlement(ID, 1, { encryptedSecret: '0x' }))
  })

  it('has at least half an hour, and never more than half of what a refund takes', async () => {
    const { tuning, governor } = await deployed()
    for (const [lock, window] of [
      [HOUR, HOUR / 2],
      [8 * HOUR, 4 * HOUR],
      [7 * DAY, WINDOW],
    ] as const) {
      await tuning.connect(governor).updateLockTime(lock)
      expect(await tuning.acknowledgementWindow()).to.equal(window)
    }
  })

  it('pays 30 % for the work, gets no secret, and is not locked out (the reference is, for ever)', async () => {
    const all = await delivered()
    const { tuning, alice, provider, settlement, acknowledgeBy } = all
    await time.increaseTo(acknowledgeBy + 1)
    await expect(tuning.settleFees(settlement(ID, 1))).to.be.revertedWithCustomError(tuning, 'SecretShouldBeEmpty')
    await expect(tuning.settleFees(settlement(ID, 1, { encryptedSecret: '0x' })))
      .to.emit(tuning, 'FeesSettled')
      .withArgs(await alice.getAddress(), await provider.getAddress(), ID, PENALTY, false, 1n)
    expect(await shown(all)).to.deep.equal({ id: ID, modelRootHash: ROOT, encryptedSecret: '0x', acknowledged: false, settled: true })
    expect((await all.terms(ID)).slice(0, 4)).to.deep.equal([State.Penalised, FEE, PENALTY, 0n])
    expect([await balanceOf(all), await tuning.earningsOf(provider)]).to.deep.equal([BALANCE - PENALTY, PENALTY])
    await tuning.addDeliverable(alice, uuid(2), ROOT, FEE)
  })

  it('pays what she has, if that is less', async () => {
    const all = await deployed()
    const { tuning, alice, asUser, provider, ledger, settlement } = all
    const late = uuid(2)
    await tuning.addDeliverable(alice, ID, ROOT, BALANCE - 100n)
    await asUser.acknowledgeDeliverable(provider, ID)
    await tuning.addDeliverable(alice, late, ROOT, BALANCE)
    await tuning.settleFees(settlement(ID, 1, { taskFee: BALANCE - 100n }))
    await time.increase(WINDOW + 1)
    await tuning.settleFees(settlement(late, 2, { encryptedSecret: '0x', taskFee: BALANCE }))
    expect((await all.terms(late)).paid).to.equal(100n)
    await ledger.depositFund({ value: BALANCE })
    await ledger.transferFund(provider, FINE_TUNING, BALANCE - 101n)
    await expect(asUser.acknowledgeDeliverable(provider, late)).to.be.revertedWithCustomError(tuning, 'InsufficientBalance')
    await ledger.transferFund(provider, FINE_TUNING, 1n)
    await asUser.acknowledgeDeliverable(provider, late)
    expect((await all.terms(late)).held).to.equal(BALANCE - 100n)
  })

  it('pays though she asked everything back when the model arrived', async () => {
    const all = await delivered()
    const { tuning, provider, ledger, settlement, acknowledgeBy } = all
    await ledger.retrieveFund([provider], FINE_TUNING)
    await time.increaseTo(acknowledgeBy + 1)
    await tuning.settleFees(settlement(ID, 1, { encryptedSecret: '0x' }))
    expect(await balanceOf(all)).to.equal(BALANCE - PENALTY)
    await time.increase(LOCK_TIME)
    await ledger.retrieveFund([provider], FINE_TUNING)
    expect(await tuning.accountExists(all.alice, provider)).to.equal(false)
  })

  it('pays the rest for the secret when she acknowledges late', async () => {
    const all = await penalised()
    const { tuning, asUser, alice, provider, settlement } = all
    const now = (await time.latest()) + 10 * DAY
    await time.setNextBlockTimestamp(now)
    await expect(asUser.acknowledgeDeliverable(provider, ID))
      .to.emit(tuning, 'DeliverableAcknowledged')
      .withArgs(await alice.getAddress(), await provider.getAddress(), ID, now)
    expect(await balanceOf(all)).to.equal(BALANCE - FEE)
    expect(await tuning.earningsOf(provider)).to.equal(PENALTY)
    const { state, held, handOverBy } = await all.terms(ID)
    expect([state, held, handOverBy]).to.deep.equal([State.Owed, FEE - PENALTY, BigInt(now + DAY)])
    // For the provider that is a deliverable to settle as any other.
    expect(await shown(all)).to.include({ acknowledged: true, settled: false, encryptedSecret: '0x' })
    await expect(tuning.settleFees(settlement(ID, 2, { encryptedSecret: '0x' }))).to.be.revertedWithCustomError(tuning, 'InvalidSecretLength')
    await expect(tuning.settleFees(settlement(ID, 2)))
      .to.emit(tuning, 'FeesSettled')
      .withArgs(await alice.getAddress(), await provider.getAddress(), ID, FEE - PENALTY, true, 2n)
    expect(await shown(all)).to.include({ acknowledged: true, settled: true, encryptedSecret: SECRET })
    expect(await tuning.earningsOf(provider)).to.equal(FEE)
    expect(await balanceOf(all)).to.equal(BALANCE - FEE)
  })

  it('takes back what she paid late when the secret does not come in time', async () => {
    const all = await owed()
    const { tuning, asUser, alice, bob, provider, handOverBy, settlement } = all
    const rest = FEE - PENALTY
    await time.setNextBlockTimestamp(handOverBy)
    await expect(asUser.reclaimDeliverable(provider, ID, alice))
      .to.be.revertedWithCustomError(tuning, 'NotReclaimable')
      .withArgs(handOverBy)
    await time.setNextBlockTimestamp(handOverBy + 1)
    await expect(tuning.connect(bob).reclaimDeliverable(provider, ID, bob)).to.be.revertedWithCustomError(tuning, 'DeliverableNotExists')
    await expect(asUser.reclaimDeliverable(provider, ID, tuning)).to.be.revertedWithCustomError(tuning, 'TransferFailed')
    const tx = asUser.reclaimDeliverable(provider, ID, bob)
    await expect(tx).to.changeEtherBalances(ethers, [tuning, bob], [-rest, rest])
    await expect(tx)
      .to.emit(tuning, 'DeliverableReclaimed')
      .withArgs(await alice.getAddress(), await provider.getAddress(), ID, await bob.getAddress(), rest)
    expect((await all.terms(ID)).slice(0, 4)).to.deep.equal([State.Penalised, FEE, PENALTY, 0n])
    await expect(asUser.reclaimDeliverable(provider, ID, alice)).to.be.revertedWithCustomError(tuning, 'NotReclaimable')
    await expect(tuning.settleFees(settlement(ID, 2))).to.be.revertedWithCustomError(tuning, 'DeliverableAlreadySettled')
    await asUser.acknowledgeDeliverable(provider, ID)
    await tuning.settleFees(settlement(ID, 2))
  })

  it('still gets the secret after the last day, if she did not take her money back', async () => {
    const all = await owed()
    await time.increaseTo(all.handOverBy + 1)
    await all.tuning.settleFees(all.settlement(ID, 2))
    await expect(all.asUser.reclaimDeliverable(all.provider, ID, all.alice)).to.be.revertedWithCustomError(all.tuning, 'NotReclaimable')
  })

  it('gets it though she closed her sub-account meanwhile', async () => {
    const all = await owed()
    const { tuning, alice, provider, ledger, settlement, handOverBy } = all
    await ledger.retrieveFund([provider], FINE_TUNING)
    await time.increaseTo(handOverBy)
    await ledger.retrieveFund([provider], FINE_TUNING)
    expect(await tuning.accountExists(alice, provider)).to.equal(false)
    await tuning.settleFees(settlement(ID, 2))
    expect(await shown(all)).to.include({ encryptedSecret: SECRET })
    // And its nonce counts for the next one.
    await ledger.transferFund(provider, FINE_TUNING, BALANCE - FEE)
    expect((await tuning.getAccount(alice, provider)).nonce).to.equal(2n)
  })
})

describe('FineTuningServing: a provider that does not answer', () => {
  const exit = async ({ ledger, provider }: Tuning) => {
    await ledger.retrieveFund([provider], FINE_TUNING)
    await time.increase(LOCK_TIME)
    await ledger.retrieveFund([provider], FINE_TUNING)
  }

  for (const [what, given] of [
    ['delivers nothing', deployed],
    ['delivers and never settles', delivered],
    ['never settles what was acknowledged', acknowledged],
  ] as const)
    it(`and ${what} holds nothing of hers`, async () => {
      const all = await given()
      await exit(all)
      expect(await all.tuning.accountExists(all.alice, all.provider)).to.equal(false)
      expect((await all.ledger.getLedger(all.alice)).availableBalance).to.equal(parseEther('10'))
    })

  it('and removed its service holds nothing of hers, and is still paid for what it did', async () => {
    const all = await acknowledged()
    await all.tuning.removeService()
    await all.tuning.settleFees(all.settlement(ID, 1))
    await exit(all)
    expect((await all.ledger.getLedger(all.alice)).availableBalance).to.equal(parseEther('10') - FEE)
  })

  it('gives up a deliverable for which it got nothing, which lets it deliver the next', async () => {
    for (const given of [delivered, acknowledged]) {
      const all = await given()
      const { tuning, asUser, alice, provider, bob } = all
      await expect(tuning.connect(bob).abandonDeliverable(alice, ID)).to.be.revertedWithCustomError(tuning, 'DeliverableNotExists')
      await expect(tuning.abandonDeliverable(alice, ID))
        .to.emit(tuning, 'DeliverableAbandoned')
        .withArgs(await alice.getAddress(), await provider.getAddress(), ID)
      expect(await shown(all)).to.include({ acknowledged: false, settled: true })
      await expect(asUser.acknowledgeDeliverable(provider, ID)).to.be.revertedWithCustomError(tuning, 'CannotAcknowledgeSettledDeliverable').withArgs(ID)
      await tuning.addDeliverable(alice, uuid(2), ROOT, FEE)
    }
  })

  it('cannot give up what it was paid for', async () => {
    for (const given of [penalised, owed]) {
      const { tuning, alice } = await given()
      await expect(tuning.abandonDeliverable(alice, ID)).to.be.revertedWithCustomError(tuning, 'DeliverableAlreadySettled').withArgs(ID)
    }
  })
})

describe('FineTuningServing: the ring', () => {
  /** Twenty deliverables, all acknowledged and, but for the first, settled. */
  async function full() {
    const all = await deployed()
    const { tuning, asUser, alice, provider, settlement } = all
    for (let n = 1; n <= 20; n++) {
      await tuning.addDeliverable(alice, uuid(n), ROOT, 100n)
      await asUser.acknowledgeDeliverable(provider, uuid(n))
      if (n > 1) await tuning.settleFees(settlement(uuid(n), n, { taskFee: 100n }))
    }
    return all
  }

  it('keeps twenty, and drops the oldest once that is settled', async () => {
    const { tuning, alice, provider, settlement } = await full()
    expect(await tuning.DELIVERABLES()).to.equal(20n)
    await expect(tuning.addDeliverable(alice, uuid(21), ROOT, 100n))
      .to.be.revertedWithCustomError(tuning, 'CannotEvictUnsettledDeliverable')
      .withArgs(uuid(1))
    await tuning.settleFees(settlement(uuid(1), 21, { taskFee: 100n }))
    await expect(tuning.addDeliverable(alice, uuid(5), ROOT, 100n))
      .to.be.revertedWithCustomError(tuning, 'DeliverableAlreadyExists')
      .withArgs(uuid(5))
    const now = (await time.latest()) + 10
    await time.setNextBlockTimestamp(now)
    await expect(tuning.addDeliverable(alice, uuid(21), ROOT, 100n))
      .to.emit(tuning, 'DeliverableEvicted')
      .withArgs(await provider.getAddress(), await alice.getAddress(), uuid(1), uuid(21), now)
    await expect(tuning.getDeliverable(alice, provider, uuid(1))).to.be.revertedWithCustomError(tuning, 'DeliverableNotExists')

    const { deliverables, deliverablesHead, deliverablesCount } = await tuning.getAccount(alice, provider)
    expect(deliverables.map(({ id }) => id)).to.deep.equal(Array.from({ length: 20 }, (_, i) => uuid(i + 2)))
    expect([deliverablesHead, deliverablesCount]).to.deep.equal([0n, 20n])
    expect(await tuning.getDeliverables(alice, provider)).to.deep.equal(deliverables)
    // Nothing of the one that was there before.
    expect(deliverables.at(-1)!.slice(2)).to.deep.equal(['0x', false, BigInt(now), false])
    expect((await tuning.termsOf(alice, provider, uuid(21))).paid).to.equal(0n)
  })

  it('tells ids apart that end alike', async () => {
    const all = await acknowledged()
    const { tuning, alice, asUser, provider, settlement } = all
    const alike = uuid(1 + 64)
    await expect(all.terms(alike)).to.be.revertedWithCustomError(tuning, 'DeliverableNotExists').withArgs(alike)
    await tuning.addDeliverable(alice, alike, ROOT, 2n * FEE)
    await asUser.acknowledgeDeliverable(provider, alike)
    await tuning.settleFees(settlement(ID, 1))
    expect([(await all.terms(ID)).fee, (await all.terms(alike)).fee]).to.deep.equal([FEE, 2n * FEE])
    expect([(await all.terms(ID)).state, (await all.terms(alike)).state]).to.deep.equal([State.Settled, State.Acknowledged])
  })

  it('is one for every user and provider', async () => {
    const { tuning, alice, bob, ledger, provider } = await delivered()
    await ledger.connect(bob).depositFund({ value: BALANCE })
    await ledger.connect(bob).transferFund(provider, FINE_TUNING, FEE)
    await tuning.addDeliverable(bob, ID, ROOT, FEE)
    expect((await tuning.getDeliverables(alice, provider)).length).to.equal(1)
    expect((await tuning.getDeliverables(bob, provider)).length).to.equal(1)
  })
})

describe('FineTuningServing: accounts', () => {
  it('are shown in the shapes of the public client', async () => {
    const all = await settled()
    const { tuning, alice, bob, provider, ledger } = all
    await ledger.retrieveFund([provider], FINE_TUNING)
    const account = await tuning.getAccount(alice, provider)
    const rest = BALANCE - FEE
    expect(account.slice(0, 5)).to.deep.equal([await alice.getAddress(), await provider.getAddress(), 1n, rest, rest])
    expect(account.refunds.map(({ amount }) => amount)).to.deep.equal([rest])
    expect([account.validRefundsLength, account.acknowledged, account.deliverables.length]).to.deep.equal([1n, true, 1])
    const { accounts, total } = await tuning.getAllAccounts(0, 50)
    expect(total).to.equal(1n)
    expect(accounts).to.deep.equal([[...account.slice(0, 5), '', 1n, 1n, true]])
    expect((await tuning.getAllAccounts(1, 50)).accounts).to.deep.equal([])
    await expect(tuning.getAllAccounts(0, 51)).to.be.revertedWithCustomError(tuning, 'LimitTooLarge')
    await expect(tuning.getAccount(bob, provider)).to.be.revertedWithCustomError(tuning, 'AccountNotExists')
  })
})

describe('FineTuningServing: the contract', () => {
  it('is initialised in the transaction that deploys its proxy (reference defect 15), and upgraded by its authority alone', async () => {
    const { tuning, alice, governor, book } = await settled()
    const zero = ethers.ZeroAddress
    const implementation = tuning.attach(book.get('FineTuningServing.implementation')) as typeof tuning
    for (const contract of [tuning, implementation])
      await expect(contract.initialize(zero, zero, DAY)).to.be.revertedWithCustomError(tuning, 'InvalidInitialization')
    const next = await (await ethers.getContractFactory('FineTuningServing')).deploy(zero, governor, governor)
    await expect(tuning.connect(alice).upgradeToAndCall(next.target, '0x')).to.be.revertedWithCustomError(tuning, 'AccessManagedUnauthorized')
    await tuning.connect(governor).upgradeToAndCall(next.target, '0x')
    expect((await tuning.getAllAccounts(0, 0)).total).to.equal(1n)
  })
})
