import { expect } from 'chai'
import { network } from 'hardhat'
import { Drand__factory } from '../../../typechain-types/index.ts'
import { bond, certificate, deployDa, HOUR, registerMany } from '../da/deploy.ts'
import { signed, testNetwork, timeOf } from './network.ts'

const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
const { id, ZeroHash } = ethers
const EPOCH = 120

async function registered() {
  const of = await deployDa(ethers, { randomness: { ...testNetwork, delay: 60n } })
  return { ...of, drand: Drand__factory.connect(of.at.Randomness!, of.stranger), signers: await registerMany(of, 4) }
}
type Of = Awaited<ReturnType<typeof registered>>

/** Brings the round that the next epoch waits for, when it is signed. */
async function bring({ da, drand }: Of): Promise<bigint> {
  const round = await drand.awaitedBy(da)
  await networkHelpers.time.increaseTo(timeOf(testNetwork, round))
  await drand.submit(...signed(round))
  return round
}

describe('Epochs with seeds from drand', () => {
  it('begin once the round is there that was settled when all stakes were read', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, drand, signers } = of
    expect(await da.advance.staticCall(1000)).to.equal(false)
    await da.advance(1000)
    const round = await drand.awaitedBy(da)
    expect(round).not.to.equal(0n)
    await expect(da.advance(1000)).to.be.revertedWithCustomError(drand, 'SeedNotReady').withArgs(timeOf(testNetwork, round))
    expect(await da.currentEpoch()).to.equal(0n)
    // Stake that comes now counts in the next epoch: the seed may be known.
    await bond(of, signers[0]!)
    await bring(of)
    await da.advance(1000)
    const { seed, members, totalWeight } = await da.epochInfo(1)
    expect([seed, members]).to.deep.equal([await drand.seedOf(da), 4n])
    expect(seed).not.to.equal(ZeroHash)
    expect((await da.members(1, 0, 4)).map(({ weight }) => weight)).to.deep.equal(Array(4).fill(totalWeight / 4n))
  })

  it('contribute no certificate that was made since the current one began: not before the stakes were read, and not with the round in hand', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, signers } = of
    await da.advance(1000)
    await bring(of)
    await da.advance(1000)
    await networkHelpers.time.increase(EPOCH)
    const certify = () => da.certify(...certificate(of, signers, id('a')))
    const seedAfter = async ({ before = async () => {}, meanwhile = async () => {} }: Record<string, () => Promise<unknown>>) => {
      const snapshot = await networkHelpers.takeSnapshot()
      const at = BigInt(await networkHelpers.time.latest()) + 10n
      await before()
      await networkHelpers.time.setNextBlockTimestamp(at)
      await da.advance(1000)
      await bring(of)
      await meanwhile()
      await da.advance(1000)
      const { seed } = await da.epochInfo(2)
      await snapshot.restore()
      return seed
    }
    const plain = await seedAfter({})
    expect(await seedAfter({ before: certify })).to.equal(plain)
    expect(await seedAfter({ meanwhile: certify })).to.equal(plain)
  })

  it('read all stakes again after a day, and then do not take the round that everybody knew by then', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, drand, signers } = of
    await da.advance(1000)
    const first = await bring(of)
    await networkHelpers.time.increase(24 * HOUR)
    await bond(of, signers[0]!)
    await da.advance(1000)
    expect(await drand.seedOf(da)).to.equal(ZeroHash)
    expect(await drand.awaitedBy(da)).to.be.greaterThan(first)
    await bring(of)
    await da.advance(1000)
    const weights = (await da.members(1, 0, 4)).map(({ weight }) => weight)
    expect(weights[0]).to.equal(2n * weights[1]!)
  })

  it('are built in steps as well, and wait in between', async () => {
    const of = await networkHelpers.loadFixture(registered)
    const { da, drand } = of
    for (let step = 0; step < 3; step++) await da.advance(1)
    expect(await drand.awaitedBy(da), 'one stake is not read').to.equal(0n)
    for (let step = 0; step < 2; step++) await da.advance(1)
    expect(await drand.awaitedBy(da)).not.to.equal(0n)
    await bring(of)
    await da.advance(0)
    expect(await drand.seedOf(da)).to.equal(ZeroHash)
    await da.advance(1)
    expect(await drand.seedOf(da)).not.to.equal(ZeroHash)
    expect(await da.currentEpoch()).to.equal(1n)
  })
})
