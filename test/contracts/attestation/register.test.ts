import { expect } from 'chai'
import { keccak256, ZeroAddress } from 'ethers'
import { network } from 'hardhat'
import { parseQuote, type TdReport } from '../../../protocol/attestation/quote.ts'
import { signerReportData } from '../../../protocol/attestation/report-data.ts'
import { TeeSignerRegistry__factory } from '../../../typechain-types/index.ts'
import { bytes32, chainDate, DAY, deployRegistry, LIFETIME, measurement, NOTHING, pki, proof, withCollateral } from './deploy.ts'
import { addPlatform, calldata, flipped, mined, publish, quoteParts } from './platform.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2027-01-01T00:00:00Z', gas: 8_000_000 } })
const deployed = () => withCollateral(ethers)
const untilDay = 30 * DAY

describe('TeeSignerRegistry: registration', () => {
  it('registers whom a quote proves, whoever sends it, and says what was proven', async () => {
    const { registry, alice, bob } = await networkHelpers.loadFixture(deployed)
    const claim = { signer: alice.address, encryptionKey: bytes32(0xe1), tlsKey: bytes32(0x71) }
    const sent = await registry.connect(bob).register(...(await proof(ethers, registry, claim)))
    const { timestamp } = (await sent.getBlock())!
    const until = timestamp + LIFETIME
    await expect(sent).to.emit(registry, 'SignerRegistered').withArgs(alice.address, measurement, claim.encryptionKey, claim.tlsKey, until, 0)
    expect(await registry.attestedUntil(alice)).to.equal(until)
    const { pck } = quoteParts(pki.quote({ reportData: new Uint8Array(64) }))
    expect(await registry.signerOf(alice)).to.deep.equal([measurement, pck.id, claim.encryptionKey, claim.tlsKey, timestamp, until, 0n, false])
  })

  it('knows nothing of a signer that never registered', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    expect(await registry.attestedUntil(alice)).to.equal(0n)
    expect(await registry.signerOf(alice)).to.deep.equal([NOTHING, `0x${'00'.repeat(20)}`, NOTHING, NOTHING, 0n, 0n, 0n, false])
  })

  it('takes quotes of version 5 as well', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    await mined(registry.register(...(await proof(ethers, registry, { signer: alice.address, quote: { version: 5 } }))))
    expect(await registry.attestedUntil(alice)).not.to.equal(0n)
  })

  it('renews a signer, whose keys may change, and never shortens what others have', async () => {
    const { registry, alice, bob } = await networkHelpers.loadFixture(deployed)
    await mined(registry.register(...(await proof(ethers, registry, { signer: alice.address }))))
    await mined(registry.register(...(await proof(ethers, registry, { signer: bob.address }))))
    const [first, other] = [await registry.attestedUntil(alice), await registry.attestedUntil(bob)]
    await networkHelpers.time.increase(DAY)
    await mined(registry.register(...(await proof(ethers, registry, { signer: alice.address, encryptionKey: bytes32(1) }))))
    expect(await registry.attestedUntil(alice)).to.be.greaterThan(first)
    expect((await registry.signerOf(alice)).encryptionKey).to.equal(bytes32(1))
    expect(await registry.attestedUntil(bob)).to.equal(other)
  })

  it('ends with the collateral it rests on, if that is sooner', async () => {
    const { registry, collateral, alice, given } = await networkHelpers.loadFixture(deployed)
    const { until } = await collateral.tcbInfoOf(given.tcbInfo.fmspc, given.tcbInfo.pceId)
    await networkHelpers.time.increaseTo(Number(until) - DAY)
    await mined(registry.register(...(await proof(ethers, registry, { signer: alice.address }))))
    expect(await registry.attestedUntil(alice)).to.equal(until)
  })

  it('wants collateral in place first', async () => {
    const { registry, collateral, alice } = await deployRegistry(ethers)
    const args = await proof(ethers, registry, { signer: alice.address })
    await expect(registry.register(...args)).to.be.revertedWithCustomError(collateral, 'UnknownAttestationKey')
  })

  it('refuses a signer 0', async () => {
    const { registry } = await networkHelpers.loadFixture(deployed)
    const args = await proof(ethers, registry, { signer: ZeroAddress })
    await expect(registry.register(...args)).to.be.revertedWithCustomError(registry, 'InvalidSigner')
  })

  it('refuses code that is not allowed', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    for (const [name, other] of [
      ['MRTD', { mrTd: new Uint8Array(48).fill(1) }],
      ['RTMR1', { rtMr: [0, 1, 2, 3].map((i) => new Uint8Array(48).fill(i)) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array] }],
      ['MRCONFIGID', { mrConfigId: new Uint8Array(48).fill(1) }],
    ] as const) {
      const args = await proof(ethers, registry, { signer: alice.address, quote: { measurement: other } })
      await expect(registry.register(...args), name).to.be.revertedWithCustomError(registry, 'MeasurementNotAllowed')
    }
  })

  it('allows any shape and any instance of the machine: RTMR0 and RTMR3 do not matter', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    const { rtMr } = parseQuote(pki.quote({ reportData: new Uint8Array(64) })).report as TdReport
    const other = new Uint8Array(48).fill(9)
    const args = await proof(ethers, registry, { signer: alice.address, quote: { measurement: { rtMr: [other, rtMr[1], rtMr[2], other] } } })
    await mined(registry.register(...args))
  })

  describe('refuses a quote made for something else:', () => {
    const other = { signer: `0x${'bb'.repeat(20)}`, registry: `0x${'cc'.repeat(20)}` }
    for (const [name, instead] of Object.entries({
      'another chain': { chainId: 1n },
      'another registry': { registry: other.registry },
      'another signer': { signer: other.signer },
      'another encryption key': { encryptionKey: bytes32(2) },
      'another TLS key': { tlsKey: bytes32(2) },
    }))
      it(name, async () => {
        const { registry, alice } = await networkHelpers.loadFixture(deployed)
        const args = await proof(ethers, registry, { signer: alice.address, instead })
        await expect(registry.register(...args)).to.be.revertedWithCustomError(registry, 'WrongReportData')
      })
  })

  it('refuses a quote for a registry of another deployment, or of another address on the same chain', async () => {
    const { registry, alice, manager, verifier, collateral } = await networkHelpers.loadFixture(deployed)
    const args = await proof(ethers, registry, { signer: alice.address })
    const implementation = await ethers.deployContract('TeeSignerRegistry')
    const data = TeeSignerRegistry__factory.createInterface().encodeFunctionData('initialize', [manager.target, verifier.target, LIFETIME, 0, [measurement]])
    const proxy = await ethers.deployContract('ERC1967Proxy', [implementation.target, data])
    const twin = TeeSignerRegistry__factory.connect(proxy.target as string, alice)
    await expect(twin.register(...args)).to.be.revertedWithCustomError(twin, 'WrongReportData')
    expect(await collateral.development()).to.equal(true)
  })

  it('refuses a quote that is not fresh: older than 256 blocks, of a later block, or of another block than it says', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    const old = await proof(ethers, registry, { signer: alice.address })
    await networkHelpers.mine(256)
    await expect(registry.register(...old))
      .to.be.revertedWithCustomError(registry, 'NotFresh')
      .withArgs(old[4])
    const [quote, signer, encryptionKey, tlsKey, number] = await proof(ethers, registry, { signer: alice.address })
    for (const other of [number + 1, number - 1, number + 1000])
      await expect(registry.register(quote, signer, encryptionKey, tlsKey, other)).to.be.revertedWithCustomError(registry, 'NotFresh')
    const zeros = await proof(ethers, registry, { signer: alice.address, instead: { blockHash: NOTHING } })
    await expect(registry.register(quote, signer, encryptionKey, tlsKey, 2n ** 200n)).to.be.revertedWithCustomError(registry, 'NotFresh')
    await expect(registry.register(zeros[0], signer, encryptionKey, tlsKey, number + 1000)).to.be.revertedWithCustomError(registry, 'NotFresh')
    // 256 blocks back is still in reach
    const last = await proof(ethers, registry, { signer: alice.address })
    await networkHelpers.mine(255)
    await mined(registry.register(...last))
  })

  it('uses a quote once, and none that is older than the last', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    const older = await proof(ethers, registry, { signer: alice.address, encryptionKey: bytes32(1) })
    await networkHelpers.mine(1)
    const args = await proof(ethers, registry, { signer: alice.address, encryptionKey: bytes32(2) })
    await mined(registry.register(...args))
    for (const used of [args, older])
      await expect(registry.register(...used))
        .to.be.revertedWithCustomError(registry, 'QuoteAlreadyUsed')
        .withArgs(alice.address, used[4])
    expect((await registry.signerOf(alice)).encryptionKey).to.equal(bytes32(2))
  })

  it('refuses a platform that is not up to date, and says so', async () => {
    const { registry, collateral, alice } = await deployRegistry(ethers)
    const statuses = ['UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded'] as const
    const worse = ['OutOfDate', 'OutOfDateConfigurationNeeded', 'Revoked'] as const
    for (const [i, tcbStatus] of [...statuses, ...worse].entries()) {
      const given = calldata(pki.collateral(await chainDate(ethers), { tcbStatus }))
      if (i === 0) {
        await publish(collateral, given)
        await addPlatform(collateral, given, quoteParts(pki.quote({ reportData: new Uint8Array(64) })))
      } else {
        await networkHelpers.time.increase(60)
        await mined(collateral.addTcbInfo(given.tcbInfo.text, given.tcbInfo.signature, given.tcbSigner.id))
      }
      const args = await proof(ethers, registry, { signer: alice.address })
      if (i > 1)
        await expect(registry.register(...args), tcbStatus)
          .to.be.revertedWithCustomError(registry, 'TcbNotAccepted')
          .withArgs(i)
      else {
        await mined(registry.register(...args))
        expect((await registry.signerOf(alice)).tcbStatus).to.equal(i)
      }
    }
  })

  it('refuses collateral below the minimum evaluation number', async () => {
    const { registry, governor, alice } = await networkHelpers.loadFixture(deployed)
    await expect(registry.connect(governor).setMinimumEvaluation(19)).to.emit(registry, 'MinimumEvaluationSet').withArgs(19)
    const args = await proof(ethers, registry, { signer: alice.address })
    await expect(registry.register(...args))
      .to.be.revertedWithCustomError(registry, 'EvaluationTooOld')
      .withArgs(18, 19)
    await mined(registry.connect(governor).setMinimumEvaluation(18))
    await mined(registry.register(...args))
  })

  it('refuses everything once collateral has expired, until it is refreshed', async () => {
    const { registry, collateral, alice, given } = await networkHelpers.loadFixture(deployed)
    await networkHelpers.time.increase(untilDay)
    const args = await proof(ethers, registry, { signer: alice.address })
    await expect(registry.register(...args)).to.be.revertedWithCustomError(collateral, 'CrlExpired')
    const fresh = calldata(pki.collateral(await chainDate(ethers)))
    await mined(collateral.addCrl(given.pckIssuer.id, fresh.pckCrl))
    await expect(registry.register(...args)).to.be.revertedWithCustomError(collateral, 'NoQeIdentity')
    await mined(collateral.addQeIdentity(fresh.qeIdentity.text, fresh.qeIdentity.signature, given.tcbSigner.id))
    await expect(registry.register(...args)).to.be.revertedWithCustomError(collateral, 'NoTcbInfo')
    await mined(collateral.addTcbInfo(fresh.tcbInfo.text, fresh.tcbInfo.signature, given.tcbSigner.id))
    await mined(registry.register(...args))
  })

  it('refuses a quote with any one byte of what is signed, of the signature or of the key changed', async function () {
    this.timeout(120_000)
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    // static calls are made in the latest block, which has no hash yet for them
    const [quote, ...rest] = await proof(ethers, registry, { signer: alice.address, blockNumber: (await ethers.provider.getBlockNumber()) - 1 })
    await registry.register.staticCall(quote, ...rest)
    const size = (quote.length - 2) / 2
    // the size of the signature data, which nothing reads, is four bytes before the signature
    for (let i = 0; i < size; i++)
      if (i < size - 132 || i >= size - 128) await expect(registry.register.staticCall(flipped(quote, i, i % 8), ...rest), `byte ${i}`).to.be.revert(ethers)
  })

  it('derives REPORTDATA as the client does', async () => {
    const { registry, alice } = await networkHelpers.loadFixture(deployed)
    const claim = { chainId: 31337n, registry: registry.target as string, signer: alice.address, encryptionKey: bytes32(1), tlsKey: bytes32(2) }
    const data = signerReportData({ ...claim, blockHash: keccak256('0x') })
    expect(await registry.reportDataOf(alice, claim.encryptionKey, claim.tlsKey)).to.equal(`0x${Buffer.from(data.subarray(0, 32)).toString('hex')}`)
  })
})
