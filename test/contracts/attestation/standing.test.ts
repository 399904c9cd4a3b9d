import { expect } from 'chai'
import { ZeroAddress } from 'ethers'
import { network } from 'hardhat'
import { CollateralRegistry__factory, QuoteVerifier__factory, TeeSignerRegistry__factory } from '../../../typechain-types/index.ts'
import { bytes32, chainDate, DAY, deployVerifier, LIFETIME, measurement, pki, proof, withCollateral } from './deploy.ts'
import { addPlatform, calldata, mined, publish, quoteParts, ROOT } from './platform.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2027-01-01T00:00:00Z', gas: 8_000_000 } })

/** Alice is registered. */
async function registered() {
  const all = await withCollateral(ethers)
  await mined(all.registry.register(...(await proof(ethers, all.registry, { signer: all.alice.address }))))
  return { ...all, until: await all.registry.attestedUntil(all.alice) }
}
const later = async () => {
  await networkHelpers.time.increase(3600)
  return chainDate(ethers)
}

describe('TeeSignerRegistry: the end of a registration', () => {
  it('comes by itself within its lifetime', async () => {
    const { registry, alice, until } = await networkHelpers.loadFixture(registered)
    const { registeredAt } = await registry.signerOf(alice)
    expect(until - registeredAt).to.equal(BigInt(LIFETIME))
    await networkHelpers.time.increaseTo(until + 1n)
    expect(await registry.attestedUntil(alice)).to.equal(until)
  })

  for (const who of ['guardian', 'alice'] as const)
    it(`comes by revocation, for ever: by ${who === 'alice' ? 'the signer itself' : 'the guardian'}`, async () => {
      const all = await networkHelpers.loadFixture(registered)
      const { registry, alice } = all
      await expect(registry.connect(all[who]).revoke(alice)).to.emit(registry, 'SignerRevoked').withArgs(alice.address)
      expect(await registry.attestedUntil(alice)).to.equal(0n)
      const { revoked, until, measurement: was } = await registry.signerOf(alice)
      expect({ revoked, until, was }).to.deep.equal({ revoked: true, until: 0n, was: measurement })
      await expect(registry.connect(all[who]).revoke(alice)).to.be.revertedWithCustomError(registry, 'RevokedSigner')
      await networkHelpers.mine(1)
      const args = await proof(ethers, registry, { signer: alice.address })
      await expect(registry.register(...args))
        .to.be.revertedWithCustomError(registry, 'RevokedSigner')
        .withArgs(alice.address)
    })

  it('comes by nobody else', async () => {
    const { registry, alice, bob, governor } = await networkHelpers.loadFixture(registered)
    for (const other of [bob, governor])
      await expect(registry.connect(other).revoke(alice)).to.be.revertedWithCustomError(registry, 'AccessManagedUnauthorized').withArgs(other.address)
  })

  it('can come before the beginning: a leaked key is revoked before it registers', async () => {
    const { registry, guardian, bob } = await networkHelpers.loadFixture(registered)
    await mined(registry.connect(guardian).revoke(bob))
    const args = await proof(ethers, registry, { signer: bob.address })
    await expect(registry.register(...args)).to.be.revertedWithCustomError(registry, 'RevokedSigner')
    expect((await registry.signerOf(bob)).revoked).to.equal(true)
  })

  it('comes for all of a measurement when it is removed, and allowing it again brings nobody back', async () => {
    const { registry, guardian, governor, alice } = await networkHelpers.loadFixture(registered)
    await expect(registry.connect(guardian).removeMeasurement(measurement)).to.emit(registry, 'MeasurementRemoved').withArgs(measurement)
    expect(await registry.isAllowed(measurement)).to.equal(false)
    expect(await registry.attestedUntil(alice)).to.equal(0n)
    expect((await registry.signerOf(alice)).until).to.equal(0n)
    await networkHelpers.mine(1)
    const args = await proof(ethers, registry, { signer: alice.address })
    await expect(registry.register(...args))
      .to.be.revertedWithCustomError(registry, 'MeasurementNotAllowed')
      .withArgs(measurement)
    await expect(registry.connect(governor).allowMeasurement(measurement)).to.emit(registry, 'MeasurementAllowed').withArgs(measurement)
    expect(await registry.attestedUntil(alice)).to.equal(0n)
    await mined(registry.register(...args))
    expect(await registry.attestedUntil(alice)).not.to.equal(0n)
  })

  it('does not come to those of other measurements, of which there may be many', async () => {
    const { registry, guardian, governor, alice, until } = await networkHelpers.loadFixture(registered)
    for (let i = 1; i <= 300; i++) {
      const other = ethers.toBeHex(i, 32)
      await mined(registry.connect(governor).allowMeasurement(other))
      if (i % 2 === 0) await mined(registry.connect(guardian).removeMeasurement(other))
    }
    expect(await registry.attestedUntil(alice)).to.equal(until)
    expect(await registry.isAllowed(ethers.toBeHex(299, 32))).to.equal(true)
    expect(await registry.isAllowed(ethers.toBeHex(300, 32))).to.equal(false)
  })
})

describe('TeeSignerRegistry: recheck', () => {
  it('leaves alone whom nothing speaks against', async () => {
    const { registry, alice, bob } = await networkHelpers.loadFixture(registered)
    await expect(registry.connect(bob).recheck(alice)).to.be.revertedWithCustomError(registry, 'StillGood').withArgs(alice.address)
    await expect(registry.recheck(bob)).to.be.revertedWithCustomError(registry, 'UnknownSigner').withArgs(bob.address)
  })

  const lapses = async ({ registry, alice, bob }: Awaited<ReturnType<typeof registered>>) => {
    expect(await registry.attestedUntil(alice)).not.to.equal(0n)
    await expect(registry.connect(bob).recheck(alice)).to.emit(registry, 'SignerLapsed').withArgs(alice.address)
    expect(await registry.attestedUntil(alice)).to.equal(0n)
    expect((await registry.signerOf(alice)).revoked).to.equal(false)
    await expect(registry.recheck(alice)).to.be.revertedWithCustomError(registry, 'UnknownSigner')
  }

  it('ends the registration of a platform that was revoked', async () => {
    const all = await networkHelpers.loadFixture(registered)
    const given = calldata(pki.collateral(await later(), { revoked: ['pck'] }))
    await expect(all.collateral.addCrl(given.pckIssuer.id, given.pckCrl)).to.emit(all.collateral, 'PckRevoked')
    await lapses(all)
  })

  for (const who of ['platformCa', 'tcbSigner'] as const)
    it(`ends the registration under an issuer that was revoked: ${who}`, async () => {
      const all = await networkHelpers.loadFixture(registered)
      const given = calldata(pki.collateral(await later(), { revoked: [who] }))
      await expect(all.collateral.addCrl(ROOT, given.rootCrl)).to.emit(all.collateral, 'IssuerRevoked')
      await lapses(all)
    })

  it('ends the registration of a platform whose TCB is no longer up to date, and it may come back with a better one', async () => {
    const all = await networkHelpers.loadFixture(registered)
    const { collateral, registry, alice } = all
    const worse = calldata(pki.collateral(await later(), { tcbStatus: 'OutOfDate' }))
    await mined(collateral.addTcbInfo(worse.tcbInfo.text, worse.tcbInfo.signature, worse.tcbSigner.id))
    await lapses(all)
    const better = calldata(pki.collateral(await later()))
    await mined(collateral.addTcbInfo(better.tcbInfo.text, better.tcbInfo.signature, better.tcbSigner.id))
    await mined(registry.register(...(await proof(ethers, registry, { signer: alice.address }))))
    expect(await registry.attestedUntil(alice)).not.to.equal(0n)
  })

  it('ends the registration below every level, of the TDX module too', async () => {
    for (const edit of [
      (info: { tcbLevels: { tcb: { pcesvn: number } }[] }) => {
        for (const { tcb } of info.tcbLevels) tcb.pcesvn = 99
      },
      (info: { tdxModuleIdentities?: { tcbLevels: { tcb: { isvsvn: number } }[] }[] }) => {
        for (const { tcb } of info.tdxModuleIdentities![0]!.tcbLevels) tcb.isvsvn = 7
      },
    ]) {
      const all = await registered()
      const worse = calldata(pki.collateral(await later(), { editTcbInfo: edit as never }))
      await mined(all.collateral.addTcbInfo(worse.tcbInfo.text, worse.tcbInfo.signature, worse.tcbSigner.id))
      await lapses(all)
    }
  })

  it('ends the registration under a quoting enclave that has to be another now', async () => {
    const all = await networkHelpers.loadFixture(registered)
    const editQeIdentity = (identity: { isvprodid: number }) => {
      identity.isvprodid = 3
    }
    const other = calldata(pki.collateral(await later(), { editQeIdentity }))
    await mined(all.collateral.addQeIdentity(other.qeIdentity.text, other.qeIdentity.signature, other.tcbSigner.id))
    await lapses(all)
  })

  it('ends the registration below a minimum evaluation number that was raised', async () => {
    const all = await networkHelpers.loadFixture(registered)
    await mined(all.registry.connect(all.governor).setMinimumEvaluation(19))
    await lapses(all)
  })

  it('cannot be made to end a registration by starving it of gas', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(registered)
    const ended = registry.filters.SignerLapsed()
    for (let gasLimit = 30_000; gasLimit < 90_000; gasLimit += 500) {
      await expect(registry.recheck(alice, { gasLimit })).to.be.revert(ethers)
    }
    expect(await registry.queryFilter(ended)).to.deep.equal([])
    expect(await registry.attestedUntil(alice)).not.to.equal(0n)
  })
})

describe('TeeSignerRegistry: governance', () => {
  const roles = {
    allowMeasurement: { holder: 'governor', args: [bytes32(5)] },
    removeMeasurement: { holder: 'guardian', args: [measurement] },
    setMinimumEvaluation: { holder: 'governor', args: [1] },
  } as const
  for (const [name, { holder, args }] of Object.entries(roles))
    it(`${name} is for the ${holder} only`, async () => {
      const all = await networkHelpers.loadFixture(registered)
      const other = holder === 'governor' ? all.guardian : all.governor
      for (const account of [other, all.alice])
        await expect(all.registry.connect(account).getFunction(name)(...args))
          .to.be.revertedWithCustomError(all.registry, 'AccessManagedUnauthorized')
          .withArgs(account.address)
      await mined(all.registry.connect(all[holder]).getFunction(name)(...args))
    })

  it('allows a measurement once, and removes only what is allowed', async () => {
    const { registry, governor, guardian } = await networkHelpers.loadFixture(registered)
    await expect(registry.connect(governor).allowMeasurement(measurement)).to.be.revertedWithCustomError(registry, 'MeasurementAlreadyAllowed')
    await expect(registry.connect(guardian).removeMeasurement(bytes32(9))).to.be.revertedWithCustomError(registry, 'MeasurementNotAllowed')
  })

  it('refuses a minimum evaluation number that nothing could reach', async () => {
    const { registry, governor } = await networkHelpers.loadFixture(registered)
    await expect(registry.connect(governor).setMinimumEvaluation(65_536)).to.be.revertedWithCustomError(registry, 'EvaluationTooOld')
  })

  it('replaces the verifier after notice; registrations made before go on, and are judged by the one that made them', async () => {
    const all = await networkHelpers.loadFixture(registered)
    const { registry, governor, guardian, alice, bob, verifier, link } = all
    const reader = await new CollateralRegistry__factory(link, governor).deploy(pki.rootCertificate)
    const next = await new QuoteVerifier__factory(governor).deploy(reader)
    await expect(registry.connect(guardian).setVerifier(next)).to.be.revertedWithCustomError(registry, 'AccessManagedUnauthorized')
    const sent = await registry.connect(governor).setVerifier(next)
    const effectiveAt = (await sent.getBlock())!.timestamp + Number(await registry.VERIFIER_NOTICE())
    await expect(sent).to.emit(registry, 'VerifierScheduled').withArgs(next.target, effectiveAt)
    expect(await registry.scheduledVerifier()).to.deep.equal([next.target, BigInt(effectiveAt)])
    expect(await registry.verifier()).to.equal(verifier.target)

    await networkHelpers.time.increaseTo(effectiveAt - DAY)
    await mined(registry.register(...(await proof(ethers, registry, { signer: alice.address }))))
    const until = await registry.attestedUntil(alice)
    await networkHelpers.time.increaseTo(effectiveAt)
    expect(await registry.verifier()).to.equal(next.target)
    expect(await registry.scheduledVerifier()).to.deep.equal([ZeroAddress, 0n])
    expect(await registry.attestedUntil(alice)).to.equal(until)
    const args = await proof(ethers, registry, { signer: bob.address })
    await expect(registry.register(...args)).to.be.revertedWithCustomError(reader, 'UnknownAttestationKey')

    const given = calldata(pki.collateral(await chainDate(ethers)))
    await publish(reader, given)
    const parts = quoteParts(pki.quote({ reportData: new Uint8Array(64) }))
    await addPlatform(reader, given, parts)
    await mined(registry.register(...args))
    expect((await registry.signerOf(bob)).platform).to.equal(parts.pck.id)
    // the former registry of collateral hears of a revocation, the present one does not
    const revoking = calldata(pki.collateral(await later(), { revoked: ['pck'] }))
    await mined(all.collateral.addCrl(revoking.pckIssuer.id, revoking.pckCrl))
    await expect(registry.recheck(bob)).to.be.revertedWithCustomError(registry, 'StillGood')
    await expect(registry.recheck(alice)).to.emit(registry, 'SignerLapsed').withArgs(alice.address)
  })

  it('a verifier scheduled anew starts its notice anew', async () => {
    const { registry, governor, verifier } = await networkHelpers.loadFixture(registered)
    const [first, second] = [await deployVerifier(ethers), await deployVerifier(ethers)]
    await mined(registry.connect(governor).setVerifier(first.verifier))
    await networkHelpers.time.increase(20 * DAY)
    await mined(registry.connect(governor).setVerifier(second.verifier))
    await networkHelpers.time.increase(20 * DAY)
    expect(await registry.verifier()).to.equal(verifier.target)
    await networkHelpers.time.increase(DAY)
    expect(await registry.verifier()).to.equal(second.verifier.target)
    await mined(registry.connect(governor).setVerifier(first.verifier))
    expect(await registry.verifier()).to.equal(second.verifier.target)
  })

  it('refuses as verifier what is no contract, or none of that kind', async () => {
    const { registry, governor, manager, alice } = await networkHelpers.loadFixture(registered)
    await expect(registry.connect(governor).setVerifier(alice)).to.be.revertedWithCustomError(registry, 'InvalidVerifier').withArgs(alice.address)
    await expect(registry.connect(governor).setVerifier(manager)).to.be.revert(ethers)
  })

  it('is initialised once, with a lifetime of a week at most', async () => {
    const { registry, manager, verifier } = await networkHelpers.loadFixture(registered)
    await expect(registry.initialize(manager, verifier, 1, 0, [])).to.be.revertedWithCustomError(registry, 'InvalidInitialization')
    const implementation = await ethers.deployContract('TeeSignerRegistry')
    const code = TeeSignerRegistry__factory.createInterface()
    for (const lifetime of [0, LIFETIME + 1]) {
      const data = code.encodeFunctionData('initialize', [manager.target, verifier.target, lifetime, 0, []])
      const made = ethers.deployContract('ERC1967Proxy', [implementation.target, data])
      await expect(made).to.be.revertedWithCustomError(registry, 'InvalidLifetime').withArgs(lifetime, LIFETIME)
    }
    expect(await registry.lifetime()).to.equal(LIFETIME)
    expect(await registry.minimumEvaluation()).to.equal(17n)
    expect(await registry.development()).to.equal(true)
  })
})
