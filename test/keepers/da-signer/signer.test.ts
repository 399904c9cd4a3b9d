import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { getBytes, hexlify } from 'ethers'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { decodeG1, verifySignature } from '../../../protocol/da/bls.ts'
import { certificateDigest, isSignedBy } from '../../../protocol/da/certificate.ts'
import { verifyChunk } from '../../../protocol/da/row-path.ts'
import { paymentFromWire, paymentToWire } from '../../../sdk/da/messages.ts'
import { until } from '../../support/until.ts'
import { all, type Da, type Dispersed, type RunningSigner, sample, startDa } from './network.ts'

describe('a signer of data availability', function () {
  this.timeout(300_000)
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

  /** Blobs of `length` bytes, stored. */
  async function stored(...seeds: number[]): Promise<Dispersed[]> {
    const blobs = await Promise.all(seeds.map((seed) => da.dispersed(sample(900, seed))))
    const replies = await da.store(signer, ...(await Promise.all(blobs.map((blob) => da.request(blob)))))
    expect(replies.map(({ error }) => error)).to.deep.equal(seeds.map(() => ''))
    for (const { encoded } of blobs) encoded.release()
    return blobs
  }
  const listed = async (cursor = 0) => (await all(signer.client.listBlobs({ cursor }))).map(({ blobId, cursor }) => ({ blobId: hexlify(blobId), cursor }))
  const certifiedIds = async (cursor?: number) => (await listed(cursor)).map(({ blobId }) => blobId)
  const eventually = (what: string, check: () => Promise<boolean>) => until(async () => (await check()) || undefined, what)

  it('given two dispersers with the same blobs at once, stores each once and answers both, in order', async () => {
    const blobs = await Promise.all([31, 32, 33].map((seed) => da.dispersed(sample(5000, seed))))
    const requests = await Promise.all(blobs.map((blob) => da.request(blob)))
    const { blobs: before } = await signer.client.getStatus()
    const [first, second] = await Promise.all([da.store(signer, ...requests), da.store(signer, ...requests.toReversed())])
    const ids = blobs.map(({ blobId }) => blobId)
    expect(first!.map(({ blobId, error }) => error || hexlify(blobId))).to.deep.equal(ids)
    expect(second!.map(({ blobId, error }) => error || hexlify(blobId))).to.deep.equal(ids.toReversed())
    const after = await signer.client.getStatus()
    expect(after.blobs).to.equal(before + 3)
    expect(await da.store(signer, requests[0]!)).to.deep.equal([first![0]])
    expect(await signer.client.getStatus()).to.deep.equal(after)
    const names = await readdir(join(signer.folder, 'blobs', '1'))
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(signer.folder, 'blobs', '1', name))).size))
    expect(after.bytes).to.equal(sizes.reduce((sum, size) => sum + size))

    const batch = { epoch: after.epoch, blobIds: ids.map((id) => getBytes(id)) }
    const [once, twice] = await Promise.all([signer.client.sign(batch), signer.client.sign(batch)])
    expect(once).to.deep.equal(twice)
    for (const { encoded } of blobs) encoded.release()
  })

  it('lists blobs once they have a certificate, in that order; a reorganisation takes one off the list until it has it again', async () => {
    const [a, b] = (await stored(41, 42)) as [Dispersed, Dispersed]
    await da.certify(signer, [a.blobId])
    await eventually('the first is listed', async () => (await certifiedIds()).includes(a.blobId))
    const snapshot = await da.chain.request('evm_snapshot', [])
    await da.certify(signer, [b.blobId])
    await eventually('the second is listed', async () => (await certifiedIds()).includes(b.blobId))
    expect(await certifiedIds()).to.deep.equal([a.blobId, b.blobId])
    const [first] = await listed()
    expect(await certifiedIds(first!.cursor)).to.deep.equal([b.blobId])

    await da.chain.request('evm_revert', [snapshot])
    await da.travel(1)
    await eventually('it is off the list', async () => (await certifiedIds()).length === 1)
    await da.certify(signer, [b.blobId])
    await eventually('it is listed again', async () => (await certifiedIds(first!.cursor)).length === 1)
  })

  it('takes a promise no longer once it was redeemed', async () => {
    const blob = await da.dispersed(sample(900, 51))
    const request = await da.request(blob)
    await da.store(signer, request)
    const { root } = await da.certify(signer, [blob.blobId])
    const { promise: terms, signature } = paymentFromWire(request.payment!, blob.blobId)
    await (await da.contracts.payments.redeem(root, [{ terms, signature, index: 0, proof: [] }])).wait()
    const [reply] = await da.store(signer, request)
    expect(reply!.error).to.equal('the promise was redeemed before: it counts once')
    blob.encoded.release()
  })

  it('given more promises at once than their payer can keep, takes as many as it can', async () => {
    const payer = da.wallet(12)
    const blobs = await Promise.all([56, 57, 58, 59].map((seed) => da.dispersed(sample(900, seed))))
    const price = await da.contracts.payments.priceOf(6, 64)
    await (await da.contracts.payments.deposit(payer.address, { value: price * 2n + 1n })).wait()
    const promised = ({ blobId, blob }: Dispersed) => da.payment(blobId, blob, { payer: payer.address }, payer)
    const requests = await Promise.all(blobs.map(async (blob) => ({ ...(await da.request(blob)), payment: await promised(blob) })))
    const replies = await Promise.all(requests.map((request) => da.store(signer, request)))
    const refusals = replies.flatMap(([reply]) => (reply!.error ? [reply!.error] : []))
    expect(refusals).to.have.length(2)
    for (const refusal of refusals) expect(refusal).to.match(/: deposit more$/)
    for (const { encoded } of blobs) encoded.release()
  })

  it('takes the promise of a contract that says it is its own, and of none that does not', async () => {
    const blob = await da.dispersed(sample(900, 55))
    const request = await da.request(blob)
    const { promise } = paymentFromWire(request.payment!, blob.blobId)
    /** ERC-1271: answers with the four bytes, shifted to the left of a word. */
    const contract = async (answer: string, address: string) => {
      await da.chain.request('hardhat_setCode', [address, `0x63${answer}60e01b5f5260205ff3`])
      await (await da.contracts.payments.deposit(address, { value: promise.fee })).wait()
      return { ...request, payment: paymentToWire({ promise: { ...promise, payer: address }, signature: new Uint8Array(3) }) }
    }
    const [never] = await da.store(signer, await contract('ffffffff', `0x${'11'.repeat(20)}`))
    expect(never!.error).to.match(/^the signature of the promise is not the payer's/)
    const [always] = await da.store(signer, await contract('1626ba7e', `0x${'22'.repeat(20)}`))
    expect(always!.error).to.equal('')
    blob.encoded.release()
  })

  it('answers a challenge on chain, and the same one again', async () => {
    const [blob] = (await stored(61)) as [Dispersed]
    const { root } = await da.certify(signer, [blob.blobId])
    const { challenges } = da.contracts
    const members = await da.epoch()
    const row = da.rowsOf(members, blob)[17]!
    const question = { batchRoot: root, absent: '0x', blobIndex: 0, blobProof: [], blob: blob.blob, member: da.indexOf(members), row, chunk: 0 }
    for (const times of [1, 2]) {
      await (await challenges.open(question, { value: await challenges.deposit() })).wait()
      await eventually('it is answered', async () => (await challenges.queryFilter(challenges.filters.ChallengeAnswered())).length === times)
    }
    expect(await challenges.depositsOf(da.keeper.address)).to.equal(2n * (await challenges.deposit()))
    await eventually('none is open', async () => (await signer.metric('da_signer_open_challenges')) === 0)
  })

  it('prunes what was never certified once its epoch is closed, and the rest only when nobody can ask for it any more', async () => {
    const [certified, never] = (await stored(71, 72)) as [Dispersed, Dispersed]
    await da.certify(signer, [certified.blobId])
    const holds = ({ blobId }: Dispersed) =>
      signer.client
        .getBlob({ blobId: getBytes(blobId) })
        .then(() => true)
        .catch(() => false)
    const { epoch } = await da.epoch()
    for (const next of [epoch + 1, epoch + 2]) {
      expect(await holds(never)).to.equal(true)
      await da.travel(200)
      await da.memberAfter(next - 1)
    }
    await da.travel(70)
    await eventually('it is removed', async () => !(await holds(never)))
    expect(await holds(certified)).to.equal(true)

    await da.travel(3600)
    await da.memberAfter(epoch + 2)
    expect(await holds(certified)).to.equal(true)
    await da.travel(600)
    await eventually('nothing is left', async () => (await signer.client.getStatus()).bytes === 0)
    await eventually('nor of batches', async () => (await readdir(join(signer.folder, 'batches'))).length === 0)
    expect(await signer.client.getStatus()).to.include({ blobs: 0 })
  })

  it('keeps where it serves up to date on chain', async () => {
    await signer.stop()
    signer = await da.start('signer', { publicUrl: 'signer.example:34000' })
    const { signers } = da.contracts
    const id = await signers.signerIdOf(da.keeper.address)
    await eventually('its url is changed', async () => (await signers.getFunction('signer')(id)).url === 'signer.example:34000')
  })
})
