import { expect } from 'chai'
import { getBytes, id, TypedDataEncoder, Wallet } from 'ethers'
import fc from 'fast-check'
import { domainSeparator } from '../../../protocol/compute/receipt.ts'
import { isSignedByPayer, type PaymentPromise, PROMISE_TYPES, paymentDomain, priceOf, promiseDigest } from '../../../protocol/da/payment.ts'
import { hash } from './blobs.ts'

const payer = new Wallet(id('payer'))
const domain = paymentDomain(31337, `0x${'11'.repeat(20)}`)
const separator = domainSeparator(domain)
const address = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`)
const promises: fc.Arbitrary<PaymentPromise> = fc.record({
  payer: address,
  disperser: address,
  blobId: hash,
  fee: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
  nonce: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  deadline: fc.nat(Number.MAX_SAFE_INTEGER),
})
const promise: PaymentPromise = {
  payer: payer.address,
  disperser: `0x${'22'.repeat(20)}`,
  blobId: id('blob'),
  fee: 5n,
  nonce: 2n ** 63n,
  deadline: 1_800_000_000,
}

describe('payment promises', () => {
  it('hash as any library of EIP-712 does', () => {
    expect(TypedDataEncoder.from(PROMISE_TYPES).encodeType('PaymentPromise')).to.equal(
      'PaymentPromise(address payer,address disperser,bytes32 blobId,uint128 fee,uint64 nonce,uint64 deadline)',
    )
    fc.assert(
      fc.property(promises, (promise) => {
        expect(promiseDigest(separator, promise)).to.equal(TypedDataEncoder.hash(domain, PROMISE_TYPES, promise))
      }),
      { seed: 1, numRuns: 50 },
    )
  })

  it('signed by a wallet are its payer’s, for this chain and contract, and with nothing changed', async () => {
    const signature = getBytes(await payer.signTypedData(domain, PROMISE_TYPES, promise))
    expect(isSignedByPayer(separator, promise, signature)).to.equal(true)
    const other = id('other')
    const changes: Partial<PaymentPromise>[] = [
      { payer: promise.disperser },
      { disperser: promise.payer },
      { blobId: other },
      { fee: 4n },
      { nonce: 1n },
      { deadline: 1_800_000_001 },
    ]
    for (const change of changes) expect(isSignedByPayer(separator, { ...promise, ...change }, signature), Object.keys(change)[0]).to.equal(false)
    for (const elsewhere of [paymentDomain(1, `0x${'11'.repeat(20)}`), paymentDomain(31337, `0x${'33'.repeat(20)}`)])
      expect(isSignedByPayer(domainSeparator(elsewhere), promise, signature)).to.equal(false)
  })

  it('with a member that does not fit are not hashed', () => {
    const bad: Partial<PaymentPromise>[] = [{ fee: 2n ** 128n }, { nonce: 2n ** 64n }, { deadline: -1 }, { blobId: '0x12' }, { fee: -1n }]
    for (const change of bad) expect(() => promiseDigest(separator, { ...promise, ...change })).to.throw(RangeError, Object.keys(change)[0])
  })

  it('cost a price for the blob and one for each begun KiB of its original rows', () => {
    const price = { blobPrice: 1000n, pricePerKiB: 3n }
    expect(priceOf(price, { k: 64, rowSize: 64 })).to.equal(1012n)
    expect(priceOf(price, { k: 4096, rowSize: 8192 })).to.equal(1000n + 3n * 32_768n)
  })
})
