import { expect } from 'chai'
import { network } from 'hardhat'
import { ROLES } from '../../../deploy/access.ts'
import { deriveBlsKey, provePossession } from '../../../protocol/da/bls.ts'
import { possessionDigest } from '../../../protocol/da/certificate.ts'
import { AccessManager__factory, DataAvailability__factory } from '../../../typechain-types/index.ts'
import { bond, type Da, deployDa, erc7201, registerMany, registration, STAKE, testSigner, URL } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
const P = 21888242871839275222246405745257275088696311157297823662689037894645226208583n
const MAX_URL = 128

/** One signer registered, one that only has its stake. */
async function one() {
  const of = await deployDa(ethers)
  const [alice] = await registerMany(of, 1)
  const bob = testSigner(1, ethers)
  await networkHelpers.setBalance(bob.wallet.address, STAKE)
  const bondId = await bond(of, bob)
  return { ...of, alice: alice!, bob, bondId }
}

/** Five signers, and the next epoch begun to be built. */
async function building() {
  const of = await deployDa(ethers)
  const signers = await registerMany(of, 5)
  const late = testSigner(5, ethers)
  await networkHelpers.setBalance(late.wallet.address, STAKE)
  await bond(of, late)
  await of.da.advance(1)
  return { ...of, signers, late }
}

/** The signer `id`; typed classes have a property of that name. */
const signerOf = (da: Da['da'], id: number) => da.getFunction('signer')(id)
const as = ({ da }: Da, { wallet }: { wallet: Parameters<typeof da.connect>[0] }) => da.connect(wallet)

describe('Data availability: signers', () => {
  it('register with stake and a key whose possession they prove', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, bob } = of
    expect(await da.signerIdOf(bob.wallet)).to.equal(0n)
    const args = registration(of, bob)
    const sent = as(of, bob).register(...args)
    await expect(sent).to.emit(da, 'SignerRegistered')
    const [event] = await da.queryFilter(da.filters.SignerRegistered(2))
    const { id, account, key, keyG2, url } = event!.args
    expect([id, account, key, keyG2, url]).to.deep.equal([2n, bob.wallet.address, point(bob.bls.key), [bob.bls.keyG2.x, bob.bls.keyG2.y], URL])
    expect(await da.signerIdOf(bob.wallet)).to.equal(2n)
    expect(await signerOf(da, 2)).to.deep.equal([bob.wallet.address, true, point(bob.bls.key), URL])
    expect(await da.activeSigners()).to.equal(2n)
  })

  it('are told what to sign, bound to chain, contract and account, and which bond counts', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, bonds, challenges, domain, bob } = of
    expect(await da.possessionDigest(bob.wallet)).to.equal(possessionDigest(domain, bob.wallet.address))
    const delay = await da.bondDelay()
    expect(await da.bondIdOf(bob.wallet)).to.equal(await bonds.bondId(bob.wallet, [challenges], delay))
    const { epochLength, retention, answerTime } = { epochLength: 120n, retention: 3600n, answerTime: 300n }
    expect(delay).to.equal(86_400n + 4n * epochLength + retention + answerTime)
    for (const unknown of [0, 2]) expect(await signerOf(da, unknown)).to.deep.equal([ethers.ZeroAddress, false, [0n, 0n], ''])
  })

  it('register once, with a key of their own', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, alice, bob } = of
    await expect(as(of, alice).register(...registration(of, { ...alice, bls: bob.bls })))
      .to.be.revertedWithCustomError(da, 'AlreadyRegistered')
      .withArgs(alice.wallet.address, 1n)
    await expect(as(of, bob).register(...registration(of, { ...bob, bls: alice.bls })))
      .to.be.revertedWithCustomError(da, 'KeyTaken')
      .withArgs(1n)
  })

  it('can’t register a key that they don’t have', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, domain, alice, bob } = of
    const [key, keyG2, proof, counter, y] = registration(of, bob)
    const third = testSigner(2, ethers).bls
    // The opposite of the sum of others' keys: with it, nobody would have to sign.
    const rogue = { x: alice.bls.key.x, y: P - alice.bls.key.y }
    const rogueG2 = { x: alice.bls.keyG2.x, y: alice.bls.keyG2.y.map((part) => (part === 0n ? 0n : P - part)) as [bigint, bigint] }
    const provenFor = (other: Partial<typeof domain>, account = bob.wallet.address) => provePossession(bob.bls, { ...domain, ...other }, account)
    const zero = { x: 0n, y: 0n }
    type Arguments = [unknown, unknown, unknown, unknown, unknown]
    const replayed = ({ proof, counter, y }: ReturnType<typeof provenFor>): Arguments => [key, keyG2, proof, counter, y]
    const refused: [string, Arguments][] = [
      ['the key of another, by a proof of one’s own', [third.key, third.keyG2, proof, counter, y]],
      ['keys in G1 and G2 that differ', [key, third.keyG2, proof, counter, y]],
      ['… the other way round', [third.key, keyG2, proof, counter, y]],
      ['the opposite of another’s key', [rogue, rogueG2, proof, counter, y]],
      ['infinity, which signs everything', [zero, { x: [0n, 0n], y: [0n, 0n] }, zero, counter, y]],
      ['a key off the curve', [{ x: 1n, y: 1n }, keyG2, proof, counter, y]],
      ['the key with coordinates that are not reduced', [{ x: bob.bls.key.x + P, y: bob.bls.key.y }, keyG2, proof, counter, y]],
      ['a key off the twist', [key, { x: bob.bls.keyG2.x, y: bob.bls.keyG2.x }, proof, counter, y]],
      ['a proof off the curve', [key, keyG2, { x: 1n, y: 1n }, counter, y]],
      ['no proof', [key, keyG2, zero, counter, y]],
      ['another counter', [key, keyG2, proof, counter + 1, y]],
      ['the larger root', [key, keyG2, proof, counter, P - y]],
      ['a proof for another account', replayed(provenFor({}, alice.wallet.address))],
      ['a proof for another chain', replayed(provenFor({ chainId: 1n }))],
      ['a proof for another contract', replayed(provenFor({ contract: alice.wallet.address }))],
    ]
    for (const [what, args] of refused)
      await expect(as(of, bob).register(...(args as [never, never, never, never, never]), URL, { gasLimit: 16_000_000 }), what).to.be.revertedWithCustomError(
        da,
        'InvalidProofOfPossession',
      )
    await as(of, bob).register(key, keyG2, proof, counter, y, URL)
  })

  it('take keys derived from their ECDSA keys', async () => {
    const of = await networkHelpers.loadFixture(one)
    const bls = deriveBlsKey(ethers.getBytes(of.bob.wallet.privateKey))
    await as(of, of.bob).register(...registration(of, { ...of.bob, bls }))
    expect((await signerOf(of.da, 2)).key).to.deep.equal(point(bls.key))
  })

  it('need the least stake, in the bond that can be taken, not asked back', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, bonds, bob, bondId, governor, challenges } = of
    const carol = testSigner(2, ethers)
    await networkHelpers.setBalance(carol.wallet.address, STAKE)
    const delay = await da.bondDelay()
    await bonds.bond(carol.wallet, [challenges], delay - 1n, { value: STAKE })
    await bonds.bond(carol.wallet, [governor], delay, { value: STAKE })
    const small = (stake: bigint, signer: typeof bob) =>
      expect(as(of, signer).register(...registration(of, signer)))
        .to.be.revertedWithCustomError(da, 'StakeTooSmall')
        .withArgs(stake, STAKE)
    await small(0n, carol)
    await bonds.connect(bob.wallet).unbond(bondId, 1n)
    await small(STAKE - 1n, bob)
    await bonds.connect(bob.wallet).rebond(bondId, 1n)
    await as(of, bob).register(...registration(of, bob))
  })

  it('say where they serve, and may change it', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, alice, bob } = of
    await expect(as(of, alice).setUrl('elsewhere:1')).to.emit(da, 'SignerUrlChanged').withArgs(1n, 'elsewhere:1')
    expect((await signerOf(da, 1)).url).to.equal('elsewhere:1')
    await as(of, alice).setUrl('x'.repeat(MAX_URL))
    for (const length of [0, MAX_URL + 1])
      for (const sent of [as(of, alice).setUrl('x'.repeat(length)), as(of, bob).register(...registration(of, bob, 'x'.repeat(length)))])
        await expect(sent).to.be.revertedWithCustomError(da, 'InvalidUrl').withArgs(length, MAX_URL)
    await expect(as(of, bob).setUrl(URL)).to.be.revertedWithCustomError(da, 'NotSigner').withArgs(bob.wallet.address)
  })

  it('resign, and join again', async () => {
    const of = await networkHelpers.loadFixture(one)
    const { da, bonds, alice, bob } = of
    await as(of, bob).register(...registration(of, bob))
    await expect(as(of, alice).join()).to.be.revertedWithCustomError(da, 'AlreadyActive').withArgs(1n)
    await expect(as(of, alice).resign()).to.emit(da, 'SignerLeft').withArgs(1n)
    expect([await da.activeSigners(), (await signerOf(da, 1)).active, (await signerOf(da, 2)).active]).to.deep.equal([1n, false, true])
    await expect(as(of, alice).resign()).to.be.revertedWithCustomError(da, 'NotActive').withArgs(1n)
    await as(of, bob).resign()
    expect(await da.activeSigners()).to.equal(0n)
    await expect(as(of, alice).join()).to.emit(da, 'SignerJoined').withArgs(1n)
    await as(of, bob).join()
    expect([await da.activeSigners(), (await signerOf(da, 1)).active, (await signerOf(da, 2)).active]).to.deep.equal([2n, true, true])

    await as(of, alice).resign()
    await bonds.connect(alice.wallet).unbond(await da.bondIdOf(alice.wallet), 1n)
    await expect(as(of, alice).join())
      .to.be.revertedWithCustomError(da, 'StakeTooSmall')
      .withArgs(STAKE - 1n, STAKE)
    const stranger = testSigner(7, ethers)
    await networkHelpers.setBalance(stranger.wallet.address, STAKE)
    for (const sent of [as(of, stranger).join(), as(of, stranger).resign()])
      await expect(sent).to.be.revertedWithCustomError(da, 'NotSigner').withArgs(stranger.wallet.address)
  })

  it('wait while an epoch is being built', async () => {
    const of = await networkHelpers.loadFixture(building)
    const { da, signers, late } = of
    const [first] = signers
    for (const sent of [as(of, first!).resign(), as(of, late).register(...registration(of, late))])
      await expect(sent).to.be.revertedWithCustomError(da, 'EpochBeingBuilt').withArgs(1n)
    await as(of, first!).setUrl('elsewhere:1')
    await da.advance(100)
    await as(of, first!).resign()
    await networkHelpers.time.increase(120)
    await da.advance(0)
    await expect(as(of, first!).join()).to.be.revertedWithCustomError(da, 'EpochBeingBuilt').withArgs(2n)
  })

  it('are no more than two bytes can number', async () => {
    const of = await networkHelpers.loadFixture(one)
    // Registering that many takes hours: the length of the list is overwritten instead.
    const slot = BigInt(erc7201('perigee.storage.Signers')) + 1n
    const at = of.at.DataAvailability!
    expect(BigInt(await ethers.provider.getStorage(at, slot))).to.equal(1n)
    await networkHelpers.setStorageAt(at, slot, 65_535)
    await expect(as(of, of.bob).register(...registration(of, of.bob)))
      .to.be.revertedWithCustomError(of.da, 'TooManySigners')
      .withArgs(65_535n)
    await networkHelpers.setStorageAt(at, slot, 65_534)
    await as(of, of.bob).register(...registration(of, of.bob))
  })
})

describe('Data availability: governance', () => {
  it('sets the least stake and the least number of signers', async () => {
    const { da, stranger } = await networkHelpers.loadFixture(one)
    await expect(da.setMinStake(7n)).to.emit(da, 'MinStakeChanged').withArgs(7n)
    expect(await da.minStake()).to.equal(7n)
    await expect(da.setMinStake(0n)).to.be.revertedWithCustomError(da, 'ZeroMinStake')
    await expect(da.setMinSigners(9)).to.emit(da, 'MinSignersChanged').withArgs(9n)
    expect(await da.minSigners()).to.equal(9n)
    await expect(da.setMinSigners(0)).to.be.revertedWithCustomError(da, 'ZeroMinSigners')
    for (const sent of [da.connect(stranger).setMinStake(7n), da.connect(stranger).setMinSigners(7)])
      await expect(sent).to.be.revertedWithCustomError(da, 'AccessManagedUnauthorized')
  })

  it('replaces the implementation, by the upgrader alone', async () => {
    const { at, da, governor, stranger, bonds, randomness } = await networkHelpers.loadFixture(one)
    const next = await new DataAvailability__factory(governor).deploy(bonds, randomness, governor, 60, 60)
    const manager = AccessManager__factory.connect(at.AccessManager!, governor)
    await manager.grantRole(ROLES.GOVERNOR, stranger, 0)
    await expect(da.connect(stranger).upgradeToAndCall(next, '0x')).to.be.revertedWithCustomError(da, 'AccessManagedUnauthorized')
    await expect(next.initialize(at.AccessManager!, 1n, 1n)).to.be.revertedWithCustomError(da, 'InvalidInitialization')
    await expect(da.initialize(at.AccessManager!, 1n, 1n)).to.be.revertedWithCustomError(da, 'InvalidInitialization')
    await da.upgradeToAndCall(next, '0x')
    expect([await da.epochLength(), await da.activeSigners()]).to.deep.equal([60n, 1n])
  })

  it('begins with parameters that make sense', async () => {
    const { at, da, governor, bonds, randomness } = await networkHelpers.loadFixture(one)
    const deploy = (epochLength: number, answerTime = 60) =>
      new DataAvailability__factory(governor).deploy(bonds, randomness, governor, epochLength, answerTime)
    for (const length of [0, 30 * 86_400 + 1]) await expect(deploy(length)).to.be.revertedWithCustomError(da, 'InvalidEpochLength').withArgs(length)
    const longest = await bonds.MAX_DELAY()
    const [most, least] = [Number(longest), Number(await (await deploy(60, 0)).bondDelay())]
    await expect(deploy(60, most - least + 1))
      .to.be.revertedWithCustomError(da, 'BondDelayTooLong')
      .withArgs(longest + 1n, longest)
    expect(await (await deploy(60, most - least)).bondDelay()).to.equal(longest)
    const implementation = await deploy(30 * 86_400)
    const proxy = await ethers.getContractFactory('ERC1967Proxy')
    const initialised = (minStake: bigint, minSigners: number) =>
      proxy.deploy(implementation, da.interface.encodeFunctionData('initialize', [at.AccessManager!, minStake, minSigners]))
    await expect(initialised(0n, 1)).to.be.revertedWithCustomError(da, 'ZeroMinStake')
    await expect(initialised(1n, 0)).to.be.revertedWithCustomError(da, 'ZeroMinSigners')
    await initialised(1n, 1)
  })
})

const point = ({ x, y }: { x: bigint; y: bigint }) => [x, y]
