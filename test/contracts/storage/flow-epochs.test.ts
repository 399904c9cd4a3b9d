import { expect } from 'chai'
import { AbiCoder, id, keccak256 } from 'ethers'
import { network } from 'hardhat'
import { defaults, deployStorage } from './deploy.ts'
import { dataOf, SUBMIT_LEGACY, sectorsOf } from './submission.ts'

const { price } = defaults
const NO_DIGEST = keccak256('0x')

for (const hardfork of ['osaka', 'cancun'] as const) {
  const { ethers, networkHelpers } = await network.create({ override: { hardfork } })
  const fixture = async () => {
    const storage = await deployStorage(ethers)
    const submit = (...heights: number[]) => storage.flow.connect(storage.alice)[SUBMIT_LEGACY](dataOf(heights), { value: sectorsOf(heights) * price })
    return { ...storage, submit }
  }
  /** 100 blocks to an epoch would do as well; 300 have a first block that BLOCKHASH does not always reach. */
  const longEpochs = () => deployStorage(ethers, { blocksPerEpoch: 300 })

  /** Mines until the next transaction falls into this block of this epoch. */
  async function proceed(flow: Awaited<ReturnType<typeof fixture>>['flow'], epoch: number, block = 1) {
    const target = Number(await flow.firstBlock()) + epoch * Number(await flow.blocksPerEpoch()) + block
    await networkHelpers.mineUpTo(target - 1)
  }

  describe(`Flow: epochs (${hardfork})`, () => {
    it('starts with epoch 0, which cannot be mined', async () => {
      const { flow } = await networkHelpers.loadFixture(fixture)
      const start = await flow.firstBlock()
      expect(await flow.getContext()).to.deep.equal([0n, start, ethers.ZeroHash, 1n, NO_DIGEST, NO_DIGEST])
      expect(await flow.epoch()).to.equal(0n)
      expect(await flow.blocksPerEpoch()).to.equal(200n)
      expect(await flow.computeFlowRoot()).to.equal(ethers.ZeroHash)
    })

    it('opens an epoch in the block after its first one, not before', async () => {
      const { flow } = await networkHelpers.loadFixture(fixture)
      await proceed(flow, 1, 0)
      await expect(flow.makeContext()).not.to.emit(flow, 'NewEpoch')
      await expect(flow.makeContext()).to.emit(flow, 'NewEpoch')
      await expect(flow.makeContext()).not.to.emit(flow, 'NewEpoch')
      expect(await flow.epoch()).to.equal(1n)
    })

    it('fixes root, length and the hash of its first block in the context', async () => {
      const { flow, bob, submit } = await networkHelpers.loadFixture(fixture)
      await submit(4)
      await submit(10)
      const root = await flow.computeFlowRoot()
      await proceed(flow, 1, 7)
      const tx = await flow.connect(bob).makeContext()
      const start = (await flow.firstBlock()) + 200n
      const hash = (await ethers.provider.getBlock(start))!.hash!
      const digest = keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'bytes32', 'uint256'], [hash, root, 2048n]))
      await expect(tx).to.emit(flow, 'NewEpoch').withArgs(bob.address, 1n, root, 2n, 2048n, digest)
      const context = [1n, start, root, 2048n, hash, digest]
      expect(await flow.getContext()).to.deep.equal(context)
      expect(await flow.makeContextWithResult.staticCall()).to.deep.equal(context)
      expect(await flow.getEpochRange(digest)).to.deep.equal([1n, 2048n])
      expect(await flow.getEpochRangeHistory(0)).to.deep.equal([1n, 2048n])
      expect(await flow.epochStartPosition()).to.equal(2048n)
    })

    it('opens the epoch before a submission, so that the submission is not in its root', async () => {
      const { flow, submit } = await networkHelpers.loadFixture(fixture)
      await submit(4)
      const root = await flow.computeFlowRoot()
      await proceed(flow, 1)
      await expect(submit(5)).to.emit(flow, 'NewEpoch')
      const context = await flow.getContext()
      expect(context.flowRoot).to.equal(root)
      expect(context.flowLength).to.equal(32n)
      expect(await flow.tree()).to.deep.equal([64n, 0n])
    })

    it('keeps the root and closes no range in an epoch without submissions', async () => {
      const { flow, submit } = await networkHelpers.loadFixture(fixture)
      await submit(4)
      await proceed(flow, 1)
      await flow.makeContext()
      const before = await flow.getContext()
      await proceed(flow, 2)
      await flow.makeContext()
      const after = await flow.getContext()
      expect(after.flowRoot).to.equal(before.flowRoot)
      expect(after.digest).not.to.equal(before.digest)
      expect(await flow.getEpochRange(after.digest)).to.deep.equal([0n, 0n])
      expect((await flow.queryContextAtPosition(16)).digest).to.equal(before.digest)
    })

    it('catches up in one call of constant gas, however late (reference defect 14)', async () => {
      const { flow, submit } = await networkHelpers.loadFixture(fixture)
      const gas: bigint[] = []
      for (const epoch of [1, 11, 156, 100_000]) {
        await submit(10)
        await proceed(flow, epoch)
        gas.push((await (await flow.makeContext()).wait())!.gasUsed)
        expect(await flow.epoch()).to.equal(BigInt(epoch))
      }
      const [, ...late] = gas
      for (const used of late) expect(used).to.be.closeTo(late[0]!, 10_000n)
      await submit(10)
      await proceed(flow, 200_000)
      await flow.makeContextFixedTimes(1)
      expect(await flow.epoch()).to.equal(200_000n)
    })

    it('finds the context and the time of every position', async () => {
      const { flow, submit } = await networkHelpers.loadFixture(fixture)
      const opened = [BigInt((await flow.queryFilter(flow.filters.Upgraded))[0]!.blockNumber)]
      const ends: bigint[] = []
      for (let epoch = 1; epoch <= 7; epoch++) {
        await submit(4)
        ends.push((await flow.tree()).currentLength)
        await proceed(flow, epoch)
        opened.push(BigInt((await (await flow.makeContext()).wait())!.blockNumber))
      }
      await submit(4)
      const digests = (await flow.queryFilter(flow.filters.NewEpoch)).map((event) => event.args.context)
      const time = async (block: bigint) => (await ethers.provider.getBlock(block))!.timestamp
      for (const [i, end] of ends.entries()) {
        const start = i === 0 ? 1n : ends[i - 1]!
        for (const position of [start, end - 1n]) {
          expect(await flow.queryContextAtPosition(position), `context at ${position}`).to.deep.equal([start, end, digests[i]])
          expect(await flow.openedAtPosition(position), `time of ${position}`).to.equal(await time(opened[i]!))
        }
      }
      const open = ends.at(-1)!
      expect(await flow.queryContextAtPosition(open)).to.deep.equal([0n, 0n, ethers.ZeroHash])
      expect(await flow.openedAtPosition(open)).to.equal(await time(opened[7]!))
      expect(await flow.openedAtPosition(open + 16n)).to.equal(0n)
    })

    it('cannot be mined without the hash of its first block; the range stays open for the next epoch', async () => {
      const { flow, alice } = await networkHelpers.loadFixture(longEpochs)
      await flow.connect(alice)[SUBMIT_LEGACY](dataOf([4]), { value: 16n * price })
      // Its first block is 257 blocks ago, and neither network has it in an EIP-2935 contract.
      await proceed(flow, 1, 257)
      await flow.makeContext()
      const lost = await flow.getContext()
      expect([lost.epoch, lost.blockDigest, lost.digest, lost.flowLength]).to.deep.equal([1n, NO_DIGEST, NO_DIGEST, 32n])
      expect(await flow.getEpochRange(NO_DIGEST)).to.deep.equal([0n, 0n])
      expect(await flow.epochStartPosition()).to.equal(1n)
      await proceed(flow, 2, 256)
      await flow.makeContext()
      const { digest } = await flow.getContext()
      expect(await flow.getEpochRange(digest)).to.deep.equal([1n, 32n])
    })

    it('does not shorten a lease when an epoch could not be mined', async () => {
      const { flow, market, alice } = await networkHelpers.loadFixture(longEpochs)
      await flow.connect(alice)[SUBMIT_LEGACY](dataOf([4]), { value: 16n * price })
      const before = await market.leaseOf(0, 16, 16)
      await proceed(flow, 1, 257)
      await flow.makeContext()
      const during = await market.leaseOf(0, 16, 16)
      await proceed(flow, 2)
      await flow.makeContext()
      expect(during).to.be.greaterThanOrEqual(before)
      expect(await market.leaseOf(0, 16, 16)).to.equal(during)
    })

    if (hardfork === 'osaka')
      it('reads a first block up to 8191 blocks old from the EIP-2935 history', async () => {
        const { flow, alice } = await networkHelpers.loadFixture(longEpochs)
        await flow.connect(alice)[SUBMIT_LEGACY](dataOf([4]), { value: 16n * price })
        await proceed(flow, 1, 290)
        // The simulated network has no history: this code answers every question with one hash.
        const hash = id('history')
        await networkHelpers.setCode('0x0000F90827F1C53a10cb7A02335B175320002935', `0x7f${hash.slice(2)}5f5260205ff3`)
        await flow.makeContext()
        const context = await flow.getContext()
        expect(context.blockDigest).to.equal(hash)
        expect(await flow.getEpochRange(context.digest)).to.deep.equal([1n, 32n])
      })
  })
}
