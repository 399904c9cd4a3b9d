import { expect } from 'chai'
import fc from 'fast-check'
import { network } from 'hardhat'
import { loadKernel } from '../../../codec/keccak/index.ts'
import { sealNode } from '../../../protocol/storage/pora-answer.ts'
import { PoraHarness__factory } from '../../../typechain-types/index.ts'
import { answerOf, dataOfSeal, hex, vectors } from '../../support/pora-vectors.ts'

const { ethers, networkHelpers } = await network.create()
const kernel = loadKernel()
const MAX = 2n ** 256n - 1n
const words = (bytes: Uint8Array) => Array.from({ length: bytes.length / 32 }, (_, i) => hex(bytes.subarray(32 * i, 32 * i + 32)))
const range = (startPosition: number, mineLength: number, shardId = 0, shardMask = 2n ** 64n - 1n) => ({ startPosition, mineLength, shardId, shardMask })

describe('Pora', () => {
  const fixture = async () => new PoraHarness__factory((await ethers.getSigners())[0]).deploy()

  for (const vector of vectors) {
    it(`${vector.name}: every value of the proof is that of the reference`, async () => {
      const pora = await networkHelpers.loadFixture(fixture)
      const { sealed } = answerOf(kernel, vector)
      expect(await pora.digest(vector.range)).to.equal(vector.rangeDigest)
      const [seed0, seed1] = await pora.padSeed(vector.minerId, vector.nonce, vector.subtaskDigest, vector.rangeDigest)
      expect(ethers.concat([seed0, seed1])).to.equal(vector.padSeed)
      const [recallSeed, quality] = await pora.evaluate(seed0, seed1, vector.sealOffset, words(sealed))
      expect(recallSeed).to.equal(vector.recallSeed)
      expect(quality).to.equal(vector.poraHash)
      expect(await pora.load(vector.range, recallSeed)).to.equal(vector.loadStartSector)
      const node = await pora.sealRoot(vector.minerId, vector.sealedContextDigest, vector.recallPosition, words(sealed))
      expect(node).to.equal(hex(sealNode(kernel, dataOfSeal(vector.recallPosition))))
      expect(await pora.flowRoot(node, vector.recallPosition / 16, vector.merkleProof)).to.equal(vector.flowRoot)
    })
  }
})

describe('RecallRanges', () => {
  const fixture = async () => new PoraHarness__factory((await ethers.getSigners())[0]).deploy()

  it('takes the whole log in whole loads, or 8 TiB per shard of a longer one', async () => {
    const pora = await networkHelpers.loadFixture(fixture)
    for (const [length, valid] of [
      [range(0, 2048), 3000],
      [range(0, 2048, 1, 2n ** 64n - 2n), 2048],
      [range(0, 2 ** 35), 2 ** 36],
      [range(2 ** 25, 2 ** 35), 2 ** 36],
      [range(0, 2 ** 36, 1, 2n ** 64n - 2n), 2 ** 38],
    ] as const)
      await pora.check(length, valid)
  })

  for (const [why, given, flowLength] of [
    ['longer than the log', range(0, 3072), 3000],
    ['with a partial load', range(0, 3000), 3000],
    ['shorter than the log', range(0, 1024), 2048],
    ['of nothing', range(0, 0), 1023],
    ['of an empty log', range(0, 0), 0],
    ['not aligned', range(1024, 2 ** 35), 2 ** 36],
    ['beyond the end', range(2 ** 35, 2 ** 35), 2 ** 35 + 2 ** 25],
    ['wider than one shard may', range(0, 2 ** 35 + 1024), 2 ** 36],
    ['with a shard outside its mask', range(0, 2048, 2, 2n ** 64n - 2n), 2048],
    ['with a mask that has holes', range(0, 2048, 0, 2n ** 64n - 3n), 2048],
    ['with an empty mask and a shard', range(0, 2048, 1, 2n ** 64n - 1n), 2048],
  ] as const)
    it(`refuses a range ${why}`, async () => {
      const pora = await networkHelpers.loadFixture(fixture)
      const mine = await ethers.getContractAt('IPoraMine', pora.target)
      await expect(pora.check(given, flowLength)).to.be.revertedWithCustomError(mine, 'InvalidRange')
    })

  it('refuses positions whose sum wraps around', async () => {
    const pora = await networkHelpers.loadFixture(fixture)
    const mine = await ethers.getContractAt('IPoraMine', pora.target)
    const wrapping = { startPosition: MAX - 2n ** 25n + 1n, mineLength: 2n ** 25n + 2048n, shardId: 0, shardMask: 2n ** 64n - 1n }
    await expect(pora.check(wrapping, 2048)).to.be.revertedWithCustomError(mine, 'InvalidRange')
  })
})

describe('Difficulty', () => {
  const fixture = async () => new PoraHarness__factory((await ethers.getSigners())[0]).deploy()
  const min = (a: bigint, b: bigint) => (a < b ? a : b)
  const max = (a: bigint, b: bigint) => (a > b ? a : b)

  /** Storage specification §6.5, without the contract's shortcuts. */
  function model(target: bigint, submissions: bigint, wanted: bigint, n: bigint, idle: number, minDifficulty: bigint) {
    const top = MAX >> 16n
    const step = (scaled: bigint, expected: bigint) => min(max(min((scaled * (n - 1n) + expected) / n, scaled * 2n), scaled / 2n), top)
    let scaled = step(target >> 16n, ((target >> 16n) * wanted) / submissions)
    for (let i = 0; i < Math.min(idle, 64); i++) scaled = step(scaled, top)
    return min(scaled << 16n, MAX / minDifficulty)
  }

  it('follows the model for any target, number of answers, ratio and idle time', async () => {
    const pora = await networkHelpers.loadFixture(fixture)
    const targets = fc.tuple(fc.bigInt(0n, MAX), fc.integer({ min: 0, max: 240 })).map(([value, shift]) => value >> BigInt(shift))
    const small = (top: number) => fc.integer({ min: 1, max: top }).map(BigInt)
    await fc.assert(
      fc.asyncProperty(targets, small(65535), small(32767), small(255), fc.integer({ min: 0, max: 80 }), fc.bigInt(1n, 2n ** 128n - 1n), async (...given) => {
        expect(await pora.adjust(...given)).to.equal(model(...given))
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  for (const [when, submissions, idle, minDifficulty, expected] of [
    ['stays after as many answers as wanted', 100n, 0, 1n, (t: bigint) => t],
    ['moves a twentieth of the way after twice as many', 200n, 0, 1n, (t: bigint) => (t * 39n) / 40n],
    ['at most doubles after few', 1n, 0, 1n, (t: bigint) => 2n * t],
    ['doubles for each epoch without any', 100n, 3, 1n, (t: bigint) => 8n * t],
    ['stops at the floor of the difficulty', 100n, 60, 2n ** 20n, () => MAX >> 20n],
  ] as const)
    it(when, async () => {
      const pora = await networkHelpers.loadFixture(fixture)
      const target = 2n ** 200n * 40n
      expect(await pora.adjust(target, submissions, 100, 20, idle, minDifficulty)).to.equal(expected(target))
    })
})
