import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { expect } from 'chai'
import { hexlify, parseEther } from 'ethers'
import { MAX_BLOB_BYTES } from '../../../protocol/da/codes.ts'
import { locateBlob } from '../../../sdk/da/locate.ts'
import { type Payment, paymentToWire } from '../../../sdk/da/messages.ts'
import { openDaReader } from '../../../sdk/da/reader.ts'
import { until } from '../../support/until.ts'
import { type DaNetwork, DISPERSER, EPOCH_SECONDS, PAYER, promiseFor, type RunningDisperser, sample, sharedNetwork } from './network.ts'

/** What a call was refused with. */
async function refusal(call: Promise<unknown>): Promise<{ code: number; details: string }> {
  try {
    await call
  } catch (error) {
    return error as { code: number; details: string }
  }
  throw new Error('it was not refused')
}

describe('disperser', function () {
  this.timeout(240_000)
  let network: DaNetwork
  let disperser: RunningDisperser

  before(async () => {
    network = await sharedNetwork()
    // Nobody is left out because the machine is busy.
    disperser = await network.startDisperser('disperser', { graceMs: 20_000 })
  })
  after(() => disperser.stop())

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
      expect(3n * BigInt(hexlify(signedWeight)) >= 2n * BigInt(hexlify(totalWeight)) && elapsedMs > 0).to.equal(true)
      const siblings = Array.from({ length: inclusion!.proof.length / 32 }, (_, i) => inclusion!.proof.slice(32 * i, 32 * i + 32))
      expect(await network.contracts.certificates.isAvailable(blobId, inclusion!.batchRoot, inclusion!.index, siblings)).to.equal(true)
      await network.mine(2)
      await until(async () => ((await disperser.statusOf(requestId)).status === 'FINALIZED' ? true : undefined), 'finality')
    })
  }

  it('given no bytes, one too many, or what no client sends, when they are sent, then the error says what was expected', async () => {
    const empty = await refusal(disperser.disperse(new Uint8Array()))
    expect(empty.code).to.equal(status.INVALID_ARGUMENT)
    expect(empty.details).to.contain('at least 1 byte')
    const large = await refusal(disperser.disperse(new Uint8Array(MAX_BLOB_BYTES + 1)))
    expect(large.code).to.equal(status.INVALID_ARGUMENT)
    expect(large.details).to.contain('33554433').and.contain('33554432')
    const unknown = await refusal(disperser.statusOf(Buffer.from(`${'ab'.repeat(32)}-${'cd'.repeat(16)}`)))
    expect([unknown.code, unknown.details]).to.deep.equal([
      status.NOT_FOUND,
      `the request ${'ab'.repeat(32)}-${'cd'.repeat(16)} is not known here, or so old that it is forgotten`,
    ])
    expect((await refusal(disperser.statusOf(Buffer.from('nonsense')))).code).to.equal(status.INVALID_ARGUMENT)
    expect((await refusal(disperser.retrieve(new Uint8Array(31)))).code).to.equal(status.INVALID_ARGUMENT)
    expect((await refusal(disperser.retrieve(sample(32)))).code).to.equal(status.NOT_FOUND)
  })

  it('given terms, when they are asked for, then they name account, chain, contract, cap and that it pays', async () => {
    const { disperser: account, chainId, contract, maxBytes, sponsors } = await disperser.client.getTerms()
    expect(hexlify(account)).to.equal(network.wallet(DISPERSER).address.toLowerCase())
    expect([chainId, maxBytes, sponsors]).to.deep.equal([31337, MAX_BLOB_BYTES, true])
    expect(hexlify(contract)).to.equal(network.contracts.address.toLowerCase())
  })

  it('given bytes that were certified before, when they come twice more, then both have that certificate, and nobody pays again', async () => {
    const data = sample(500, 7)
    const first = await disperser.reached((await disperser.disperse(data)).requestId, 'CERTIFIED', 'FINAL')
    const before = await network.certificates()
    const again = await Promise.all([disperser.disperse(data), disperser.disperse(data)])
    expect(again[0].requestId.equals(again[1].requestId)).to.equal(false)
    for (const { requestId } of again) {
      const { inclusion, transactionHash } = await disperser.reached(requestId, 'CERTIFIED', 'FINAL')
      expect([hexlify(inclusion!.batchRoot), hexlify(transactionHash)]).to.deep.equal([hexlify(first.inclusion!.batchRoot), hexlify(first.transactionHash)])
    }
    expect(await network.certificates()).to.have.length(before.length)
  })

  it('given several blobs at once, when they are certified, then they share a certificate', async () => {
    const requests = await Promise.all([1, 2, 3, 4].map((seed) => disperser.disperse(sample(3000, 20 + seed))))
    const done = await Promise.all(requests.map(({ requestId }) => disperser.reached(requestId, 'CERTIFIED', 'FINAL')))
    expect(new Set(done.map(({ inclusion }) => hexlify(inclusion!.batchRoot))).size).to.be.lessThan(4)
  })

  it('given a promise of payment, when its blob is certified, then it is redeemed once, and half of nothing buys nothing', async () => {
    const payer = network.wallet(PAYER)
    const { payments } = network.contracts
    await (await payments.connect(payer).deposit(payer.address, { value: parseEther('1') })).wait()
    const data = sample(20_000, 30)
    const payment = await promiseFor(network, data, payer)
    const fee = payment.promise.fee
    const { requestId } = await disperser.client.put({ data, payment: paymentToWire(payment) })
    await disperser.reached(requestId, 'CERTIFIED', 'FINAL')
    const redeemed = () => payments.queryFilter(payments.filters.PromiseRedeemed(undefined, payer.address))
    await until(async () => ((await redeemed()).length > 0 ? true : undefined), 'the redemption')
    expect((await payments.balanceOf(payer.address)).available).to.equal(parseEther('1') - fee)

    const again = await disperser.client.put({ data, payment: paymentToWire(payment) })
    expect((await disperser.reached(again.requestId, 'REFUSED')).reason).to.contain('redeemed already')
    const less = await promiseFor(network, sample(20_000, 31), payer, { fee: fee - 1n })
    expect((await refusedFor(less, sample(20_000, 31))).reason).to.contain(`of ${fee - 1n} wei`)
    const other = await promiseFor(network, sample(20_000, 32), payer)
    expect((await refusedFor(other, sample(20_000, 33))).reason).to.contain('not signed by')
    const poor = await promiseFor(network, sample(20_000, 34), network.wallet(PAYER + 1))
    expect((await refusedFor(poor, sample(20_000, 34))).reason).to.contain('is not covered')
    const late = await promiseFor(network, sample(20_000, 35), payer, { deadline: 1 })
    expect((await refusedFor(late, sample(20_000, 35))).reason).to.contain('ended at 1')
    const long = await promiseFor(network, sample(20_000, 36), payer, { deadline: 2 ** 40 })
    expect((await refusedFor(long, sample(20_000, 36))).reason).to.contain('later than balances are locked')
    const theirs = await promiseFor(network, data, payer, { disperser: payer.address })
    const { code, cause } = (await refusal(disperser.client.put({ data, payment: paymentToWire(theirs) }))) as any
    expect([code, cause.code]).to.deep.equal(['USAGE', status.INVALID_ARGUMENT])
    expect(await redeemed()).to.have.length(1)
  })

  async function refusedFor(payment: Payment, data: Uint8Array) {
    const { requestId } = await disperser.client.put({ data, payment: paymentToWire(payment) })
    return disperser.reached(requestId, 'REFUSED')
  }

  it('given our own promises, when their blobs are certified, then the signers get their part', async () => {
    const { payments } = network.contracts
    const redeemed = async () => (await payments.queryFilter(payments.filters.PromiseRedeemed(undefined, network.wallet(DISPERSER).address))).length
    const before = await redeemed()
    await disperser.reached((await disperser.disperse(sample(100, 40))).requestId, 'CERTIFIED', 'FINAL')
    await until(async () => ((await redeemed()) > before ? true : undefined), 'the redemption')
  })

  it('given a certificate that a reorganisation undoes, when the chain goes on, then it is sent again', async () => {
    const snapshot = await network.chain.request('evm_snapshot', [])
    const { requestId } = await disperser.disperse(sample(700, 50))
    const { inclusion } = await disperser.reached(requestId, 'CERTIFIED')
    await network.chain.request('evm_revert', [snapshot])
    // Another transaction takes the nonce that the certificate had.
    const from = network.wallet(DISPERSER)
    await from.sendTransaction({ to: from.address })
    await network.mine(3)
    const certified = async () => ((await network.contracts.certificates.certificateOf(inclusion!.batchRoot)).epoch > 0n ? true : undefined)
    await until(certified, 'the certificate once more')
    await disperser.reached(requestId, 'CERTIFIED', 'FINAL')
  })

  it('given a redemption that a reorganisation undoes, when the chain goes on, then the promise is redeemed again', async () => {
    const { payments } = network.contracts
    const snapshot = await network.chain.request('evm_snapshot', [])
    const { requestId } = await disperser.disperse(sample(700, 51))
    const { blobId } = await disperser.reached(requestId, 'CERTIFIED', 'FINAL')
    const redemption = async () => (await payments.queryFilter(payments.filters.PromiseRedeemed(blobId)))[0]
    const undone = await until(redemption, 'the redemption')
    await network.chain.request('evm_revert', [snapshot])
    const from = network.wallet(DISPERSER)
    await from.sendTransaction({ to: from.address })
    await network.mine(3)
    const again = await until(redemption, 'the redemption once more')
    expect(again.args.nonce).to.equal(undone.args.nonce)
  })

  it('given a new epoch, when blobs come, then they are certified in it', async () => {
    const before = Number(await network.contracts.epochs.currentEpoch())
    await network.travel(EPOCH_SECONDS)
    await until(async () => (Number(await network.contracts.epochs.currentEpoch()) > before ? true : undefined), 'the next epoch')
    let seed = 60
    await until(async () => {
      const { inclusion } = await disperser.reached((await disperser.disperse(sample(800, seed++))).requestId, 'CERTIFIED', 'FINAL')
      return inclusion!.epoch > before ? true : undefined
    }, 'a certificate in the new epoch')
  })

  it('given a blob that was certified half of the retention ago, when it comes again alone, then it is certified anew, as often as it comes', async () => {
    const retention = Number(await network.contracts.challenges.retention())
    const { certificates } = network.contracts
    const roots: string[] = []
    const data = sample(600, 80)
    for (const times of [0, 1, 2]) {
      if (times > 0) await network.travel(retention / 2 + 60)
      const { inclusion, blobId } = await disperser.reached((await disperser.disperse(data)).requestId, 'CERTIFIED', 'FINAL')
      const { batchRoot, index, proof } = inclusion!
      const siblings = Array.from({ length: proof.length / 32 }, (_, i) => proof.slice(32 * i, 32 * i + 32))
      expect([index, await certificates.isAvailable(blobId, batchRoot, index, siblings)]).to.deep.equal([times, true])
      roots.push(hexlify(batchRoot))
      const reader = openDaReader(network.contracts)
      const newest = async () => ((await locateBlob(reader, hexlify(blobId))).certificate.batchRoot === roots.at(-1) ? true : undefined)
      await until(newest, 'signers that know of the new certificate')
      await reader.close()
    }
    expect(new Set(roots).size).to.equal(3)
  })

  it('given one that does not pay for others, when a blob comes without payment, then it says so, and how to pay', async () => {
    const strict = await network.startDisperser('strict', { sponsor: false, privateKey: network.wallet(PAYER + 2).privateKey })
    const { code, details } = await refusal(strict.disperse(sample(10)))
    expect(code).to.equal(status.FAILED_PRECONDITION)
    expect(details).to.contain('promise of payment')
    expect((await strict.client.getTerms()).sponsors).to.equal(false)
    await strict.stop()
  })

  it('given a full queue, when one more comes, then it is told to come again; and bytes that are not kept are fetched from the signers', async () => {
    const small = await network.startDisperser('small', {
      maxPendingBytes: 1000,
      keepSeconds: 0,
      batchMs: 500,
      privateKey: network.wallet(PAYER + 3).privateKey,
    })
    const { requestId } = await small.disperse(sample(900, 70))
    const { code, details } = await refusal(small.disperse(sample(900, 71)))
    expect(code).to.equal(status.RESOURCE_EXHAUSTED)
    expect(details).to.contain('900 bytes wait')
    const { blobId } = await small.reached(requestId, 'CERTIFIED', 'FINAL')
    await network.mine(2)
    await until(async () => (existsSync(join(network.folder, 'small', 'blobs', requestId.toString())) ? undefined : true), 'the removal of the bytes')
    expect(Buffer.compare(await small.retrieve(blobId), sample(900, 70))).to.equal(0)
    await small.stop()
  })
})
