import { expect } from 'chai'
import { hexlify } from 'ethers'
import { until } from '../../support/until.ts'
import { type DaNetwork, type RunningDisperser, sample, startNetwork } from './network.ts'

/** What a call was refused with. */
async function _refusal(call: Promise<unknown>): Promise<{ code: number; details: string }> {
  try {
    await call
  } catch (error) {
    return error as { code: number; details: string }
  }
  throw new Error('it was not refused')
}

describe('disperser', function () {
  this.timeout(60_000)
  let network: DaNetwork
  let disperser: RunningDisperser

  before(async () => {
    network = await startNetwork()
    disperser = await network.startDisperser('disperser')
  })
  after(async () => {
    await disperser.stop()
    await network.stop()
  })

  for (const length of [1, 31, 128 * 1024, 1024 * 1024 + 7]) {
    it(`given ${length} bytes, when a client of the public service disperses them, then they are confirmed, final, and retrieved as they were`, async () => {
      const data = sample(length)
      const { result, requestId } = await disperser.disperse(data)
      expect(result).to.equal('PROCESSING')
      expect(requestId.toString()).to.match(/^[0-9a-f]{64}-[0-9a-f]+$/)
      const confirmed = await until(async () => {
        const reply = await disperser.statusOf(requestId)
        if (reply.status !== 'PROCESSING') return reply
        expect(reply.info).to.equal(null)
        return undefined
      }, 'a confirmation')
      expect(confirmed.status).to.be.oneOf(['CONFIRMED', 'FINALIZED'])
      const { storageRoot, epoch, quorumId } = confirmed.info!.blobHeader
      expect([Number(epoch), Number(quorumId)]).to.deep.equal([1, 0])
      expect(Buffer.compare(await disperser.retrieve(storageRoot), data)).to.equal(0)

      const { inclusion, signedWeight, totalWeight, elapsedMs, blobId } = await disperser.reached(requestId, 'CERTIFIED', 'FINAL')
      expect(hexlify(blobId)).to.equal(hexlify(storageRoot))
      expect([hexlify(signedWeight), elapsedMs > 0]).to.deep.equal([hexlify(totalWeight), true])
      const siblings = Array.from({ length: inclusion!.proof.length / 32 }, (_, i) => inclusion!.proof.slice(32 * i, 32 * i + 32))
      expect(await network.contracts.certificates.isAvailable(blobId, inclusion!.batchRoot, inclusion!.index, siblings)).to.equal(true)
      await network.mine(2)
      await until(async () => ((await disperser.statusOf(requestId)).status === 'FINALIZED' ? true : undefined), 'finality')
    })
  }
})
