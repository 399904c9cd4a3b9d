import { expect } from 'chai'
import type { Signer } from 'ethers'
import { network } from 'hardhat'
import { AddressBook } from '../../../deploy/address-book.ts'
import { checkRandomness, deployDa } from '../../../deploy/da.ts'
import { Deployer } from '../../../deploy/deployer.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { AccessManager__factory, Bonds__factory, PrevRandao__factory } from '../../../typechain-types/index.ts'

const { ethers, networkHelpers } = await network.create()
const { AbiCoder, id, keccak256, ZeroHash } = ethers
const deployed = async () => {
  const [deployer, alice, bob] = (await ethers.getSigners()) as unknown as [Signer, Signer, Signer]
  return { deployer, alice, bob, randomness: await new PrevRandao__factory(deployer).deploy() }
}
const seedAfter = (seed: string, value: bigint, contribution: string) =>
  keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256', 'bytes32'], [seed, value, contribution]))

describe('PrevRandao', () => {
  it('chains the seeds of each consumer by the randomness of blocks and what it contributes', async () => {
    const { randomness, alice, bob } = await networkHelpers.loadFixture(deployed)
    const draw = async (by: Signer, value: bigint, contribution: string) => {
      await networkHelpers.setPrevRandao(value)
      return randomness.connect(by).draw(contribution)
    }
    expect(await randomness.seedOf(alice)).to.equal(ZeroHash)
    const first = seedAfter(ZeroHash, 77n, id('a'))
    await expect(draw(alice, 77n, id('a')))
      .to.emit(randomness, 'SeedDrawn')
      .withArgs(await alice.getAddress(), first)
    await draw(bob, 78n, id('b'))
    expect(await randomness.seedOf(alice), 'as if nobody else had drawn').to.equal(first)
    expect(await randomness.seedOf(bob)).to.equal(seedAfter(ZeroHash, 78n, id('b')))
    await draw(alice, 79n, id('c'))
    expect(await randomness.seedOf(alice)).to.equal(seedAfter(first, 79n, id('c')))
  })

  it('refuses a value that another block had when the consumer last drew, and those of chains that have none', async () => {
    const { randomness, alice, bob } = await networkHelpers.loadFixture(deployed)
    await networkHelpers.setPrevRandao(77n)
    await randomness.connect(alice).draw(id('a'))
    await networkHelpers.setPrevRandao(77n)
    await expect(randomness.connect(alice).draw(id('b')))
      .to.be.revertedWithCustomError(randomness, 'ConstantRandomness')
      .withArgs(77n)
    await networkHelpers.setPrevRandao(77n)
    await randomness.connect(bob).draw(id('b'))
    for (const constant of [0n, 1n]) {
      await networkHelpers.setPrevRandao(constant)
      await expect(randomness.connect(alice).draw(id('b')))
        .to.be.revertedWithCustomError(randomness, 'ConstantRandomness')
        .withArgs(constant)
    }
    await networkHelpers.setPrevRandao(2n)
    await randomness.connect(alice).draw(id('b'))
  })

  it('gives two seeds in one block', async () => {
    const { randomness, alice } = await networkHelpers.loadFixture(deployed)
    await ethers.provider.send('evm_setAutomine', [false])
    try {
      for (let i = 0; i < 2; i++) await randomness.connect(alice).draw(id('a'), { gasLimit: 200_000 })
      await networkHelpers.mine()
    } finally {
      await ethers.provider.send('evm_setAutomine', [true])
    }
    const [first, second, ...others] = await randomness.queryFilter(randomness.filters.SeedDrawn())
    expect(others).to.deep.equal([])
    expect(first!.blockNumber).to.equal(second!.blockNumber)
    expect(first!.args.seed).not.to.equal(second!.args.seed)
  })
})

describe('Deployment of data availability', () => {
  it('is refused on a chain whose blocks all have one randomness, with the reason', async () => {
    const { deployer } = await networkHelpers.loadFixture(deployed)
    const book = AddressBook.open(31337)
    const manager = await new AccessManager__factory(deployer).deploy(await deployer.getAddress())
    book.record('Bonds', await (await new Bonds__factory(deployer).deploy()).getAddress())
    await checkRandomness(ethers.provider)
    for (let i = 0; i <= 128; i++) {
      await networkHelpers.setPrevRandao(5n)
      await networkHelpers.mine()
    }
    const steps: string[] = []
    const failure = await deployDa(new Deployer({ signer: deployer, book, onStep: (step) => steps.push(step) }), manager, PROFILES.local!.da!).catch(
      (error: Error) => error.message,
    )
    expect(failure).to.match(/^this chain has no randomness: blocks \d+ to \d+ all have the mixHash 0x0{63}5\. .*leave it out of the profile$/)
    expect(steps, 'nothing was sent').to.deep.equal([])
    await networkHelpers.mine()
    await checkRandomness(ethers.provider)
  })

  it('is refused where contracts are told a constant, whatever the headers say', async () => {
    await networkHelpers.loadFixture(deployed)
    for (const [told, refused] of [
      [0n, true],
      [1n, true],
      [2n, false],
    ] as const) {
      await networkHelpers.mine()
      await networkHelpers.setPrevRandao(told)
      await networkHelpers.mine()
      const failure = await checkRandomness(ethers.provider).catch((error: Error) => error.message)
      if (refused) expect(failure).to.contain(`this chain has no randomness: contracts are told ${told} for it.`)
      else expect(failure).to.equal(undefined)
    }
  })
})
