import { expect } from 'chai'
import { getBytes, hexlify } from 'ethers'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { decodeG1, verifySignature } from '../../../protocol/da/bls.ts'
import { certificateDigest, isSignedBy } from '../../../protocol/da/certificate.ts'
import { verifyChunk } from '../../../protocol/da/row-path.ts'
import { all, type Da, type RunningSigner, sample, startDa } from './network.ts'

describe('a signer of data availability', function () {
  this.timeout(60_000)
  let da: Da
  let signer: RunningSigner

  before(async () => {
    da = await startDa()
    signer = await da.start('signer')
    await da.memberAfter(0)
  })
  after(() => da.stop())

  it('given an account with coins alone, bonds, registers, and begins the first epoch', async () => {
    const { signers } = da.contracts
    const id = await signers.signerIdOf(da.keeper.address)
    const { active, url } = await signers.getFunction('signer')(id)
    expect({ active, url }).to.deep.equal({ active: true, url: signer.client.url })
    expect(await signer.client.getStatus()).to.deep.include({ signerId: Number(id), epoch: 1, blobs: 0 })
  })

  for (const [what, length] of [
    ['small enough that every member can recover them', 1000],
    ['of which it has a part', 20_000],
  ] as const)
    it(`stores blobs ${what}, signs them, and serves them`, async () => {
      const [members, dispersed] = [await da.epoch(), await da.dispersed(sample(length, length))]
      const { blob, blobId, encoded } = dispersed
      const [reply] = await da.store(signer, await da.request(dispersed))
      expect(reply).to.deep.equal({ blobId: Buffer.from(getBytes(blobId)), error: '' })

      const { bls, ecdsa } = await signer.client.sign({ epoch: 1, blobIds: [getBytes(blobId)] })
      const digest = certificateDigest(da.domain, 1, batchTree([blobId]).root)
      expect(verifySignature(digest, decodeG1(bls), da.blsOf(da.keeper).keyG2)).to.equal(true)
      expect(isSignedBy(da.keeper.address, digest, ecdsa)).to.equal(true)

      const ours = da.rowsOf(members, dispersed)
      const portions = await all(signer.client.getRows({ blobId: getBytes(blobId), rows: [] }))
      expect(portions.flatMap(({ indices }) => indices)).to.deep.equal([...ours])
      expect(Buffer.concat(portions.map(({ rows }) => rows)).equals(encoded.rows(ours))).to.equal(true)
      expect(Buffer.concat(portions.map(({ paths }) => paths)).equals(encoded.paths(ours))).to.equal(true)

      const { chunks } = await signer.client.getChunks({ blobId: getBytes(blobId), positions: [{ row: ours[3]!, chunk: 0 }] })
      expect(verifyChunk(blob, ours[3]!, 0, chunks[0]!.data, chunks[0]!.path)).to.equal(true)
      const description = await signer.client.getBlob({ blobId: getBytes(blobId) })
      expect(hexlify(description.rlc)).to.equal(hexlify(encoded.rlc))
      expect(description.inclusions.map(({ batchRoot }) => hexlify(batchRoot))).to.deep.equal([batchTree([blobId]).root])
      encoded.release()
    })
})
