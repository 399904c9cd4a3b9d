import { expect } from 'chai'
import { network } from 'hardhat'
import { blobIdOf } from '../../../protocol/da/blob.ts'
import type { Blob } from './rows.ts'
import { certified, scene } from './scene.ts'

const { ethers, networkHelpers } = await network.create()
const blob: Blob = { scheme: 1, log2K: 6, log2T: 8, rowSize: 64, length: 1, rowRoot: ethers.id('rows'), rlcRoot: ethers.id('rlc') }
const ID = blobIdOf(blob)

async function batched() {
  const of = await scene(ethers)
  return { ...of, batch: await certified(of, [ethers.id('another'), ID]) }
}
const load = () => networkHelpers.loadFixture(batched)

const submission = (dataRoot: string, epoch = 1n, quorumId = 0n) => ({
  dataRoot,
  epoch,
  quorumId,
  erasureCommitment: { x: 1n, y: 2n },
  quorumBitmap: '0x',
  aggPkG2: { x: [0n, 0n], y: [0n, 0n] } as { x: [bigint, bigint]; y: [bigint, bigint] },
  signature: { x: 1n, y: 2n },
})

describe('DAEntrance', () => {
  it('has the selectors and topics of the public network’s', async () => {
    const { entrance } = await load()
    const selector = (name: string) => entrance.interface.getFunction(name as never)!.selector
    expect(selector('submitOriginalData')).to.equal('0xd4ae59c9')
    expect(selector('submitVerifiedCommitRoots')).to.equal('0xeafed6ce')
    expect(selector('verifiedErasureCommitment')).to.equal('0x9da3a69b')
    expect(selector('commitmentExists')).to.equal('0x6a53525d')
    expect(selector('blobPrice')).to.equal('0x3d00448a')
    expect(selector('currentEpoch')).to.equal('0x76671808')
    const topic = (name: string) => entrance.interface.getEvent(name as never)!.topicHash
    expect(topic('DataUpload')).to.equal('0x57b8b1a6583dc6ce934dfba3d66f2a8e1591b6e171bb2e0921cc64640277087b')
    expect(topic('ErasureCommitmentVerified')).to.equal('0x0f1b20d87bebd11dddaaab51f01cf2726880cb3f8073b636dbafa2aa8cacd256')
  })

  it('announces data, and passes what is sent along to the rewards', async () => {
    const { entrance, rewards, stranger } = await load()
    const tx = entrance.submitOriginalData([ID, ethers.ZeroHash], { value: 5n })
    for (const root of [ID, ethers.ZeroHash])
      await expect(tx)
        .to.emit(entrance, 'DataUpload')
        .withArgs(await stranger.getAddress(), root, 1n, 0n, 0n)
    await expect(tx).to.changeEtherBalances(ethers, [stranger, entrance, rewards], [-5n, 0n, 5n])
    await expect(entrance.submitOriginalData([ID])).not.to.emit(rewards, 'Funded')
    expect([await entrance.blobPrice(), await entrance.currentEpoch()]).to.deep.equal([0n, 1n])
    expect(await entrance.commitmentExists(ID, 1, 0), 'an announcement proves nothing').to.equal(false)
  })

  it('has a commitment once it was shown that the blob is in a certified batch (I66)', async () => {
    const { entrance, batch } = await load()
    expect(await entrance.commitmentExists(ID, 1, 0)).to.equal(false)
    expect(await entrance.verifiedErasureCommitment(ID, 1, 0)).to.deep.equal([0n, 0n])
    await expect(entrance.materialise(blob, batch.root, 1, batch.proof(1)))
      .to.emit(entrance, 'ErasureCommitmentVerified')
      .withArgs(ID, 1n, 0n)
    expect(await entrance.commitmentExists(ID, 1, 0)).to.equal(true)
    expect(await entrance.verifiedErasureCommitment(ID, 1, 0)).to.deep.equal([BigInt(blob.rowRoot), BigInt(blob.rlcRoot)])
    for (const [epoch, quorum] of [
      [2, 0],
      [1, 1],
    ] as const) {
      expect(await entrance.commitmentExists(ID, epoch, quorum)).to.equal(false)
      expect(await entrance.verifiedErasureCommitment(ID, epoch, quorum)).to.deep.equal([0n, 0n])
    }
    await expect(entrance.materialise(blob, batch.root, 1, batch.proof(1))).not.to.emit(entrance, 'ErasureCommitmentVerified')
  })

  it('believes nothing else', async () => {
    const of = await load()
    const { entrance, batch } = of
    await expect(entrance.materialise(blob, ethers.id('none'), 1, batch.proof(1)))
      .to.be.revertedWithCustomError(entrance, 'NotCertified')
      .withArgs(ethers.id('none'))
    await expect(entrance.materialise(blob, batch.root, 0, batch.proof(1)))
      .to.be.revertedWithCustomError(entrance, 'NotInBatch')
      .withArgs(ID)
    const other = { ...blob, rlcRoot: ethers.id('forged') }
    await expect(entrance.materialise(other, batch.root, 1, batch.proof(1)))
      .to.be.revertedWithCustomError(entrance, 'NotInBatch')
      .withArgs(blobIdOf(other))
    // Signed by all, and still no blob.
    const shapeless = { ...blob, rowSize: 32 }
    const id = ethers.sha256(
      ethers.concat([ethers.toUtf8Bytes('row-da/v1'), '0x01010608', ethers.toBeHex(32, 4), ethers.toBeHex(1, 8), blob.rowRoot, blob.rlcRoot]),
    )
    const { root } = await certified(of, [id])
    await expect(entrance.materialise(shapeless, root, 0, []))
      .to.be.revertedWithCustomError(entrance, 'NotInBatch')
      .withArgs(id)
  })

  it('accepts signatures of the public network for what is known already, and says so where it is not', async () => {
    const { entrance, batch } = await load()
    for (const [root, epoch, quorum] of [
      [ID, 1n, 0n],
      [ID, 1n, 1n],
      [ethers.id('another'), 1n, 0n],
    ] as const)
      await expect(entrance.submitVerifiedCommitRoots([submission(root, epoch, quorum)]))
        .to.be.revertedWithCustomError(entrance, 'NotMaterialised')
        .withArgs(root, epoch, quorum)
    await entrance.materialise(blob, batch.root, 1, batch.proof(1))
    await entrance.submitVerifiedCommitRoots([submission(ID), submission(ID)])
    await expect(entrance.submitVerifiedCommitRoots([submission(ID), submission(ethers.id('another'))])).to.be.revertedWithCustomError(
      entrance,
      'NotMaterialised',
    )
  })
})
