import { expect } from 'chai'
import type { Signer } from 'ethers'
import { network } from 'hardhat'
import { PrevRandao__factory } from '../../../typechain-types/index.ts'

const { ethers, networkHelpers } = await network.create()
const { AbiCoder, id, keccak256, ZeroHash } = ethers
const deployed = async () => {
  const [deployer, alice, bob] = (await ethers.getSigners()) as unknown as [Signer, Signer, Signer]
  return { alice, bob, randomness: await new PrevRandao__factory(deployer).deploy() }
}
const seedAfter = (seed: string, value: bigint, contribution: string) =>
  keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256', 'bytes32'], [seed, value, contribution]))

describe('PrevRandao', () => {
  it('chains the seeds of each consumer by the randomness of blocks and what it contributes', async () => {
    const { randomness, alice, bob } = await networkHelpers.loadFixture(deployed)
    const draw = async (by: Signer, value: bigint, contribution: string) => {
      await networkHelpers.setPrevRandao(value)
      return randomness.connect(by).draw(contribution, 0)
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
    await randomness.connect(alice).draw(id('a'), 0)
    await networkHelpers.setPrevRandao(77n)
    await expect(randomness.connect(alice).draw(id('b'), 0))
      .to.be.revertedWithCustomError(randomness, 'ConstantRandomness')
      .withArgs(77n)
    await networkHelpers.setPrevRandao(77n)
    await randomness.connect(bob).draw(id('b'), 0)
    for (const constant of [0n, 1n]) {
      await networkHelpers.setPrevRandao(constant)
      await expect(randomness.connect(alice).draw(id('b'), 0))
        .to.be.revertedWithCustomError(randomness, 'ConstantRandomness')
        .withArgs(constant)
    }
    await networkHelpers.setPrevRandao(2n)
    await randomness.connect(alice).draw(id('b'), 0)
  })

  it('gives two seeds in one block', async () => {
    const { randomness, alice } = await networkHelpers.loadFixture(deployed)
    await ethers.provider.send('evm_setAutomine', [false])
    try {
      for (let i = 0; i < 2; i++) await randomness.connect(alice).draw(id('a'), 0, { gasLimit: 200_000 })
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
