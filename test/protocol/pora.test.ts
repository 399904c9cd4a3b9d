import { expect } from 'chai'
import { loadKernel } from '../../codec/keccak/index.ts'
import { draws, Evaluator, padSeed, rangeDigest, recallRange, shardTarget } from '../../protocol/storage/pora.ts'
import { faultOf, flowRoot, sealNode } from '../../protocol/storage/pora-answer.ts'
import { seal, unseal } from '../../protocol/storage/sealing.ts'
import { answerOf, bytes, dataOfSeal, hex, rangeOf, taskOf, vectors } from '../support/pora-vectors.ts'

const MAX = 2n ** 256n - 1n

for (const flavour of ['simd', 'scalar'] as const) {
  const kernel = loadKernel(flavour)
  const keccak = (data: Uint8Array) => hex(kernel.keccak256(data))

  describe(`Proof of random access against the reference vectors (${flavour})`, () => {
    for (const vector of vectors) {
      const task = taskOf(kernel, vector)
      const contextDigest = bytes(vector.sealedContextDigest)
      const data = dataOfSeal(vector.recallPosition)

      it(`${vector.name}: every intermediate value of the proof`, () => {
        expect(hex(rangeDigest(kernel, rangeOf(vector)))).to.equal(vector.rangeDigest)
        expect(hex(padSeed(task, bytes(vector.nonce)))).to.equal(vector.padSeed)
        const [draw] = draws(kernel, task, [bytes(vector.nonce)])
        expect(hex(draw!.pad.subarray(0, 64))).to.equal(vector.scratchPadFirst64)
        expect(hex(draw!.pad.subarray(-64))).to.equal(vector.scratchPadLast64)
        expect(keccak(draw!.pad)).to.equal(vector.scratchPadKeccak)
        expect(keccak(draw!.pad.subarray(-64))).to.equal(vector.recallSeed)
        expect(draw!.load).to.equal(vector.loadStartSector)

        const sealed = data.slice()
        seal(kernel, task.minerId, vector.recallPosition, contextDigest, sealed)
        expect(keccak(data)).to.equal(vector.unsealedKeccak)
        expect(keccak(sealed)).to.equal(vector.sealedKeccak)
        expect(hex(sealed.subarray(0, 64))).to.equal(vector.sealedFirst64)
        const quarter = draw!.pad.subarray((vector.sealOffset % 4) * 4096)
        expect(keccak(sealed.map((byte, i) => byte ^ quarter[i]!))).to.equal(vector.mixedKeccak)
        expect(hex(new Evaluator().quality(draw!, vector.sealOffset, sealed))).to.equal(vector.poraHash)

        unseal(kernel, task.minerId, vector.recallPosition, contextDigest, sealed)
        expect(sealed).to.deep.equal(data)
        const node = sealNode(kernel, data)
        expect(hex(flowRoot(kernel, node, vector.recallPosition / 16, vector.merkleProof.map(bytes)))).to.equal(vector.flowRoot)
      })

      it(`${vector.name}: the answer has no fault until something in it changes`, () => {
        const answer = answerOf(kernel, vector)
        const root = bytes(vector.flowRoot)
        const quality = BigInt(vector.poraHash)
        expect(faultOf(kernel, task, quality, root, answer)).to.equal(undefined)
        expect(faultOf(kernel, task, quality - 1n, root, answer)).to.equal('the quality does not reach the target')
        expect(faultOf(kernel, task, MAX, root, { ...answer, sealOffset: answer.sealOffset ^ 1 })).to.match(/^the nonce recalls sector \d+, not \d+$/)
        expect(faultOf(kernel, task, MAX, root, { ...answer, recallPosition: answer.recallPosition + 16 })).to.match(/lead to another root/)
        const sealed = answer.sealed.map((byte, i) => (i === 4095 ? byte ^ 1 : byte))
        expect(faultOf(kernel, task, MAX, root, { ...answer, sealed })).to.match(/lead to another root/)
      })

      it(`${vector.name}: the seal wins among the 64 of its load by exactly its quality`, () => {
        const [draw] = draws(kernel, task, [bytes(vector.nonce)])
        const load = new Uint8Array(262_144)
        load.set(answerOf(kernel, vector).sealed, vector.sealOffset * 4096)
        const evaluator = new Evaluator()
        const all = Array.from({ length: 64 }, (_, at) => at)
        const winners = evaluator.winners(draw!, load, all, new Uint8Array(32).fill(255))
        expect(winners.map(({ sealOffset }) => sealOffset)).to.deep.equal(all)
        expect(hex(winners[vector.sealOffset]!.quality)).to.equal(vector.poraHash)
        for (const { sealOffset, quality } of winners) {
          const sealed = load.subarray(sealOffset * 4096, (sealOffset + 1) * 4096)
          expect(evaluator.quality(draw!, sealOffset, sealed), `seal ${sealOffset}`).to.deep.equal(quality)
        }
        const below = bytes(`0x${(BigInt(vector.poraHash) - 1n).toString(16).padStart(64, '0')}`)
        expect(evaluator.winners(draw!, load, [vector.sealOffset], bytes(vector.poraHash))).to.have.lengthOf(1)
        expect(evaluator.winners(draw!, load, [vector.sealOffset], below)).to.deep.equal([])
      })
    }

    it('draws of many nonces are those of each alone, in order', () => {
      const task = taskOf(kernel, vectors[1]!)
      const nonces = Array.from({ length: 5 }, (_, i) => new Uint8Array(32).fill(i))
      const together = draws(kernel, task, nonces)
      expect(together).to.have.lengthOf(5)
      for (const [i, draw] of together.entries()) expect(draw).to.deep.equal(draws(kernel, task, [nonces[i]!])[0])
      for (const { load } of together) expect((load / 1024) % 8, 'shard 3 of 8').to.equal(3)
    })
  })
}

describe('Mined ranges', () => {
  it('cover whole loads, up to 8 TiB per shard; nothing before the first', () => {
    expect(recallRange(1023, 0, 1)).to.equal(undefined)
    expect(recallRange(3000, 0, 1)).to.deep.equal({ startPosition: 0, mineLength: 2048, shardId: 0, numShards: 1 })
    expect(recallRange(2 ** 38, 1, 2)?.mineLength).to.equal(2 ** 36)
  })

  it('make the target stricter in proportion to what a shard leaves out', () => {
    expect(shardTarget(MAX, 2 ** 20, 1) >> 64n).to.equal(MAX >> 64n)
    expect(shardTarget(MAX, 2 ** 20, 8) >> 64n).to.equal(MAX >> 67n)
    expect(shardTarget(2n ** 200n, 2 ** 37, 1), 'a longer log is as hard as one of the maximal length').to.equal(shardTarget(2n ** 200n, 2 ** 35, 1))
  })
})
