import { MemData } from '@0gfoundation/0g-ts-sdk'
import { expect } from 'chai'
import { network } from 'hardhat'
import vectors from '../../vectors/storage-vectors.json' with { type: 'json' }
import { deployStorage } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
const { note, steps } = vectors.flow

/** Pattern p2 of the vectors: the top byte of i·0x9E3779B1 in 32 bits. */
const p2 = (size: number) => Uint8Array.from({ length: size }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24)

async function submissionOf(data: Uint8Array, submitter: string) {
  const [submission, error] = await new MemData(data).createSubmission('0x', submitter)
  if (!submission) throw error
  return submission.data
}

describe('Flow against the reference vectors', () => {
  const fixture = () => deployStorage(ethers)

  it(`places and hashes as the reference contract does: ${note}`, async () => {
    const { flow, alice } = await networkHelpers.loadFixture(fixture)
    for (const step of steps) {
      if (step.size !== undefined) {
        await flow
          .connect(alice)
          ['submit((uint256,bytes,(bytes32,uint256)[]))'](await submissionOf(p2(step.size), alice.address), { value: BigInt(step.length!) * 1_000n })
      }
      expect((await flow.tree()).currentLength, `length after ${step.size}`).to.equal(step.flowLengthAfter ?? step.flowLength)
      expect(await flow.computeFlowRoot(), `root after ${step.size}`).to.equal(step.flowRoot)
    }
  })
})
