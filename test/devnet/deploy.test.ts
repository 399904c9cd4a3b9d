import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JsonRpcProvider, parseEther, Wallet } from 'ethers'
import { ROLES } from '../../deploy/access.ts'
import { AddressBook } from '../../deploy/address-book.ts'
import { deploy, openBook } from '../../deploy/deploy.ts'
import { connect } from '../../deploy/networks.ts'
import { PROFILES, type Profile } from '../../deploy/profiles.ts'
import { type Chain, startChain } from '../../devnet/chain.ts'
import {
  AccessManager__factory,
  Bonds__factory,
  DataAvailability__factory,
  Flow__factory,
  PoraMine__factory,
  Roles__factory,
  StorageMarket__factory,
  StorageRewards__factory,
  TimelockController__factory,
} from '../../typechain-types/index.ts'

describe('deploy', () => {
  const profile = PROFILES.local!
  let folder: string
  let chain: Chain
  let provider: JsonRpcProvider
  let signer: Wallet

  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const block = () => provider.getBlockNumber()

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-deploy-'))
    chain = await startChain()
    provider = connect(chain.url)
    signer = wallet(1)
  })
  afterEach(async () => {
    provider.destroy()
    await chain.stop()
    rmSync(folder, { recursive: true })
  })

  it('deploys contracts that know each other, governed by roles, and leaves account 0 alone', async () => {
    const at = await deploy({ signer, profile, book: await openBook(signer, folder) })
    const flow = Flow__factory.connect(at.Flow!, provider)
    const market = StorageMarket__factory.connect(at.StorageMarket!, provider)
    const rewards = StorageRewards__factory.connect(at.StorageRewards!, provider)
    const mine = PoraMine__factory.connect(at.PoraMine!, provider)
    assert.equal(await flow.market(), at.StorageMarket)
    assert.equal(await flow.rewards(), at.StorageRewards)
    assert.equal(await market.pricePerSector(), profile.storage!.pricePerSector)
    assert.equal(await rewards.totalBaseReward(), profile.storage!.basePool)
    assert.equal(await rewards.mine(), at.PoraMine)
    assert.equal(await mine.flow(), at.Flow)
    assert.equal(await mine.rewards(), at.StorageRewards)
    assert.equal(await Bonds__factory.connect(at.Bonds!, provider).MAX_DELAY(), 180n * 86_400n)
    const da = DataAvailability__factory.connect(at.DataAvailability!, provider)
    const { minStake, minSigners, epochLength, retention, answerTime } = profile.da!
    assert.deepEqual([await da.minStake(), await da.minSigners(), await da.epochLength()], [minStake, minSigners, epochLength])
    assert.equal(await da.bondDelay(), 4n * epochLength + retention + answerTime + 86_400n)
    const bondId = await Bonds__factory.connect(at.Bonds!, provider).bondId(signer.address, [at.AvailabilityChallenges!], await da.bondDelay())
    assert.equal(await da.bondIdOf(signer.address), bondId)
    for (const contract of [flow, market, rewards, mine, da]) assert.equal(await contract.authority(), at.AccessManager)

    await (await market.connect(signer).schedulePrice(7n)).wait()
    await (await flow.connect(signer).pause(60n)).wait()
    await assert.rejects(market.connect(wallet(6)).schedulePrice.staticCall(7n), /AccessManagedUnauthorized/)
    await (await mine.connect(signer).setMaxShards(64n)).wait()
    await assert.rejects(mine.connect(wallet(6)).setMaxShards.staticCall(64n), /AccessManagedUnauthorized/)
    await assert.rejects(rewards.connect(wallet(6)).setBaseReward.staticCall(7n), /AccessManagedUnauthorized/)
    await (await da.connect(signer).setMinSigners(5)).wait()
    await assert.rejects(da.connect(wallet(6)).setMinSigners.staticCall(5), /AccessManagedUnauthorized/)
    assert.equal(await provider.getTransactionCount(chain.accounts[0]!.address), 0)
  })

  it('changes nothing when run again, and keeps what governance changed', async () => {
    const at = await deploy({ signer, profile, book: await openBook(signer, folder) })
    await (await StorageRewards__factory.connect(at.StorageRewards!, signer).setBaseReward(5n)).wait()
    const before = { block: await block(), book: readFileSync(join(folder, '31337.json'), 'utf8') }
    const steps: string[] = []
    await deploy({ signer, profile, book: await openBook(signer, folder), onStep: (step) => steps.push(step) })
    assert.deepEqual({ block: await block(), book: readFileSync(join(folder, '31337.json'), 'utf8') }, before)
    assert.deepEqual(steps, [])
  })

  it('resumes after an interruption at any step, with the same addresses', async () => {
    const fresh = await chain.request('evm_snapshot', [])
    const steps: string[] = []
    const expected = await deploy({ signer, profile, book: AddressBook.open(31337), onStep: (step) => steps.push(step) })
    await chain.request('evm_revert', [fresh])

    // Every run sends one transaction and dies before the next.
    const done: string[] = []
    for (let left = steps.length; left > 0; left--) {
      let sent = 0
      const onStep = (step: string) => {
        if (sent++ === 1) throw new Error('power cut')
        done.push(step)
      }
      const run = deploy({ signer, profile, book: await openBook(signer, folder), onStep })
      if (left > 1) await assert.rejects(run, /power cut/)
      else assert.deepEqual(await run, expected)
    }
    assert.deepEqual(done, steps)
    assert.equal(await provider.getTransactionCount(signer.address), steps.length)
  })

  it('starts a half-made group anew when its promised addresses are lost', async () => {
    let sent = 0
    const crash = (step: string) => {
      if (step === 'deploy Flow' && sent++ === 0) throw new Error('power cut')
    }
    const path = join(folder, '31337.json')
    await assert.rejects(deploy({ signer, profile, book: AddressBook.open(31337, path), onStep: crash }), /power cut/)
    await (await signer.sendTransaction({ to: signer.address })).wait()
    const at = await deploy({ signer, profile, book: AddressBook.open(31337, path) })
    assert.equal(await Flow__factory.connect(at.Flow!, provider).market(), at.StorageMarket)
    assert.equal(await StorageMarket__factory.connect(at.StorageMarket!, provider).pricePerSector(), profile.storage!.pricePerSector)
  })

  it('hands over to a timelock in the same run and leaves the deployer no role', async () => {
    const [proposer, guardian] = [wallet(7), wallet(8)]
    const timelock = { delay: 60, proposers: [proposer.address], executors: [] }
    const governed: Profile = { ...profile, access: { guardians: [guardian.address], timelock } }
    const at = await deploy({ signer, profile: governed, book: await openBook(signer, folder) })
    const manager = AccessManager__factory.connect(at.AccessManager!, provider)
    for (const role of Object.values(ROLES)) assert.equal((await manager.hasRole(role, signer.address)).isMember, false)
    await (await Flow__factory.connect(at.Flow!, guardian).pause(60n)).wait()

    const controller = TimelockController__factory.connect(at.TimelockController!, proposer)
    const data = StorageMarket__factory.createInterface().encodeFunctionData('schedulePrice', [9n])
    const zero = `0x${'00'.repeat(32)}`
    await (await controller.schedule(at.StorageMarket!, 0n, data, zero, zero, 60n)).wait()
    await assert.rejects(controller.execute.staticCall(at.StorageMarket!, 0n, data, zero, zero), /TimelockUnexpectedOperationState/)
    await chain.request('evm_increaseTime', [61])
    await (await controller.execute(at.StorageMarket!, 0n, data, zero, zero)).wait()

    const before = await block()
    await deploy({ signer, profile: governed, book: await openBook(signer, folder) })
    assert.equal(await block(), before, 'a second run changes nothing')
  })

  it('refills the pool of base rewards when it runs low', async () => {
    const low: Profile = { ...profile, storage: { ...profile.storage!, basePool: parseEther('0.1') } }
    const at = await deploy({ signer, profile: low, book: await openBook(signer, folder) })
    await deploy({ signer, profile, book: await openBook(signer, folder) })
    assert.equal(await StorageRewards__factory.connect(at.StorageRewards!, provider).totalBaseReward(), profile.storage!.basePool)
  })

  it('refuses the reserved account, another chain’s book, and a book whose contracts are not there', async () => {
    await assert.rejects(deploy({ signer: wallet(0), profile, book: AddressBook.open(31337) }), /kept for the compute contracts/)
    const book = await openBook(signer, folder)
    await deploy({ signer, profile, book })
    assert.throws(() => AddressBook.open(1, join(folder, '31337.json')), /is of chain id 31337, not 1/)
    const other = await startChain()
    const to = connect(other.url)
    await assert.rejects(deploy({ signer: signer.connect(to), profile, book }), /there is no contract: is this the right network/)
    to.destroy()
    await other.stop()
  })

  it('numbers the roles as the contracts do', async () => {
    const roles = await new Roles__factory(signer).deploy()
    assert.deepEqual([await roles.GOVERNOR(), await roles.GUARDIAN(), await roles.UPGRADER()], [ROLES.GOVERNOR, ROLES.GUARDIAN, ROLES.UPGRADER])
  })
})
