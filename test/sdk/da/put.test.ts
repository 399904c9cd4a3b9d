import assert from 'node:assert/strict'
import { getBytes, hexlify, parseEther, type Signer } from 'ethers'
import { network } from 'hardhat'
import { Registry } from 'prom-client'
import { createGrpc, type Grpc } from '../../../keepers/runtime/grpc.ts'
import { domainSeparator } from '../../../protocol/compute/receipt.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { blobIdOf } from '../../../protocol/da/blob.ts'
import { shapeFor } from '../../../protocol/da/codes.ts'
import { isSignedByPayer, paymentDomain } from '../../../protocol/da/payment.ts'
import { blobToWire, inclusionToWire, paymentFromWire, weightToWire } from '../../../sdk/da/messages.ts'
import { blobBalanceOf, depositForBlobs, requestWithdrawal, withdrawFromBlobs } from '../../../sdk/da/payments.ts'
import { encode, putBlob } from '../../../sdk/da/put.ts'
import { blobStatus } from '../../../sdk/da/status.ts'
import { connectDisperser, DispersalService, type DispersalStatus, type DisperserClient, type PutRequest } from '../../../sdk/da/wire.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { certificate } from '../../contracts/da/deploy.ts'
import { rememberingLog } from '../../keepers/runtime/quiet.ts'
import { patternBytes } from '../../support/patterns.ts'
import { type DaNetwork, startDa } from './network.ts'

const { ethers } = await network.create()
const REQUEST = 'some-request'

/** How a disperser differs from an honest one. */
interface Tricks {
  /** Has these bytes certified instead. */
  data?: (data: Uint8Array) => Uint8Array
  /** Mask of codes it encodes in. */
  codes?: number
  certify?: boolean
  status?: (status: DispersalStatus) => DispersalStatus
  contract?: string
}

describe('Putting a blob', function () {
  this.timeout(60_000)
  let da: DaNetwork
  let grpc: Grpc
  let disperser: DisperserClient
  let payer: Signer
  let tricks: Tricks
  let received: PutRequest[]
  let status: DispersalStatus
  let batches = 0
  const bytes = Buffer.from(patternBytes('p1', 5_000))

  /** A disperser that has the signers' keys: what they need to sign is theirs to check, and not what is tested here. */
  const handlers = {
    GetTerms: async () => ({
      disperser: getBytes(da.signers[0]!.wallet.address),
      chainId: 31337,
      contract: getBytes(tricks.contract ?? da.contracts.address),
      maxBytes: 6_000,
      sponsors: true,
    }),
    Put: async (request: PutRequest) => {
      received.push(request)
      const { codes } = await da.reader.epochs.current()
      const data = tricks.data?.(request.data) ?? request.data
      const blob = await encode(da.reader, data, shapeFor(data.length, tricks.codes ?? codes))
      const blobId = blobIdOf(blob)
      const tree = batchTree([blobId, ethers.id(`beside ${batches++}`)])
      const sent = tricks.certify === false ? undefined : await da.da.certify(...certificate(da, da.signers, tree.root, { epoch: 2 }))
      status = {
        state: 'CERTIFIED',
        reason: '',
        blobId: getBytes(blobId),
        blob: blobToWire(blob),
        inclusion: inclusionToWire({ epoch: 2, batchRoot: tree.root, index: 0, proof: tree.proof(0) }),
        signedWeight: weightToWire(700n),
        totalWeight: weightToWire(700n),
        transactionHash: sent ? getBytes(sent.hash) : new Uint8Array(),
        blockNumber: 1,
        elapsedMs: 5,
      }
      return { requestId: Buffer.from(REQUEST) }
    },
    GetStatus: async () => tricks.status?.(status) ?? status,
  }

  before(async () => {
    da = await startDa(ethers)
    const ready = async () => undefined
    const services = [{ definition: DispersalService, handlers }]
    grpc = createGrpc({ host: '127.0.0.1', port: 0, log: rememberingLog().log, metrics: new Registry(), ready, services })
    disperser = connectDisperser(await grpc.listen())
    payer = (await ethers.getSigners())[5] as unknown as Signer
  })
  after(async () => {
    disperser?.close()
    await Promise.all([grpc?.close(), da?.stop()])
  })
  beforeEach(() => {
    tricks = {}
    received = []
  })

  const put = (data: Uint8Array = bytes, options: Parameters<typeof putBlob>[3] = {}) => putBlob(da.reader, disperser, data, { timeout: 2_000, ...options })
  const fails = async (code: string, message: RegExp, ...args: Parameters<typeof put>): Promise<void> => {
    const error = await put(...args).then(
      () => assert.fail('it was put'),
      (error: unknown) => error,
    )
    assert.ok(error instanceof PerigeeError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
  }

  it('gives the id of exactly these bytes, with a certificate that the chain has', async () => {
    const states: string[] = []
    const { blobId, certificate, fee, requestId } = await put(bytes, { onProgress: (state) => states.push(state) })
    const { codes } = await da.reader.epochs.current()
    assert.equal(blobId, blobIdOf(await encode(da.reader, bytes, shapeFor(bytes.length, codes))))
    const [epoch, certifiedAt] = await da.da.certificateOf(certificate.batchRoot)
    assert.deepEqual([certificate.epoch, certificate.certifiedAt], [Number(epoch), Number(certifiedAt)])
    assert.ok(await da.da.isAvailable(blobId, certificate.batchRoot, certificate.index, certificate.proof))
    assert.deepEqual([fee, requestId, states, received[0]!.payment], [0n, REQUEST, ['SENDING', 'CERTIFIED'], null])
  })

  it('takes the shape of another epoch that has begun meanwhile', async () => {
    tricks.codes = 0b100
    assert.equal((await put()).blob.log2K, 10)
  })

  it('does not take the certificate of other bytes for its own, whatever their shape', async () => {
    tricks.data = (data) => Buffer.from(data).fill(1, 10, 11)
    await fails('VERIFICATION_FAILED', /another blob certified/)
    tricks.codes = 0b100
    await fails('VERIFICATION_FAILED', /another blob certified/)
  })

  it('does not take a certificate on the disperser’s word', async () => {
    tricks.certify = false
    await fails('TIMEOUT', /no certificate after 0.3 s.*request some-request, CERTIFIED/s, bytes, { timeout: 300 })
  })

  it('does not take a batch without the blob', async () => {
    tricks.status = (status) => ({ ...status, inclusion: { ...status.inclusion!, index: 1 } })
    await fails('VERIFICATION_FAILED', /does not have the blob/)
    tricks.status = (status) => ({ ...status, inclusion: { ...status.inclusion!, proof: new Uint8Array(31) } })
    await fails('VERIFICATION_FAILED', /a proof of inclusion has 31 bytes/)
  })

  it('says why it was refused, or who did not sign', async () => {
    tricks.status = (status) => ({ ...status, state: 'REFUSED', reason: 'too busy', inclusion: null })
    await fails('REMOTE', /refused the blob: too busy/)
    tricks.status = (status) => ({ ...status, state: 'NOT_ENOUGH_SIGNATURES', signedWeight: weightToWire(3n), inclusion: null })
    await fails('FAILED', /too few signers signed: 3 of 700 wei/)
  })

  it('sends nothing that is empty, too large, or meant for another network', async () => {
    await fails('USAGE', /an empty blob/, new Uint8Array())
    await fails('USAGE', /6001 bytes, more than the 6000/, new Uint8Array(6001))
    tricks.contract = payer ? await payer.getAddress() : ''
    await fails('USAGE', /disperses for the contract/)
    assert.equal(received.length, 0)
  })

  it('pays by a promise that it signed for exactly this blob, from what was deposited', async () => {
    const { payments } = da.contracts
    const as = { payments: payments.connect(payer) }
    const account = await payer.getAddress()
    const payment = { payer, payments }
    await fails('CHAIN', /perigee da deposit/, bytes, { payment })
    assert.equal(received.length, 0)
    await depositForBlobs(as, account, parseEther('1'))
    const { blobId, fee, blob } = await put(bytes, { payment })
    assert.equal(fee, await payments.priceOf(blob.log2K, blob.rowSize))
    const { promise, signature } = paymentFromWire(received[0]!.payment!, blobId)
    assert.deepEqual([promise.payer, promise.disperser, promise.fee], [account, da.signers[0]!.wallet.address, fee])
    const now = (await ethers.provider.getBlock('latest'))!.timestamp
    const lockTime = Number(await payments.lockTime())
    assert.ok(promise.deadline > now + lockTime / 2 && promise.deadline < now + lockTime)
    const separator = domainSeparator(paymentDomain(31337, await payments.getAddress()))
    assert.ok(isSignedByPayer(separator, promise, signature))
    // The contract has the same to say of it.
    const disperserSigner = da.signers[0]!.wallet
    const redemption = { terms: promise, signature, index: 0, proof: status.inclusion!.proof.length ? [hexlify(status.inclusion!.proof)] : [] }
    const [outcome] = await payments.connect(disperserSigner).redeem.staticCall(status.inclusion!.batchRoot, [redemption])
    assert.equal(outcome, 0n)
  })

  it('a status names its certificate only if the chain has it', async () => {
    await put()
    const known = await blobStatus(da.reader, disperser, { requestId: REQUEST })
    assert.equal(known.certificate?.epoch, 2)
    tricks.certify = false
    await fails('TIMEOUT', /no certificate/, bytes, { timeout: 100 })
    const claimed = await blobStatus(da.reader, disperser, { requestId: REQUEST })
    assert.deepEqual([claimed.state, claimed.certificate], ['CERTIFIED', undefined])
    tricks.status = (status) => ({ ...status, state: 'STATE_UNKNOWN' })
    await assert.rejects(blobStatus(da.reader, disperser, { requestId: 'other' }), { code: 'NOT_FOUND' })
  })

  it('what was deposited can be asked back, and withdrawn in time', async () => {
    const as = { payments: da.contracts.payments.connect(payer) }
    const account = await payer.getAddress()
    await depositForBlobs(as, account, 5n)
    const { available } = await blobBalanceOf(as, account)
    await requestWithdrawal(as, available)
    const asked = await blobBalanceOf(as, account)
    assert.deepEqual([asked.available, asked.withdrawing], [0n, available])
    await assert.rejects(withdrawFromBlobs(as, account), /NotDue/)
    await ethers.provider.send('evm_setNextBlockTimestamp', [asked.withdrawableAt! + 1])
    await withdrawFromBlobs(as, account)
    assert.deepEqual(await blobBalanceOf(as, account), { account, available: 0n, withdrawing: 0n })
  })
})
