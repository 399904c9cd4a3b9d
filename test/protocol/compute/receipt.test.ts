import { expect } from 'chai'
import { TypedDataEncoder, Wallet } from 'ethers'
import fc from 'fast-check'
import { network } from 'hardhat'
import {
  BATCH_TYPES,
  batchDigest,
  itemsHash,
  itemsOf,
  packItem,
  receiptTree,
  type SettlementBatch,
  unpackItem,
  verifyReceiptProof,
} from '../../../protocol/compute/batch.ts'
import {
  domainSeparator,
  feeOf,
  inferenceDomain,
  MAX_UNITS,
  RECEIPT_TYPES,
  type Receipt,
  receiptDigest,
  receiptHash,
} from '../../../protocol/compute/receipt.ts'
import { receiptFromJson, receiptToJson } from '../../../protocol/compute/receipt-json.ts'
import { ReceiptHasher__factory } from '../../../typechain-types/index.ts'

const { ethers } = await network.create()
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`)
const address = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => ethers.getAddress(`0x${Buffer.from(bytes).toString('hex')}`))
const uint = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n })
const receipts: fc.Arbitrary<Receipt> = fc.record({
  id: hash,
  provider: address,
  user: address,
  sequence: fc.nat(Number.MAX_SAFE_INTEGER),
  createdAt: fc.nat(Number.MAX_SAFE_INTEGER),
  tokenId: fc.nat(255),
  priceVersion: fc.nat(65_535),
  inputUnits: uint(64),
  outputUnits: uint(64),
  fee: uint(128),
  cumulativeFee: uint(128),
  keySpend: uint(128),
  requestHash: hash,
  responseHash: hash,
  modelHash: hash,
  specHash: hash,
  seed: uint(64),
  unitsRule: hash,
})
const [sample] = fc.sample(receipts, { seed: 1, numRuns: 1 }) as [Receipt]

describe('receipts', () => {
  async function deployed() {
    const hasher = await new ReceiptHasher__factory((await ethers.getSigners())[0]).deploy()
    const domain = inferenceDomain(31337, await hasher.getAddress())
    return { hasher, domain, separator: domainSeparator(domain) }
  }

  it('hash as Solidity does, and as any library of EIP-712', async () => {
    const { hasher, domain, separator } = await deployed()
    await fc.assert(
      fc.asyncProperty(receipts, async (receipt) => {
        expect(receiptHash(receipt)).to.equal(await hasher.receiptHash(receipt))
        expect(receiptDigest(separator, receipt)).to.equal(await hasher.receiptDigest(receipt))
        expect(receiptDigest(separator, receipt)).to.equal(TypedDataEncoder.hash(domain, RECEIPT_TYPES, receipt))
      }),
      { seed: 2, numRuns: 25 },
    )
  })

  it('change their hash with each of their members', () => {
    for (const key of Object.keys(sample) as (keyof Receipt)[]) {
      const value = sample[key]
      const other =
        typeof value === 'bigint'
          ? value ^ 1n
          : typeof value === 'number'
            ? value === 1
              ? 2
              : 1
            : value.length === 42
              ? Wallet.createRandom().address
              : `0x${'5a'.repeat(32)}`
      expect(receiptHash({ ...sample, [key]: other }), key).to.not.equal(receiptHash(sample))
    }
  })

  it('with a member that does not fit are not hashed', () => {
    const bad: Partial<Receipt>[] = [{ tokenId: 256 }, { sequence: -1 }, { fee: 2n ** 128n }, { id: '0x12' }, { seed: 2n ** 64n }, { priceVersion: 65_536 }]
    for (const change of bad) expect(() => receiptHash({ ...sample, ...change })).to.throw(RangeError, Object.keys(change)[0])
    expect(() => receiptHash({ ...sample, user: '0x12' })).to.throw(/address/)
  })

  it('are served as JSON and read back the same; anything else is refused by key', () => {
    fc.assert(
      fc.property(receipts, (receipt) => {
        expect(receiptFromJson(JSON.parse(JSON.stringify(receiptToJson(receipt))))).to.deep.equal(receipt)
      }),
      { seed: 3, numRuns: 50 },
    )
    const json = receiptToJson(sample)
    const bad: Record<string, unknown>[] = [
      { fee: 1 },
      { fee: '01' },
      { fee: (2n ** 128n).toString() },
      { seed: (2n ** 64n).toString() },
      { tokenId: 256 },
      { id: json.id.toUpperCase() },
      { user: '0x12' },
      { user: `0x${'aB'.repeat(20)}` },
      { sequence: 1.5 },
      { extra: 1 },
    ]
    for (const change of bad) expect(() => receiptFromJson({ ...json, ...change }), JSON.stringify(change)).to.throw(new RegExp(Object.keys(change)[0]!))
    expect(() => receiptFromJson(null)).to.throw()
  })

  it('cost units times the price', () => {
    expect(feeOf({ inputUnits: 3n, outputUnits: 5n }, { inputPrice: 7n, outputPrice: 11n })).to.equal(76n)
  })

  it('batches hash as Solidity does', async () => {
    const { hasher, domain, separator } = await deployed()
    const batches: fc.Arbitrary<SettlementBatch> = fc.record({ provider: address, nonce: fc.nat(2 ** 31), requestsHash: hash, itemsHash: hash })
    await fc.assert(
      fc.asyncProperty(batches, fc.array(hash, { maxLength: 4 }), async (batch, items) => {
        expect(batchDigest(separator, batch)).to.equal(await hasher.batchDigest(batch))
        expect(batchDigest(separator, batch)).to.equal(TypedDataEncoder.hash(domain, BATCH_TYPES, batch))
        expect(itemsHash(items)).to.equal(await hasher.itemsHash(items))
      }),
      { seed: 4, numRuns: 15 },
    )
  })

  it('are in the tree of their batch, and no others are', async () => {
    const { hasher } = await deployed()
    for (const count of [1, 2, 3, 7, 64]) {
      const batch = fc.sample(receipts, { seed: count, numRuns: count })
      const tree = receiptTree(batch)
      for (const i of new Set([0, count >> 1, count - 1])) {
        expect(await hasher.isInTree(tree.root, batch[i]!, tree.proof(i))).to.equal(true)
        expect(verifyReceiptProof(tree.root, receiptHash(batch[i]!), tree.proof(i))).to.equal(true)
        expect(await hasher.isInTree(tree.root, { ...batch[i]!, fee: batch[i]!.fee ^ 1n }, tree.proof(i))).to.equal(false)
      }
    }
  })

  it('pack into items of user, units and price version', () => {
    const items = fc.record({ user: address, inputUnits: uint(40), outputUnits: uint(40), priceVersion: fc.nat(65_535) })
    fc.assert(
      fc.property(items, (item) => {
        const packed = packItem(item)
        expect(packed).to.match(/^0x[0-9a-f]{64}$/)
        expect(unpackItem(packed)).to.deep.equal(item)
        const word = BigInt(packed)
        expect([word >> 96n, (word >> 56n) & MAX_UNITS, (word >> 16n) & MAX_UNITS, word & 0xffffn]).to.deep.equal([
          BigInt(item.user),
          item.inputUnits,
          item.outputUnits,
          BigInt(item.priceVersion),
        ])
      }),
      { seed: 5, numRuns: 100 },
    )
    const item = { user: sample.user, inputUnits: 1n, outputUnits: 2n, priceVersion: 3 }
    for (const change of [{ inputUnits: MAX_UNITS + 1n }, { outputUnits: -1n }, { priceVersion: 65_536 }, { priceVersion: 0.5 }]) {
      expect(() => packItem({ ...item, ...change })).to.throw(RangeError)
    }
    expect(() => unpackItem('0x12')).to.throw(RangeError)
  })

  it('add up to items that charge neither more nor less', () => {
    const users = fc.sample(address, { seed: 6, numRuns: 3 })
    const charged = fc.record({
      user: fc.constantFrom(...users),
      priceVersion: fc.constantFrom(1, 2),
      inputUnits: fc.oneof(uint(10), uint(40)),
      outputUnits: fc.oneof(uint(10), uint(40)),
    })
    const total = (list: { user: string; priceVersion: number; inputUnits: bigint; outputUnits: bigint }[]) => {
      const sums = new Map<string, [bigint, bigint]>()
      for (const { user, priceVersion, inputUnits, outputUnits } of list) {
        const [a, b] = sums.get(`${user}${priceVersion}`) ?? [0n, 0n]
        sums.set(`${user}${priceVersion}`, [a + inputUnits, b + outputUnits])
      }
      return sums
    }
    fc.assert(
      fc.property(fc.array(charged, { maxLength: 30 }), (list) => {
        expect(total(itemsOf(list).map(unpackItem))).to.deep.equal(total(list))
      }),
      { seed: 7, numRuns: 100 },
    )
    const [a] = users as [string]
    const receipt = { user: a, priceVersion: 1, inputUnits: 1n, outputUnits: 2n }
    expect(itemsOf([receipt, { ...receipt, user: a.toLowerCase() }])).to.deep.equal([packItem({ user: a, inputUnits: 2n, outputUnits: 4n, priceVersion: 1 })])
    expect(itemsOf([receipt, { ...receipt, inputUnits: MAX_UNITS }]).length).to.equal(2)
  })
})
