import { expect } from 'chai'
import { hexlify, type Signer } from 'ethers'
import { network } from 'hardhat'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { checkRandomness, type RandomnessSource, SOURCES } from '../../../deploy/randomness.ts'
import { EVMNET, EVMNET_HASH, networkHash } from '../../../protocol/randomness/drand.ts'
import { Drand__factory } from '../../../typechain-types/index.ts'
import published from '../../vectors/drand-evmnet.json' with { type: 'json' }

const { ethers, networkHelpers } = await network.create()
const book = () => AddressBook.open(31337)
const fresh = async () => (await ethers.getSigners())[1] as unknown as Signer
const check = () => checkRandomness(ethers.provider, book(), 'prevrandao').catch((error: Error) => error.message)

/** Deploys data availability and what it needs, and gives the steps taken, and why it ended if it failed. */
async function deployWith(randomness: RandomnessSource, at = book()) {
  const signer = await fresh()
  const steps: string[] = []
  const profile = { access: {}, stake: true as const, da: { ...PROFILES.local!.da!, randomness } }
  const failure = await deploy({ signer, profile, book: at, onStep: (step) => steps.push(step) }).then(
    () => undefined,
    (error: Error) => error.message,
  )
  return { steps, failure }
}
async function withoutRandomness() {
  for (let i = 0; i <= 128; i++) {
    await networkHelpers.setPrevRandao(5n)
    await networkHelpers.mine()
  }
}

describe('Deployment of randomness', () => {
  it('is refused before anything is sent on a chain whose blocks all have one prevrandao, with the reason and the way out', async () => {
    await networkHelpers.loadFixture(fresh)
    expect(await check()).to.equal(undefined)
    await withoutRandomness()
    const { steps, failure } = await deployWith('prevrandao')
    expect(failure).to.match(
      /^this chain has no randomness of its own: blocks \d+ to \d+ all have the mixHash 0x0{63}5\. .*come from drand \(--randomness evmnet/,
    )
    expect(steps, 'nothing was sent').to.deep.equal([])
    await networkHelpers.mine()
    expect(await check()).to.equal(undefined)
  })

  it('is refused where contracts are told a constant, whatever the headers say', async () => {
    await networkHelpers.loadFixture(fresh)
    for (const [told, refused] of [
      [0n, true],
      [1n, true],
      [2n, false],
      [0xefn << 248n, false],
    ] as const) {
      await networkHelpers.mine()
      await networkHelpers.setPrevRandao(told)
      await networkHelpers.mine()
      if (refused) expect(await check()).to.contain(`this chain has no randomness of its own: contracts are told ${told} for it.`)
      else expect(await check()).to.equal(undefined)
    }
  })

  it('takes drand there, as the profile says', async () => {
    await networkHelpers.loadFixture(fresh)
    await withoutRandomness()
    const deployed = book()
    expect(await deployWith(SOURCES.evmnet!, deployed)).to.include({ failure: undefined })
    const drand = Drand__factory.connect(deployed.get('Randomness'), ethers.provider)
    expect([await drand.genesisTime(), await drand.period(), await drand.delay()]).to.deep.equal([EVMNET.genesisTime, EVMNET.period, 60n])
    expect(await deployWith(SOURCES.evmnet!, deployed), 'again').to.deep.equal({ steps: [], failure: undefined })
  })

  it('is refused before anything is sent for a network that the contract would not take', async () => {
    await networkHelpers.loadFixture(fresh)
    const { steps, failure } = await deployWith({ ...EVMNET, delay: 60n, publicKey: hexlify(new Uint8Array(128).fill(1)) })
    expect(failure).to.match(/^Drand can't be deployed: does this chain have the precompiles of BN254/)
    expect(steps).to.deep.equal([])
  })

  it('does not take another source than the one that is deployed', async () => {
    await networkHelpers.loadFixture(fresh)
    for (const [first, second, words] of [
      ['prevrandao', 'evmnet', /come from prevrandao, by the contract at 0x\w+, and not from drand/],
      ['evmnet', 'prevrandao', /come from drand, by the contract at 0x\w+, and not from prevrandao/],
    ] as const) {
      const deployed = book()
      expect(await deployWith(SOURCES[first]!, deployed)).to.include({ failure: undefined })
      const { steps, failure } = await deployWith(SOURCES[second]!, deployed)
      expect(failure).to.match(words)
      expect(steps).to.deep.equal([])
    }
  })

  it('knows evmnet by the key and the schedule that its hash stands for', () => {
    expect(networkHash(EVMNET, published.genesisSeed, published.id)).to.equal(`0x${EVMNET_HASH}`)
  })
})
