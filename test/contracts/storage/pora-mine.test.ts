import { expect } from 'chai'
import { AbiCoder, hexlify, keccak256 } from 'ethers'
import fc from 'fast-check'
import { network } from 'hardhat'
import { answerArgument, sealNode } from '../../../protocol/storage/pora-answer.ts'
import { FlowDouble__factory, PoraHarness__factory, PoraMine__factory } from '../../../typechain-types/index.ts'
import { findAnswer } from '../../support/find-answer.ts'
import { answerOf, hex, taskOf, vectors } from '../../support/pora-vectors.ts'
import { BLOCKS_PER_EPOCH, deployMining, fillLog, kernel, type Mining, parameters, registerMiner } from './mining.ts'

const { ethers, networkHelpers } = await network.create()
const MAX = 2n ** 256n - 1n
const HISTORY = '0x0000F90827F1C53a10cb7A02335B175320002935'
/** First slot of the namespace `perigee.storage.PoraMine`. */
const STORAGE = 0xa9a1232e945abde9ac3b67cb536793ada243ad957595c15d0b47abf95dcca400n
const TARGET_SLOT = STORAGE + 3n
const beneficiarySlot = (minerId: string) => keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256'], [minerId, STORAGE + 5n]))
const setTarget = (mine: Mining['mine'], target: bigint) => networkHelpers.setStorageAt(mine.target as string, TARGET_SLOT, target)

/** A log of 16 loads, the first of them without data; a registered miner; an epoch that covers it all. */
async function mining(options: Parameters<typeof deployMining>[1] = {}) {
  const deployed = await deployMining(ethers, options)
  const { flow, mine, miner, rewards } = deployed
  const log = await fillLog(deployed, 14)
  await rewards.donate({ value: 10n ** 18n })
  await rewards.setBaseReward(10n ** 12n)
  const minerId = await registerMiner(mine, miner.address)
  await nextEpoch(deployed)
  const sealedContext = (await flow.getContext()).digest
  const work = () => mine.computeWorkerContext.staticCall(minerId)
  const find = async (choice: Partial<Parameters<typeof findAnswer>[2]> = {}) => findAnswer(log, await work(), { minerId, sealedContext, ...choice })
  return { ...deployed, log, minerId, sealedContext, work, find }
}
const fixture = () => mining()

/** Mines into the next epoch, two blocks deep: its first block has a hash and its window is open. */
async function nextEpoch({ flow }: Pick<Mining, 'flow'>, epochs = 1) {
  const start = await flow.firstBlock()
  const per = await flow.blocksPerEpoch()
  const now = BigInt(await networkHelpers.time.latestBlock())
  await networkHelpers.mine(((now - start) / per + BigInt(epochs)) * per + start + 2n - now)
  await flow.makeContext()
}

describe('PoraMine', () => {
  describe('an answer', () => {
    it('earns its reward for the beneficiary, whoever sends it', async () => {
      const { mine, miner, stranger, rewards, minerId, find, work } = await networkHelpers.loadFixture(fixture)
      const { argument } = await find()
      const { epoch } = (await work()).context
      const sent = mine.connect(stranger).submit(argument)
      await expect(sent).to.emit(mine, 'NewSubmission').withArgs(epoch, minerId, 0, argument.recallPosition)
      const earned = await rewards.payments(miner.address)
      expect(earned).to.be.greaterThan(10n ** 12n)
      await expect(sent).to.emit(rewards, 'DistributeReward').withArgs(0, miner.address, minerId, earned)
      expect(await mine.currentSubmissions()).to.equal(1)
      expect(await mine.lastMinedEpoch()).to.equal(epoch)
    })

    it('is checked alike on a chain of the cancun rules', async () => {
      const { ethers } = await network.create({ override: { hardfork: 'cancun' } })
      const deployed = await deployMining(ethers)
      const log = await fillLog(deployed, 12)
      const minerId = await registerMiner(deployed.mine, deployed.miner.address)
      await ethers.provider.send('hardhat_mine', [ethers.toQuantity(BLOCKS_PER_EPOCH)])
      await deployed.flow.makeContext()
      await ethers.provider.send('hardhat_mine', ['0x2'])
      const work = await deployed.mine.computeWorkerContext.staticCall(minerId)
      const { argument } = findAnswer(log, work, { minerId, sealedContext: work.context.digest })
      await expect(deployed.mine.submit(argument)).to.emit(deployed.mine, 'NewSubmission')
    })

    it('opens the epoch by itself', async () => {
      const { mine, flow, log, minerId, sealedContext, work } = await networkHelpers.loadFixture(fixture)
      await networkHelpers.mine(BLOCKS_PER_EPOCH)
      const ahead = await work()
      expect(ahead.context.epoch).to.equal((await flow.epoch()) + 1n)
      await mine.submit(findAnswer(log, ahead, { minerId, sealedContext }).argument)
      expect(await flow.epoch()).to.equal(ahead.context.epoch)
    })

    it('may come from a shard', async () => {
      const { mine, find } = await networkHelpers.loadFixture(fixture)
      const { argument } = await find({ shardId: 3, numShards: 8 })
      expect((argument.recallPosition / 1024) | 0).to.satisfy((load: number) => load % 8 === 3)
      await mine.submit(argument)
    })

    it('earns nothing, but counts, where there are no rewards', async () => {
      const { mine, flow, manager, governor, log, miner } = await networkHelpers.loadFixture(fixture)
      const data = mine.interface.encodeFunctionData('initialize', [manager.target, flow.target, ethers.ZeroAddress, parameters])
      const proxy = await ethers.deployContract('ERC1967Proxy', [(await new PoraMine__factory(governor).deploy()).target, data])
      const unpaid = PoraMine__factory.connect(proxy.target as string, governor)
      const minerId = await registerMiner(unpaid, miner.address)
      const work = await unpaid.computeWorkerContext.staticCall(minerId)
      await unpaid.submit(findAnswer(log, work, { minerId, sealedContext: work.context.digest }).argument)
      expect(await unpaid.currentSubmissions()).to.equal(1)
    })
  })

  describe('the reference vectors', () => {
    const MINED = 300 // blocks since the subtask began: beyond the reach of BLOCKHASH

    /** The vector's log, context and miner, of which only what the contract reads exists. */
    async function stage(vector: (typeof vectors)[number]) {
      const double = await new FlowDouble__factory((await ethers.getSigners())[0]).deploy()
      const { mine, rewards, miner } = await deployMining(ethers, { flow: double.target as string, parameters: { targetMineBlocks: 500 } })
      await networkHelpers.mine(MINED)
      const mineStart = (await networkHelpers.time.latestBlock()) - MINED + 10
      const { flowRoot, flowLength, blockDigest, contextDigest: digest } = vector
      await double.setContext({ epoch: 1, mineStart, flowRoot, flowLength, blockDigest, digest })
      await double.setRange(vector.sealedContextDigest, 1, flowLength)
      await networkHelpers.setStorageAt(mine.target as string, beneficiarySlot(vector.minerId), BigInt(miner.address))
      return { mine, rewards, miner, mineStart, argument: answerArgument(taskOf(kernel, vector), digest, answerOf(kernel, vector)) }
    }
    // EIP-2935, reduced to one answer: push the hash, store it, return it
    const setHistory = (hash: string) => networkHelpers.setCode(HISTORY, `0x7f${hash.slice(2)}5f5260205ff3`)

    for (const vector of vectors.filter(({ range }) => range.shardId === '0'))
      it(`${vector.name}: the answer is accepted with exactly its quality as target, and not below`, async () => {
        const { mine, rewards, miner, argument } = await stage(vector)
        await setHistory(vector.subtaskBlockHash)
        const quality = BigInt(vector.poraHash)
        const below = (quality >> 64n) << 64n
        await setTarget(mine, below)
        await expect(mine.submit(argument)).to.be.revertedWithCustomError(mine, 'QualityNotReached').withArgs(quality, below)
        await setTarget(mine, below + 2n ** 64n)
        await mine.submit(argument)
        await expect(mine.submit(argument)).to.be.revertedWithCustomError(mine, 'AlreadySubmitted').withArgs(vector.poraHash)
        expect(await rewards.payments(miner.address), 'nobody has paid for this log').to.equal(0)
      })

    it('shard 3 of 8: everything but the quality, which an eighth of the log must reach eightfold', async () => {
      const vector = vectors.find(({ range }) => range.shardId === '3')!
      const { mine, argument } = await stage(vector)
      await setHistory(vector.subtaskBlockHash)
      await setTarget(mine, MAX)
      await expect(mine.submit(argument))
        .to.be.revertedWithCustomError(mine, 'QualityNotReached')
        .withArgs(vector.poraHash, (MAX >> 67n) << 64n)
    })

    it('nobody can answer once the hash that began the subtask is out of reach', async () => {
      const { mine, mineStart, argument } = await stage(vectors[0]!)
      await setHistory(ethers.ZeroHash)
      await expect(mine.submit(argument)).to.be.revertedWithCustomError(mine, 'BlockHashUnavailable').withArgs(mineStart)
      expect((await mine.computeWorkerContext.staticCall(argument.minerId)).poraTarget).to.equal(0)
    })
  })

  describe('refuses', () => {
    type Argument = ReturnType<typeof answerArgument>
    const flip = (word: string) => hexlify(ethers.getBytes(word).map((byte, i) => (i === 31 ? byte ^ 1 : byte)))

    for (const [what, change, error] of [
      ['another context', (a) => ({ ...a, contextDigest: flip(a.contextDigest) }), 'WrongContext'],
      ['an unknown miner', (a) => ({ ...a, minerId: flip(a.minerId) }), 'UnknownMiner'],
      ['miner zero', (a) => ({ ...a, minerId: ethers.ZeroHash }), 'UnknownMiner'],
      ['a range that is too short', (a) => ({ ...a, range: { ...a.range, mineLength: a.range.mineLength - 1024 } }), 'InvalidRange'],
      ['too many shards', (a) => ({ ...a, range: { ...a.range, shardMask: 2n ** 64n - 64n } }), 'TooManyShards'],
      ['seals of an unknown context', (a) => ({ ...a, sealedContextDigest: flip(a.sealedContextDigest) }), 'InvalidSealedContext'],
      ['seals without a context', (a) => ({ ...a, sealedContextDigest: keccak256('0x') }), 'InvalidSealedContext'],
      ['positions outside the sealed range', (a) => ({ ...a, recallPosition: 16_384 }), 'InvalidSealedContext'],
      ['positions that wrap around', (a) => ({ ...a, recallPosition: MAX }), 'InconsistentMerkleRoot'],
      ['a seal outside its load', (a) => ({ ...a, sealOffset: 64 }), 'WrongSealOffset'],
      ['another seal of the load', (a) => ({ ...a, sealOffset: a.sealOffset ^ 1 }), 'WrongRecallPosition'],
      ['a seal somewhere else', (a) => ({ ...a, recallPosition: a.recallPosition ^ 16 }), 'InconsistentMerkleRoot'],
      ['a position inside the seal', (a) => ({ ...a, recallPosition: a.recallPosition + 1 }), 'InconsistentMerkleRoot'],
      ['a path that is too short', (a) => ({ ...a, merkleProof: a.merkleProof.slice(1) }), 'UnexpectedMerkleProofLength'],
      ['a path that is too long', (a) => ({ ...a, merkleProof: [...a.merkleProof, ethers.ZeroHash] }), 'UnexpectedMerkleProofLength'],
      ['a path longer than any log', (a) => ({ ...a, merkleProof: Array(253).fill(ethers.ZeroHash) }), 'UnexpectedMerkleProofLength'],
      ['another sibling', (a) => ({ ...a, merkleProof: a.merkleProof.map((at, i) => (i === 3 ? flip(at) : at)) }), 'InconsistentMerkleRoot'],
      ['another first word', (a) => ({ ...a, sealedData: a.sealedData.map((at, i) => (i === 0 ? flip(at) : at)) }), 'InconsistentMerkleRoot'],
      ['another last word', (a) => ({ ...a, sealedData: a.sealedData.map((at, i) => (i === 127 ? flip(at) : at)) }), 'InconsistentMerkleRoot'],
    ] satisfies [string, (answer: Argument) => object, string][])
      it(`${what}: ${error}`, async () => {
        const { mine, find } = await networkHelpers.loadFixture(fixture)
        const { argument } = await find()
        await mine.submit.staticCall(argument)
        await expect(mine.submit(change(argument) as Argument)).to.be.revertedWithCustomError(mine, error)
      })

    it('an answer with any bit changed, wherever it is', async () => {
      const { mine, find } = await networkHelpers.loadFixture(fixture)
      // A target that few nonces reach: one that does after a change would be a new answer, not an altered one.
      await setTarget(mine, MAX >> 10n)
      const { argument } = await find()
      await mine.submit.staticCall(argument)
      const data = ethers.getBytes(mine.interface.encodeFunctionData('submit', [argument]))
      const bits = (from: number, to: number) => fc.integer({ min: from * 8, max: to * 8 - 1 })
      const head = 4 + 32 * 11 // selector, offset of the answer, its ten words before the data
      const altered = fc.oneof(bits(4, head), bits(head, head + 4096), bits(head + 4096, data.length))
      await fc.assert(
        fc.asyncProperty(altered, async (bit) => {
          const changed = data.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
          const outcome = await ethers.provider.call({ to: mine.target, data: hexlify(changed) }).then(
            () => 'accepted',
            () => 'refused',
          )
          expect(outcome, `bit ${bit & 7} of byte ${bit >> 3}`).to.equal('refused')
        }),
        { numRuns: 600, seed: 7 },
      )
    })

    it('a quality that misses the target', async () => {
      const { mine, find } = await networkHelpers.loadFixture(fixture)
      const { argument, quality } = await find()
      await setTarget(mine, MAX >> 200n)
      await expect(mine.submit(argument))
        .to.be.revertedWithCustomError(mine, 'QualityNotReached')
        .withArgs(quality, ((MAX >> 200n) / 2n ** 64n) * 2n ** 64n)
    })

    it('padding: a seal of zeros, although nonce, path and quality are right', async () => {
      const { mine, governor, log, find, work } = await networkHelpers.loadFixture(fixture)
      const { argument, target } = await find({ wanted: (position) => position >= 16 && position < 1024 })
      const harness = await new PoraHarness__factory(governor).deploy()
      const node = await harness.sealRoot(argument.minerId, argument.sealedContextDigest, argument.recallPosition, argument.sealedData)
      expect(await harness.flowRoot(node, argument.recallPosition / 16, argument.merkleProof)).to.equal((await work()).context.flowRoot)
      const seeds = await harness.padSeed(argument.minerId, argument.nonce, (await work()).subtaskDigest, await harness.digest(argument.range))
      const [recallSeed, quality] = await harness.evaluate(seeds[0], seeds[1], argument.sealOffset, argument.sealedData)
      expect((await harness.load(argument.range, recallSeed)) + BigInt(16 * argument.sealOffset)).to.equal(argument.recallPosition)
      expect(BigInt(quality) <= target).to.equal(true)
      expect(node).to.equal(hex(sealNode(kernel, log.seal(argument.recallPosition))))

      await expect(mine.submit(argument)).to.be.revertedWithCustomError(mine, 'ZeroSeal').withArgs(argument.recallPosition)
    })
  })

  describe('a replay', () => {
    it('in the same epoch is refused for ever', async () => {
      const { mine, find } = await networkHelpers.loadFixture(fixture)
      const { argument, quality } = await find()
      await mine.submit(argument)
      await expect(mine.submit(argument)).to.be.revertedWithCustomError(mine, 'AlreadySubmitted').withArgs(quality)
    })

    it('in the next epoch is refused, also when the log has not grown', async () => {
      const { mine, flow, find } = await networkHelpers.loadFixture(fixture)
      const { argument } = await find()
      await nextEpoch({ flow })
      const { digest } = await flow.getContext()
      await expect(mine.submit(argument)).to.be.revertedWithCustomError(mine, 'WrongContext').withArgs(argument.contextDigest, digest)
      await expect(mine.submit({ ...argument, contextDigest: digest })).to.be.revert(ethers)
    })

    it('as another miner is refused: the seal is his who sealed it', async () => {
      const { mine, stranger, find } = await networkHelpers.loadFixture(fixture)
      const { argument } = await find()
      const minerId = await registerMiner(mine, stranger.address, 2)
      await expect(mine.submit({ ...argument, minerId })).to.be.revertedWithCustomError(mine, 'InconsistentMerkleRoot')
    })

    it('on another contract or chain is refused: a miner id exists only where it was made', async () => {
      const { mine, flow, rewards, manager, governor, miner, minerId, find } = await networkHelpers.loadFixture(fixture)
      const data = mine.interface.encodeFunctionData('initialize', [manager.target, flow.target, rewards.target, parameters])
      const proxy = await ethers.deployContract('ERC1967Proxy', [(await new PoraMine__factory(governor).deploy()).target, data])
      const second = PoraMine__factory.connect(proxy.target as string, governor)
      await expect(second.submit((await find()).argument))
        .to.be.revertedWithCustomError(second, 'UnknownMiner')
        .withArgs(minerId)

      const block = await ethers.provider.getBlock('latest')
      const { chainId } = await ethers.provider.getNetwork()
      const idOn = (chain: bigint, contract: unknown) =>
        keccak256(AbiCoder.defaultAbiCoder().encode(['uint256', 'address', 'bytes32', 'address', 'uint64'], [chain, contract, block!.hash, miner.address, 9]))
      const id = await mine.connect(miner).requestMinerId.staticCall(miner.address, 9, { blockTag: 'pending' })
      expect(id).to.equal(idOn(chainId, mine.target))
      expect(id).to.not.equal(idOn(chainId, second.target))
    })
  })

  describe('time', () => {
    it('gives every miner a window of blocks, in the subtask that the context draws', async () => {
      const rules = { nSubtasks: 3, subtaskInterval: 50, targetMineBlocks: 40 }
      const { mine, flow, minerId, log, sealedContext, work } = await networkHelpers.loadFixture(async function windows() {
        return mining({ parameters: rules })
      })
      const { context } = await work()
      const index = BigInt(keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'bytes32'], [context.digest, minerId]))) % 3n
      const start = context.mineStart + 50n * index
      // deploying takes a few blocks of the first subtask
      const at = async (block: bigint) => {
        if (BigInt(await networkHelpers.time.latestBlock()) < block) await networkHelpers.mineUpTo(block)
      }
      // any well-formed answer shows the window: it is checked before what the answer says
      const probe = { ...answerArgument(taskOf(kernel, vectors[0]!), context.digest, answerOf(kernel, vectors[0]!)), minerId }

      if (index > 0n) {
        expect((await work()).poraTarget).to.equal(0)
        await at(start - 1n)
        await expect(mine.submit(probe)).to.be.revertedWithCustomError(mine, 'TooEarly').withArgs(start)
      }
      await at(start + 1n)
      const open = await work()
      expect(open.poraTarget).to.equal(MAX)
      await mine.submit.staticCall(findAnswer(log, open, { minerId, sealedContext }).argument)
      await at(start + 40n)
      await expect(mine.submit(probe))
        .to.be.revertedWithCustomError(mine, 'TooLate')
        .withArgs(start + 40n)
      await at(start + 41n)
      expect((await work()).poraTarget).to.equal(0)
      expect(await flow.epoch()).to.equal(context.epoch)
    })

    it('accepts twice the answers it aims at, then no more in this epoch', async () => {
      const { mine, flow, find, work } = await networkHelpers.loadFixture(async function few() {
        return mining({ parameters: { targetSubmissions: 1 } })
      })
      let found = await find()
      await mine.submit(found.argument)
      found = await find({ firstNonce: found.nonce + 1 })
      await mine.submit(found.argument)
      expect((await work()).poraTarget).to.equal(0)
      const third = { ...found.argument, nonce: ethers.ZeroHash }
      await expect(mine.submit(third))
        .to.be.revertedWithCustomError(mine, 'EpochFull')
        .withArgs(await flow.epoch())
      await nextEpoch({ flow })
      await mine.submit((await find()).argument)
    })
  })

  describe('difficulty', () => {
    it('is announced and then stored with the first answer of a later epoch', async () => {
      const { mine, flow, find, work } = await networkHelpers.loadFixture(async function hard() {
        return mining({ parameters: { difficulty: 64n } })
      })
      const before = MAX / 64n
      expect(await mine.poraTarget()).to.equal(before)
      await expect(mine.submit((await find()).argument)).to.not.emit(mine, 'TargetAdjusted')
      await nextEpoch({ flow }, 3)
      // one answer where ten were wanted moves it a twentieth of the way to ten times as much; two epochs without double it
      const scaled = before >> 16n
      const eased = (((scaled * 19n + scaled * 10n) / 20n) * 4n) << 16n
      expect((await work()).poraTarget).to.equal(eased)
      expect(await mine.poraTarget()).to.equal(before)
      await expect(mine.submit((await find()).argument))
        .to.emit(mine, 'TargetAdjusted')
        .withArgs(await flow.epoch(), eased)
      expect(await mine.poraTarget()).to.equal(eased)
      await expect(mine.submit((await find({ firstNonce: 1000 })).argument)).to.not.emit(mine, 'TargetAdjusted')
    })

    it('stays where it was set until something was mined', async () => {
      const { mine, flow, work } = await networkHelpers.loadFixture(async function unmined() {
        return mining({ parameters: { difficulty: 64n } })
      })
      await nextEpoch({ flow }, 5)
      expect((await work()).poraTarget).to.equal(await mine.poraTarget())
    })
  })

  describe('miner ids', () => {
    it('are refused twice and without a beneficiary', async () => {
      const { mine, miner } = await networkHelpers.loadFixture(fixture)
      await expect(mine.requestMinerId(ethers.ZeroAddress, 1)).to.be.revertedWithCustomError(mine, 'ZeroBeneficiary')
      await ethers.provider.send('evm_setAutomine', [false])
      const twice = []
      for (const gasPrice of [10n ** 10n, 10n ** 10n]) twice.push(await mine.connect(miner).requestMinerId(miner.address, 5, { gasPrice, gasLimit: 200_000 }))
      await networkHelpers.mine()
      await ethers.provider.send('evm_setAutomine', [true])
      const statuses = await Promise.all(twice.map(async ({ hash }) => (await ethers.provider.getTransactionReceipt(hash))!.status))
      expect(statuses).to.deep.equal([1, 0])
    })

    it('move with their beneficiary, who alone may move them', async () => {
      const { mine, miner, stranger, rewards, minerId, find } = await networkHelpers.loadFixture(fixture)
      await expect(mine.connect(stranger).transferBeneficial(stranger.address, minerId))
        .to.be.revertedWithCustomError(mine, 'NotBeneficiary')
        .withArgs(minerId, stranger.address)
      await expect(mine.connect(miner).transferBeneficial(ethers.ZeroAddress, minerId)).to.be.revertedWithCustomError(mine, 'ZeroBeneficiary')
      await expect(mine.connect(miner).transferBeneficial(stranger.address, minerId))
        .to.emit(mine, 'BeneficiaryTransferred')
        .withArgs(minerId, miner.address, stranger.address)
      await mine.submit((await find()).argument)
      expect(await rewards.payments(stranger.address)).to.be.greaterThan(0)
      expect(await rewards.payments(miner.address)).to.equal(0)
    })

    it('of nobody have no work', async () => {
      const { mine } = await networkHelpers.loadFixture(fixture)
      const { poraTarget, subtaskDigest } = await mine.computeWorkerContext.staticCall(ethers.ZeroHash)
      expect([poraTarget, subtaskDigest]).to.deep.equal([0n, ethers.ZeroHash])
    })
  })

  describe('rules', () => {
    it('change with the next epoch that is mined, not under the miners at work', async () => {
      const { mine, flow, find } = await networkHelpers.loadFixture(fixture)
      await mine.submit((await find()).argument)
      await expect(mine.setSchedule(20, 2, 90))
        .to.emit(mine, 'ScheduleSet')
        .withArgs(20, 2, 90)
      await mine.setTargetSubmissions(7)
      const rules = async () => [await mine.targetMineBlocks(), await mine.nSubtasks(), await mine.subtaskInterval(), await mine.targetSubmissions()]
      expect(await rules()).to.deep.equal([100n, 1n, 100n, 10n])
      await mine.setSchedule(20, 1, 90)
      await nextEpoch({ flow })
      await mine.submit((await find()).argument)
      expect(await rules()).to.deep.equal([20n, 1n, 90n, 7n])
    })

    for (const [name, set, low, high, last] of [
      ['targetMineBlocks', (mine, value) => mine.setSchedule(value, 1, 0), 1n, 200n],
      ['nSubtasks', (mine, value) => mine.setSchedule(1, value, 0), 1n, 65_535n],
      ['subtaskInterval', (mine, value) => mine.setSchedule(100, 3, value), 0n, 50n],
      ['targetSubmissions', (mine, value) => mine.setTargetSubmissions(value), 1n, 32_767n],
      ['difficultyAdjustRatio', (mine, value) => mine.setDifficultyAdjustRatio(value), 1n, 255n, (mine) => mine.difficultyAdjustRatio()],
      ['minDifficulty', (mine, value) => mine.setMinDifficulty(value), 1n, 2n ** 128n - 1n, (mine) => mine.minDifficulty()],
      ['maxShards', (mine, value) => mine.setMaxShards(value), 1n, 1024n, (mine) => mine.maxShards()],
    ] satisfies [string, (mine: Mining['mine'], value: bigint) => Promise<unknown>, bigint, bigint, ((mine: Mining['mine']) => Promise<bigint>)?][])
      it(`${name} is from ${low} to ${high}`, async () => {
        const { mine } = await networkHelpers.loadFixture(fixture)
        await set(mine, low)
        await set(mine, high)
        if (last) expect(await last(mine)).to.equal(high)
        for (const value of [low - 1n, high + 1n].filter((value) => value >= 0n))
          await expect(set(mine, value)).to.be.revertedWithCustomError(mine, 'InvalidParameter').withArgs(ethers.encodeBytes32String(name), value, low, high)
      })

    it('refuse a number of shards that is no power of two, and a start below the floor', async () => {
      const { mine, flow, rewards, manager } = await networkHelpers.loadFixture(fixture)
      await expect(mine.setMaxShards(3)).to.be.revertedWithCustomError(mine, 'InvalidParameter')
      const easy = { ...parameters, difficulty: 5n, minDifficulty: 6n }
      const data = mine.interface.encodeFunctionData('initialize', [manager.target, flow.target, rewards.target, easy])
      const implementation = await ethers.deployContract('PoraMine')
      await expect(ethers.deployContract('ERC1967Proxy', [implementation.target, data])).to.be.revertedWithCustomError(mine, 'InvalidParameter')
    })

    it('are only for the authority, and so are upgrades', async () => {
      const { mine, stranger } = await networkHelpers.loadFixture(fixture)
      const theirs = mine.connect(stranger)
      const implementation = await (await ethers.deployContract('PoraMine')).getAddress()
      for (const send of [
        () => theirs.setSchedule(1, 1, 0),
        () => theirs.setTargetSubmissions(1),
        () => theirs.setDifficultyAdjustRatio(1),
        () => theirs.setMinDifficulty(1),
        () => theirs.setMaxShards(1),
        () => theirs.upgradeToAndCall(implementation, '0x'),
      ])
        await expect(send()).to.be.revertedWithCustomError(mine, 'AccessManagedUnauthorized').withArgs(stranger.address)
    })

    it('survive an upgrade, and nobody initialises twice', async () => {
      const { mine, flow, rewards, manager, find } = await networkHelpers.loadFixture(fixture)
      await mine.upgradeToAndCall(await (await ethers.deployContract('PoraMine')).getAddress(), '0x')
      expect([await mine.flow(), await mine.rewards(), await mine.maxShards()]).to.deep.equal([flow.target, rewards.target, 32n])
      await mine.submit((await find()).argument)
      await expect(mine.initialize(manager.target, flow.target, rewards.target, parameters)).to.be.revertedWithCustomError(mine, 'InvalidInitialization')
    })
  })
})
