import { expect } from 'chai'
import { network } from 'hardhat'
import { PROFILES } from '../../../deploy/profiles.ts'
import { pickedChunk, roundSeed } from '../../../protocol/da/sampling.ts'
import { GreedyAccount__factory, SamplingRewards__factory } from '../../../typechain-types/index.ts'
import { erc7201, HOUR } from './deploy.ts'
import { CHUNKED, certified, type Opened, openedBlob, pickedBlob, type Scene, SMALL, sampleOf, sampleQuality, scene } from './scene.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 16_000_000 } })
const COIN = 10n ** 18n
const BASE = 10n ** 15n
const BLOCKS = 100
const MAX = 2n ** 256n - 1n
const ONES = 2n ** 168n - 1n

const parameters = { answersPerRound: 4n, feeRatio: 1000n, baseReward: BASE }
const sampling = { ...PROFILES.local!.da!.sampling, ...parameters, roundBlocks: BigInt(BLOCKS), donation: COIN }

/** A coin of fees and one donated, and a round that has just begun. */
async function begun() {
  const of = await scene(ethers, { sampling, epochLength: 8n * 3600n })
  await of.rewards.fund({ value: COIN })
  await nextRound()
  return of
}
const load = () => networkHelpers.loadFixture(begun)

/** Mines up to the first block of the next round, or of one `skipped` later. */
async function nextRound(skipped = 0) {
  const blocks = BLOCKS * (skipped + 1)
  const latest = await ethers.provider.getBlockNumber()
  await networkHelpers.mine(Math.ceil(latest / BLOCKS) * BLOCKS - latest + blocks - (latest % BLOCKS === 0 ? 0 : BLOCKS) + 1)
}

/** A small blob in a batch of its own that wins the current round, unless said otherwise. */
async function answered(of: Scene, name: string, where: (opened: Opened, seed: string) => boolean = () => true) {
  const { target } = await of.rewards.round({ blockTag: 'pending' })
  const wins = (opened: Opened, seed: string) => sampleQuality(seed, accountOf(of, opened), opened) <= target
  const opened = await pickedBlob(of, SMALL, name, (each, seed) => wins(each, seed) && where(each, seed))
  return { opened, sample: sampleOf(opened, await certified(of, [opened.blobId])) }
}
const accountOf = (of: Scene, { owner }: Opened) => of.epoch.members[owner]!.account

describe('SamplingRewards: an answer', () => {
  it('rewards the member that holds the row, whoever sends it', async () => {
    const of = await load()
    const { number, seed } = await of.rewards.round({ blockTag: 'pending' })
    const block = (await ethers.provider.getBlock(Number(number) * BLOCKS))!
    expect(seed).to.equal(roundSeed(block.hash!, number))
    const { opened, sample } = await answered(of, 'blob')
    const account = accountOf(of, opened)
    const reward = COIN / 1000n + BASE
    expect(await of.rewards.pool()).to.deep.equal([COIN, COIN, reward])
    const tx = of.rewards.submit(sample)
    await expect(tx)
      .to.emit(of.rewards, 'SampleRewarded')
      .withArgs(number, account, opened.blobId, 5n, sampleQuality(seed, account, opened), reward)
    await expect(tx).to.emit(of.rewards, 'RoundBegun').withArgs(number, MAX, reward)
    expect(await of.rewards.rewardsOf(account)).to.equal(reward)
    expect(await of.rewards.pool()).to.deep.equal([COIN - COIN / 1000n, COIN - BASE, reward])
  })

  it('is about the chunk that the seed picked of the row', async () => {
    const of = await load()
    const { seed } = await of.rewards.round({ blockTag: 'pending' })
    const shape = CHUNKED
    for (const chunk of [0, 2]) {
      const picks = (is: boolean) =>
        openedBlob(of.epoch, shape, `chunk ${chunk}`, { chunk, where: ({ blobId }) => (pickedChunk(seed, blobId, 5, shape.rowSize) === chunk) === is })
      const [right, wrong] = [picks(true), picks(false)]
      const batch = await certified(of, [wrong.blobId, right.blobId])
      await expect(of.rewards.submit(sampleOf(wrong, batch, 0))).to.be.revertedWithCustomError(of.rewards, 'InvalidChunk')
      await expect(of.rewards.submit(sampleOf(right, batch, 1))).to.emit(of.rewards, 'SampleRewarded')
    }
  })

  it('is of a certified blob, of a row that the member holds, with the bytes it has', async () => {
    const of = await load()
    const { rewards } = of
    const { opened, sample } = await answered(of, 'blob')
    const revert = (changes: object, error: string, ...args: unknown[]) =>
      expect(rewards.submit({ ...sample, ...changes }))
        .to.be.revertedWithCustomError(rewards, error)
        .withArgs(...args)
    await revert({ batchRoot: ethers.id('none') }, 'NotCertified', ethers.id('none'))
    await revert({ blobIndex: 1 }, 'NotInBatch', opened.blobId)
    await revert({ blobProof: [ethers.ZeroHash] }, 'NotInBatch', opened.blobId)
    const other = (opened.owner + 1) % 4
    await revert({ member: other }, 'NotHolder', other, 5n)
    await revert({ member: 4 }, 'NotHolder', 4n, 5n)
    await revert({ row: 256 }, 'NotHolder', opened.owner, 256n)
    const bytes = `${sample.chunk.slice(0, -2)}${sample.chunk.endsWith('00') ? '01' : '00'}`
    for (const changes of [{ chunk: bytes }, { chunk: ethers.concat([sample.chunk, '0x00']) }, { path: sample.path.slice(1) }])
      await expect(rewards.submit({ ...sample, ...changes })).to.be.revertedWithCustomError(rewards, 'InvalidChunk')
    // Of the same batch, and with another header.
    await expect(rewards.submit({ ...sample, blob: { ...sample.blob, length: sample.blob.length - 1 } })).to.be.revertedWithCustomError(rewards, 'NotInBatch')
  })

  it('is rewarded as long as the blob must be held', async () => {
    const of = await load()
    const { sample } = await answered(of, 'blob')
    const [, certifiedAt] = await of.da.certificateOf(sample.batchRoot)
    await networkHelpers.time.setNextBlockTimestamp(certifiedAt + BigInt(HOUR))
    const last = await networkHelpers.takeSnapshot()
    await expect(of.rewards.submit(sample)).to.emit(of.rewards, 'SampleRewarded')
    await last.restore()
    await networkHelpers.time.setNextBlockTimestamp(certifiedAt + BigInt(HOUR) + 1n)
    await expect(of.rewards.submit(sample)).to.be.revertedWithCustomError(of.rewards, 'CertificateTooOld').withArgs(sample.batchRoot)
    expect(await of.rewards.retention()).to.equal(await of.availability.retention())
  })

  it('counts once (I63), also where the blob is in several batches, and in any order', async () => {
    const of = await load()
    const first = await answered(of, 'first')
    const second = await answered(of, 'second', ({ owner }) => owner === first.opened.owner)
    const { seed } = await of.rewards.round({ blockTag: 'pending' })
    const account = accountOf(of, first.opened)
    const quality = (opened: Opened) => sampleQuality(seed, account, opened)
    const [better, worse] = [first, second].sort((a, b) => (quality(a.opened) < quality(b.opened) ? -1 : 1)) as [typeof first, typeof first]
    await of.rewards.submit(worse.sample)
    await of.rewards.submit(better.sample)
    for (const { opened, sample } of [better, worse])
      await expect(of.rewards.submit(sample)).to.be.revertedWithCustomError(of.rewards, 'AlreadyAnswered').withArgs(quality(opened))
    const again = await certified(of, [better.opened.blobId, ethers.id('another')])
    await expect(of.rewards.submit(sampleOf(better.opened, again))).to.be.revertedWithCustomError(of.rewards, 'AlreadyAnswered')
    expect(await of.rewards.rewardsOf(account)).to.equal(2n * (COIN / 1000n + BASE))
  })
})

describe('SamplingRewards: a round', () => {
  it('rewards twice the answers it aims at, and no more (I61)', async () => {
    const of = await load()
    for (let i = 0; i < 8; i++) await of.rewards.submit((await answered(of, `blob ${i}`)).sample)
    const { number } = await of.rewards.round({ blockTag: 'pending' })
    const { sample } = await answered(of, 'one more')
    await expect(of.rewards.submit(sample)).to.be.revertedWithCustomError(of.rewards, 'RoundFull').withArgs(number)
    await nextRound()
    expect((await of.rewards.round({ blockTag: 'pending' })).target).to.equal(((2n ** 88n - 1n - (2n ** 88n - 1n) / 8n) << 168n) | ONES)
  })

  it('rewards ten answers of an account', async () => {
    const of = await load()
    await of.rewards.connect(of.governor).setParameters({ ...parameters, answersPerRound: 20n })
    await nextRound()
    const answers: Awaited<ReturnType<typeof answered>>[] = []
    for (let i = 0; i < 11; i++) answers.push(await answered(of, `blob ${i}`, ({ owner }) => owner === 0))
    for (const { sample } of answers.slice(0, 10)) await of.rewards.submit(sample)
    await expect(of.rewards.submit(answers[10]!.sample)).to.be.revertedWithCustomError(of.rewards, 'TooManyAnswers').withArgs(of.epoch.members[0]!.account, 10n)
    await nextRound()
    await of.rewards.submit(answers[10]!.sample)
  })

  it('pays what was there when it began, and leaves the rest to the next', async () => {
    const of = await load()
    await of.rewards.submit((await answered(of, 'first')).sample)
    await of.rewards.fund({ value: COIN })
    const reward = COIN / 1000n + BASE
    expect((await of.rewards.pool()).nextReward).to.equal(reward)
    await of.rewards.submit((await answered(of, 'second')).sample)
    const fees = 2n * COIN - (2n * COIN) / 1000n
    expect(await of.rewards.pool()).to.deep.equal([fees, COIN - 2n * BASE, reward])
    await nextRound(2)
    expect(await of.rewards.pool()).to.deep.equal([fees, COIN - 2n * BASE, fees / 1000n + BASE])
    const last = await answered(of, 'third')
    await expect(of.rewards.submit(last.sample)).to.emit(of.rewards, 'RoundBegun')
    expect(await of.rewards.pool()).to.deep.equal([fees - fees / 1000n, COIN - 3n * BASE, fees / 1000n + BASE])
  })

  it('shares out what is left of donations, where it is too little for all answers', async () => {
    const of = await load()
    await of.rewards.connect(of.governor).setParameters({ ...parameters, baseReward: COIN })
    await nextRound()
    expect((await of.rewards.pool()).nextReward).to.equal(COIN / 1000n + COIN / 8n)
  })

  it('earns nothing where it is the one that the contract was deployed in', async () => {
    await networkHelpers.mine(3 * BLOCKS)
    const of = await scene(ethers, { sampling })
    await of.rewards.fund({ value: COIN })
    expect((await of.rewards.pool()).nextReward).to.equal(0n)
    await nextRound()
    expect((await of.rewards.pool()).nextReward).to.equal(COIN / 1000n + BASE)
  })

  it('is won by answers that are good enough', async () => {
    const of = await load()
    for (let i = 0; i < 8; i++) await of.rewards.submit((await answered(of, `blob ${i}`)).sample)
    await nextRound()
    const { seed, target } = await of.rewards.round({ blockTag: 'pending' })
    const quality = (opened: Opened) => sampleQuality(seed, accountOf(of, opened), opened)
    const bad = await pickedBlob(of, SMALL, 'bad', (opened) => quality(opened) > target)
    const batch = await certified(of, [bad.blobId])
    await expect(of.rewards.submit(sampleOf(bad, batch)))
      .to.be.revertedWithCustomError(of.rewards, 'QualityTooLow')
      .withArgs(quality(bad), target)
    await of.rewards.submit((await answered(of, 'good')).sample)
    await nextRound()
    const before = target >> 168n
    const { target: easier } = await of.rewards.round({ blockTag: 'pending' })
    expect(easier, 'one of four wanted').to.equal(((before + (before * 3n) / 4n / 8n) << 168n) | ONES)
  })

  it('is never so hard that it could not be eased again', async () => {
    const of = await load()
    for (let i = 0; i < 8; i++) await of.rewards.submit((await answered(of, `blob ${i}`)).sample)
    // Hundreds of rounds with too many answers would lead there: the target in its slot is overwritten instead.
    const [slot, at, least] = [BigInt(erc7201('perigee.storage.SamplingRewards')), of.rewards.target as string, 1n << 24n]
    const word = BigInt(await ethers.provider.getStorage(at, slot))
    expect(word >> 168n).to.equal(2n ** 88n - 1n)
    await networkHelpers.setStorageAt(at, slot, (word & ONES) | (least << 168n))
    const target = async () => (await of.rewards.round({ blockTag: 'pending' })).target
    await nextRound()
    expect(await target(), 'no harder').to.equal((least << 168n) | ONES)
    await nextRound(1)
    const eased = ((least - least / 8n) * 81n) >> 6n
    expect(await target(), 'by an eighth for each of two silent rounds').to.equal((eased << 168n) | ONES)
  })

  it('eases the target by an eighth where nobody answered, however many rounds that took', async () => {
    const of = await load()
    await of.rewards.connect(of.governor).setParameters({ ...parameters, answersPerRound: 1n })
    let target = 2n ** 88n - 1n
    const check = async (expected: bigint, why: string) => {
      const { target: is } = await of.rewards.round({ blockTag: 'pending' })
      expect(is, why).to.equal((expected << 168n) | ONES)
    }
    // Two of one wanted, in 14 rounds: 7/8 each.
    for (let i = 0; i < 14; i++) {
      await nextRound()
      if (i > 0) target -= target / 8n
      await check(target, `round ${i}`)
      for (const name of ['a', 'b']) await of.rewards.submit((await answered(of, `${name} ${i}`)).sample)
    }
    target -= target / 8n
    const afterwards = await networkHelpers.takeSnapshot()
    for (const silent of [0, 1, 5, 6, 7, 13, 1000]) {
      await nextRound(silent)
      const rest = BigInt(silent % 6)
      const eased = ((target * 9n ** rest) / 8n ** rest) << BigInt(Math.floor(silent / 6))
      await check(eased < 2n ** 88n ? eased : 2n ** 88n - 1n, `${silent} silent`)
      // Every round by an eighth would be as much, but for some percent.
      const exact = Number(target) * (9 / 8) ** silent
      if (exact < 2 ** 88) expect(Number(eased) / exact).to.be.within(0.97, 1.01)
      await afterwards.restore()
    }
  })
})

describe('SamplingRewards: money', () => {
  it('is withdrawn by the account alone, once, to where it says', async () => {
    const of = await load()
    const { opened, sample } = await answered(of, 'blob')
    await of.rewards.submit(sample)
    const reward = COIN / 1000n + BASE
    const { wallet } = of.signers.find((each) => each.wallet.address === accountOf(of, opened))!
    const own = of.rewards.connect(wallet)
    const to = await of.stranger.getAddress()
    await expect(own.withdraw(of.rewards)).to.be.revertedWithCustomError(of.rewards, 'TransferRejected').withArgs(of.rewards.target, reward)
    const tx = own.withdraw(to)
    await expect(tx).to.changeEtherBalances(ethers, [of.rewards, of.stranger], [-reward, reward])
    await expect(tx).to.emit(of.rewards, 'RewardWithdrawn').withArgs(wallet.address, to, reward)
    for (const account of [own, of.rewards]) await expect(account.withdraw(to)).to.be.revertedWithCustomError(of.rewards, 'NothingToWithdraw')
  })

  it('is paid once to an account that calls again', async () => {
    const of = await load()
    const greedy = await new GreedyAccount__factory(of.governor).deploy()
    const { opened, sample } = await answered(of, 'blob')
    await of.rewards.submit(sample)
    await of.rewards.submit((await answered(of, 'another', ({ owner }) => owner !== opened.owner)).sample)
    const account = accountOf(of, opened)
    await networkHelpers.setCode(account, await ethers.provider.getCode(greedy.target as string))
    const member = GreedyAccount__factory.connect(account, of.governor)
    const tx = member.execute(of.rewards.target, of.rewards.interface.encodeFunctionData('withdraw', [account]))
    await expect(tx).to.changeEtherBalances(ethers, [of.rewards, account], [-(COIN / 1000n + BASE), COIN / 1000n + BASE])
    expect(await member.reentered()).to.equal(0n)
  })

  it('comes from anyone, as far as all of it fits 96 bits', async () => {
    const of = await load()
    const from = await of.stranger.getAddress()
    await expect(of.rewards.fund({ value: 3n }))
      .to.emit(of.rewards, 'Funded')
      .withArgs(from, 3n)
    await expect(of.rewards.donate({ value: 4n }))
      .to.emit(of.rewards, 'Donated')
      .withArgs(from, 4n)
    const [fees, donated] = await of.rewards.pool()
    expect([fees, donated]).to.deep.equal([COIN + 3n, COIN + 4n])
    await networkHelpers.setBalance(from, 2n ** 100n)
    const most = 2n ** 96n - 1n - (2n * COIN + 7n)
    for (const pay of ['fund', 'donate'] as const)
      await expect(of.rewards[pay]({ value: most + 1n }))
        .to.be.revertedWithCustomError(of.rewards, 'AmountTooLarge')
        .withArgs(most + 1n)
    await of.rewards.donate({ value: most })
  })

  it('is governed by parameters that are checked, and hold for rounds to come', async () => {
    const of = await load()
    const governor = of.rewards.connect(of.governor)
    await of.rewards.submit((await answered(of, 'first')).sample)
    const next = { answersPerRound: 2n, feeRatio: 4n, baseReward: 7n }
    await expect(governor.setParameters(next)).to.emit(of.rewards, 'ParametersChanged').withArgs([2n, 4n, 7n])
    expect(await of.rewards.parameters()).to.deep.equal([2n, 4n, 7n])
    for (let i = 0; i < 7; i++) await of.rewards.submit((await answered(of, `blob ${i}`)).sample)
    await nextRound()
    const [fees, , reward] = await of.rewards.pool()
    expect(reward).to.equal(fees / 4n + 7n)
    await expect(of.rewards.setParameters(next)).to.be.revertedWithCustomError(of.rewards, 'AccessManagedUnauthorized')
    for (const [name, changes, value, min, max] of [
      ['answersPerRound', { answersPerRound: 0n }, 0n, 1n, 1000n],
      ['answersPerRound', { answersPerRound: 1001n, feeRatio: 5000n }, 1001n, 1n, 1000n],
      ['feeRatio', { feeRatio: 3n }, 3n, 4n, 2n ** 32n - 1n],
    ] as const)
      await expect(governor.setParameters({ ...next, ...changes }))
        .to.be.revertedWithCustomError(of.rewards, 'InvalidParameter')
        .withArgs(ethers.encodeBytes32String(name), value, min, max)
  })

  it('stays behind the proxy when its upgrader replaces the code, and nobody else can', async () => {
    const of = await load()
    const factory = new SamplingRewards__factory(of.governor)
    const next = await factory.deploy(of.at.DataAvailability!, BLOCKS, HOUR)
    await expect(of.rewards.upgradeToAndCall(next, '0x')).to.be.revertedWithCustomError(of.rewards, 'AccessManagedUnauthorized')
    const before = await of.rewards.pool()
    await of.rewards.connect(of.governor).upgradeToAndCall(next, '0x')
    expect(await of.rewards.pool()).to.deep.equal(before)
    for (const each of [next, of.rewards.connect(of.governor)])
      await expect(each.initialize(of.at.AccessManager!, parameters)).to.be.revertedWithCustomError(of.rewards, 'InvalidInitialization')
    for (const [name, blocks, retention, value, max] of [
      ['roundBlocks', 0n, 1n, 0n, 256n],
      ['roundBlocks', 257n, 1n, 257n, 256n],
      ['retention', 1n, 0n, 0n, 180n * 86_400n],
      ['retention', 1n, 180n * 86_400n + 1n, 180n * 86_400n + 1n, 180n * 86_400n],
    ] as const)
      await expect(factory.deploy(of.at.DataAvailability!, blocks, retention))
        .to.be.revertedWithCustomError(of.rewards, 'InvalidParameter')
        .withArgs(ethers.encodeBytes32String(name), value, 1n, max)
  })
})
