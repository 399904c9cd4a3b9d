import { expect } from 'chai'
import { id, parseEther, ZeroAddress, ZeroHash } from 'ethers'
import { network } from 'hardhat'
import { itemsHash, itemsOf } from '../../../protocol/compute/batch.ts'
import { type Receipt, receiptHash } from '../../../protocol/compute/receipt.ts'
import type { EvidenceStruct } from '../../../typechain-types/contracts/compute/IReceiptDisputes.ts'
import { item, receiptOf, settle, sign, treeOf } from './batch.ts'
import { DAY, deployCompute, fund, INPUT_PRICE, OUTPUT_PRICE, STAKE, serviceOf } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
const COIN = parseEther('1')
const FAULT = {
  WrongFee: 1,
  PriceNotInForce: 2,
  OverKeyCap: 3,
  KeyExpired: 4,
  ModelNotAllowed: 5,
  Equivocation: 6,
  ChargedTwice: 7,
  BrokenTotal: 8,
  TotalUnexplained: 9,
}

async function fixture() {
  const compute = await deployCompute(ethers)
  await fund(compute, compute.alice, compute.provider, 2n * COIN)
  await fund(compute, compute.bob, compute.provider, 2n * COIN)
  const { serving, tee, provider, alice } = compute
  const [at, user] = [await provider.getAddress(), await alice.getAddress()]
  const receipt = async (changes: Partial<Receipt> = {}) => receiptOf(at, user, await networkHelpers.time.latest(), changes)
  /** Settles these receipts in one batch; gives the evidence of each. */
  const prove = async (receipts: Receipt[], { settled = true, by = tee as { signingKey: typeof tee.signingKey }, nonce = 0 } = {}) => {
    const tree = treeOf(receipts)
    const number = nonce || Number(await serving.lastNonce(provider)) + 1
    const items = itemsOf(receipts)
    const digest = await serving.batchDigest(at, number, tree.root, itemsHash(items))
    const signature = by.signingKey.sign(digest).serialized
    if (settled) await serving.settleBatch(at, number, tree.root, items, signature)
    const batch = { provider: at, nonce: number, requestsHash: tree.root, itemsHash: itemsHash(items) }
    return { items, evidence: receipts.map((each) => ({ batch, signature, receipt: each, path: tree.path(each) })) as Proven }
  }
  const stake = async () => compute.bonds.bonded(await serving.bondOf(at))
  return { ...compute, at, user, receipt, prove, stake }
}
/** As many as receipts were given: at least those that a test names. */
type Proven = [EvidenceStruct, ...EvidenceStruct[]]
const load = () => networkHelpers.loadFixture(fixture)

describe('ReceiptDisputes: a receipt', () => {
  it('hashes as the protocol does', async () => {
    const { disputes, receipt } = await load()
    const one = await receipt()
    expect(await disputes.receiptHash(one)).to.equal(receiptHash(one))
  })

  it('with its Merkle path and a wrong fee moves stake to the user, and burns as much, once', async () => {
    const { disputes, bonds, at, user, other, receipt, prove, stake } = await load()
    const wrong = await receipt({ fee: 10n * INPUT_PRICE + 20n * OUTPUT_PRICE + COIN })
    const { evidence } = await prove([wrong, await receipt({ sequence: 2 }), await receipt({ sequence: 3 })])
    await expect(disputes.connect(other).dispute(evidence[0]!, []))
      .to.emit(disputes, 'FaultProven')
      .withArgs(at, user, FAULT.WrongFee, receiptHash(wrong), COIN, 4n * COIN)
    expect(await bonds.compensation(user)).to.equal(2n * COIN)
    expect(await bonds.compensation(ZeroAddress)).to.equal(2n * COIN)
    expect(await stake()).to.equal(STAKE - 4n * COIN)
    await expect(disputes.dispute(evidence[0]!, [])).to.be.revertedWithCustomError(disputes, 'AlreadyDecided')
    await expect(disputes.dispute(evidence[1]!, [])).to.be.revertedWithCustomError(disputes, 'NoFault')
  })

  it('with an absurd fee costs all the stake there is, of which half is burnt, also of what is unbonding', async () => {
    const { disputes, serving, bonds, provider, at, user, receipt, prove, stake } = await load()
    const { evidence } = await prove([await receipt({ fee: 2n ** 128n - 1n })])
    await bonds.connect(provider).unbond(await serving.bondOf(at), STAKE / 4n)
    await disputes.dispute(evidence[0]!, [])
    expect(await bonds.compensation(user)).to.equal(STAKE / 2n)
    expect(await bonds.compensation(ZeroAddress)).to.equal(STAKE / 2n)
    expect(await stake()).to.equal(0n)
  })

  it('gives its provider no more than half of its stake back, however often it convicts itself', async () => {
    const { disputes, serving, bonds, at, user, receipt, prove } = await load()
    const receipts = await Promise.all([1, 2, 3, 4].map((sequence) => receipt({ sequence, fee: 20n * COIN })))
    const { evidence } = await prove(receipts)
    for (const each of evidence) await disputes.dispute(each, [])
    const left = (await bonds.bondOf(await serving.bondOf(at))).bonded
    expect(await bonds.compensation(user)).to.equal((STAKE - left) / 2n)
    expect(left).to.be.lessThan(STAKE / 10n)
  })

  it('counts also in a batch that was signed under the nonce of another one', async () => {
    const { disputes, serving, registry, bonds, tee, user, receipt, prove } = await load()
    await prove([await receipt()])
    const second = await prove([await receipt({ sequence: 2, fee: 1n })], { settled: false, nonce: 1 })
    // The same batch with the signature of the next key is no fault.
    const next = ethers.Wallet.createRandom()
    await registry.attest(next.address, 2n ** 40n)
    await serving.addOrUpdateService(serviceOf(next.address))
    const one = await receipt({ sequence: 3 })
    const [first, renewed] = [await prove([one], { by: tee }), await prove([one], { settled: false, by: next, nonce: 2 })]
    await expect(disputes.disputePair(first.evidence[0]!, renewed.evidence[0]!)).to.be.revertedWithCustomError(disputes, 'NoFault')
    await disputes.dispute(second.evidence[0]!, [])
    expect(await bonds.compensation(user)).to.equal(COIN)
  })

  it('counts only in its batch: another path, receipt, root, provider, signer, contract or chain is refused', async () => {
    const { disputes, serving, at, bob, other, receipt, prove, tee } = await load()
    const wrong = await receipt({ fee: 1n })
    const { evidence } = await prove([wrong, await receipt({ sequence: 2 })])
    const [good] = evidence
    const stranger = await other.getAddress()
    const refused = async (change: object, error: string) =>
      expect(disputes.dispute({ ...good, ...change }, []), error).to.be.revertedWithCustomError(disputes, error)
    await refused({ path: [] }, 'NotInBatch')
    await refused({ receipt: { ...wrong, fee: 2n } }, 'NotInBatch')
    await refused({ receipt: { ...wrong, user: await bob.getAddress() } }, 'NotInBatch')
    await refused({ receipt: { ...wrong, provider: stranger } }, 'WrongProvider')
    await refused({ batch: { ...good.batch, requestsHash: receiptHash(wrong) }, path: [] }, 'NotSignedByProvider')
    await refused({ batch: { ...good.batch, provider: stranger } }, 'NotDisputable')
    await refused({ signature: '0x' }, 'NotSignedByProvider')
    const types = {
      SettlementBatch: [
        { name: 'provider', type: 'address' },
        { name: 'nonce', type: 'uint64' },
        { name: 'requestsHash', type: 'bytes32' },
        { name: 'itemsHash', type: 'bytes32' },
      ],
    }
    const domain = { name: 'Perigee Inference', version: '1', chainId: 31337, verifyingContract: await serving.getAddress() }
    for (const change of [{ chainId: 1 }, { verifyingContract: at }])
      await refused({ signature: await tee.signTypedData({ ...domain, ...change }, types, good.batch) }, 'NotSignedByProvider')
    const foreign = await prove([wrong], { settled: false, by: ethers.Wallet.createRandom(), nonce: 1 })
    await expect(disputes.dispute(foreign.evidence[0]!, [])).to.be.revertedWithCustomError(disputes, 'NotSignedByProvider')
    await disputes.dispute(good, [])
  })

  it('counts only while its batch is recent, and if it was settled', async () => {
    const { disputes, receipt, prove } = await load()
    const wrong = await receipt({ fee: 1n })
    const unsettled = await prove([wrong], { settled: false })
    await expect(disputes.dispute(unsettled.evidence[0]!, [])).to.be.revertedWithCustomError(disputes, 'NotDisputable')
    const { evidence } = await prove([wrong])
    await networkHelpers.time.increase(8 * DAY)
    await expect(disputes.dispute(evidence[0]!, [])).to.be.revertedWithCustomError(disputes, 'NotDisputable')
  })

  it('may not name a price that was not in force', async () => {
    const { disputes, serving, tee, receipt, prove } = await load()
    const price = { inputPrice: INPUT_PRICE * 2n, outputPrice: OUTPUT_PRICE * 2n }
    const fee = 10n * price.inputPrice + 20n * price.outputPrice
    const before = await networkHelpers.time.latest()
    await serving.addOrUpdateService(serviceOf(tee.address, price))
    await networkHelpers.time.increase(DAY + 7200)
    const now = await networkHelpers.time.latest()
    const tooEarly = await receipt({ priceVersion: 2, createdAt: before, fee })
    const inTime = await receipt({ sequence: 2, priceVersion: 2, createdAt: now, fee })
    const tooLate = await receipt({ sequence: 3, priceVersion: 1, createdAt: now })
    const none = await receipt({ sequence: 4, priceVersion: 7, fee: 5n })
    const { evidence } = await prove([tooEarly, inTime, tooLate, none])
    for (const [i, each] of [tooEarly, undefined, tooLate, none].entries())
      if (each)
        await expect(disputes.dispute(evidence[i]!, []))
          .to.emit(disputes, 'FaultProven')
          .withArgs(each.provider, each.user, FAULT.PriceNotInForce, receiptHash(each), each.fee, 2n * (each.fee + COIN))
    await expect(disputes.dispute(evidence[1]!, [])).to.be.revertedWithCustomError(disputes, 'NoFault')
  })

  it('may not go beyond what the user allowed her key', async () => {
    const { disputes, serving, alice, provider, at, user, receipt, prove } = await load()
    const now = await networkHelpers.time.latest()
    const [allowed, forbidden] = [id('model'), id('another model')]
    await serving.connect(alice).setKeyLimit(provider, 0, 100_000n, now + 4 * 3600, [allowed])
    await serving.connect(alice).setKeyLimit(provider, 1, 0n, 0, [])
    const at2 = now + 7200
    const fine = await receipt({ createdAt: at2, keySpend: 100_000n })
    const over = await receipt({ sequence: 2, createdAt: at2, keySpend: 100_007n })
    const late = await receipt({ sequence: 3, createdAt: now + 6 * 3600 })
    const wrongModel = await receipt({ sequence: 4, createdAt: at2, modelHash: forbidden })
    const unlimited = await receipt({ sequence: 5, tokenId: 1, createdAt: at2, keySpend: 10n ** 20n, modelHash: forbidden })
    const before = await receipt({ sequence: 6, createdAt: now, keySpend: 10n ** 20n })
    const session = await receipt({ sequence: 7, tokenId: 255, createdAt: at2, keySpend: 10n ** 20n })
    const { evidence } = await prove([fine, over, late, wrongModel, unlimited, before, session])
    const proven = (i: number, models: string[], fault: number, each: Receipt, overcharged: bigint) =>
      expect(disputes.dispute(evidence[i]!, models))
        .to.emit(disputes, 'FaultProven')
        .withArgs(at, user, fault, receiptHash(each), overcharged, 2n * (overcharged + COIN))
    await proven(1, [], FAULT.OverKeyCap, over, 7n)
    await proven(2, [], FAULT.KeyExpired, late, late.fee)
    await expect(disputes.dispute(evidence[3]!, [])).to.be.revertedWithCustomError(disputes, 'NoFault')
    await expect(disputes.dispute(evidence[3]!, [id('not what she gave')])).to.be.revertedWithCustomError(disputes, 'NoFault')
    await proven(3, [allowed], FAULT.ModelNotAllowed, wrongModel, wrongModel.fee)
    for (const i of [0, 4, 5, 6]) await expect(disputes.dispute(evidence[i]!, [allowed]), `${i}`).to.be.revertedWithCustomError(disputes, 'NoFault')
  })
})

describe('ReceiptDisputes: two receipts', () => {
  it('for one answer, by number or by id, compensate its user once', async () => {
    const { disputes, bonds, at, user, receipt, prove } = await load()
    const [a, b] = [await receipt({ responseHash: id('one') }), await receipt({ responseHash: id('two') })]
    const [c, d] = [await receipt({ sequence: 5, id: id('x') }), await receipt({ sequence: 9, id: id('x') })]
    const { evidence } = await prove([a, b, c, d])
    await expect(disputes.disputePair(evidence[0]!, evidence[1]!))
      .to.emit(disputes, 'FaultProven')
      .withArgs(at, user, FAULT.Equivocation, receiptHash(b), b.fee, 2n * (b.fee + COIN))
    for (const [x, y] of [
      [0, 1],
      [1, 0],
    ] as const)
      await expect(disputes.disputePair(evidence[x]!, evidence[y]!)).to.be.revertedWithCustomError(disputes, 'AlreadyDecided')
    await disputes.disputePair(evidence[3]!, evidence[2]!)
    expect(await bonds.compensation(user)).to.equal(b.fee + c.fee + 2n * COIN)
    await expect(disputes.disputePair(evidence[0]!, evidence[2]!)).to.be.revertedWithCustomError(disputes, 'NoFault')
    await expect(disputes.disputePair(evidence[0]!, evidence[0]!)).to.be.revertedWithCustomError(disputes, 'NoFault')
  })

  it('that are one in two batches were charged twice', async () => {
    const { disputes, at, user, receipt, prove } = await load()
    const one = await receipt()
    const [first, second] = [await prove([one]), await prove([one, await receipt({ sequence: 2 })])]
    await expect(disputes.disputePair(first.evidence[0]!, second.evidence[0]!))
      .to.emit(disputes, 'FaultProven')
      .withArgs(at, user, FAULT.ChargedTwice, receiptHash(one), one.fee, 2n * (one.fee + COIN))
  })

  it('that follow each other must add up', async () => {
    const { disputes, at, user, bob, receipt, prove } = await load()
    const first = await receipt()
    const second = await receipt({ sequence: 2, cumulativeFee: 2n * first.fee })
    const third = await receipt({ sequence: 3, cumulativeFee: 3n * first.fee + 5n })
    const others = await receipt({ sequence: 2, user: await bob.getAddress(), id: id('bob') })
    const { evidence } = await prove([first, second, third, others])
    await expect(disputes.disputePair(evidence[0]!, evidence[1]!)).to.be.revertedWithCustomError(disputes, 'NoFault')
    await expect(disputes.disputePair(evidence[0]!, evidence[3]!)).to.be.revertedWithCustomError(disputes, 'NoFault')
    await expect(disputes.disputePair(evidence[1]!, evidence[2]!))
      .to.emit(disputes, 'FaultProven')
      .withArgs(at, user, FAULT.BrokenTotal, receiptHash(third), 5n, 2n * (COIN + 5n))
  })
})

describe('ReceiptDisputes: what a batch charged in all', () => {
  const DEPOSIT = COIN / 10n
  async function challenged() {
    const all = await load()
    const { disputes, bob, receipt, prove, alice, user } = all
    const fee = (await receipt()).fee
    const receipts = await Promise.all([4, 5, 6].map((n) => receipt({ sequence: n, cumulativeFee: BigInt(n) * fee })))
    const foreign = await receipt({ user: await bob.getAddress(), id: id('bob') })
    const { items, evidence } = await prove([...receipts, foreign])
    const { batch, signature } = evidence[0]!
    const challenge = (by = alice, value = DEPOSIT) =>
      disputes.connect(by).challengeTotal(batch.provider, batch.nonce, batch.requestsHash, items, signature, { value })
    const number = await disputes.challengeId(batch.provider, batch.nonce, user)
    return { ...all, fee, batch, items, signature, evidence, challenge, number }
  }

  it('is explained by the first and the last receipt: the deposit goes to the provider', async () => {
    const { disputes, bonds, serving, provider, at, evidence, challenge, number, other, stake } = await challenged()
    await expect(challenge()).to.emit(disputes, 'TotalChallenged')
    expect((await bonds.bondOf(await serving.bondOf(at))).locked).to.be.greaterThan(2n * COIN)
    const explain = (first: number, last: number) => disputes.connect(other).explainTotal(number, evidence[first]!, evidence[last]!)
    await expect(explain(0, 1)).to.be.revertedWithCustomError(disputes, 'DoesNotAddUp')
    await expect(explain(0, 3)).to.be.revertedWithCustomError(disputes, 'WrongUser')
    await expect(disputes.explainTotal(number, evidence[0]!, { ...evidence[2]!, path: [] })).to.be.revertedWithCustomError(disputes, 'NotInBatch')
    await expect(disputes.concludeChallenge(number)).to.be.revertedWithCustomError(disputes, 'DeadlineNotPassed')
    await expect(explain(0, 2)).to.changeEtherBalance(ethers, provider, DEPOSIT)
    expect((await bonds.bondOf(await serving.bondOf(at))).locked).to.equal(0n)
    expect(await stake()).to.equal(STAKE)
    await expect(explain(0, 2)).to.be.revertedWithCustomError(disputes, 'UnknownChallenge')
    await expect(challenge()).to.be.revertedWithCustomError(disputes, 'AlreadyDecided')
  })

  it('moves stake to the user when it is not explained in time: what she was charged, and a compensation', async () => {
    const { disputes, bonds, alice, user, fee, evidence, challenge, number } = await challenged()
    await challenge()
    await networkHelpers.time.increase(3 * DAY + 1)
    await expect(disputes.explainTotal(number, evidence[0]!, evidence[2]!)).to.be.revertedWithCustomError(disputes, 'DeadlinePassed')
    await expect(disputes.concludeChallenge(number)).to.changeEtherBalance(ethers, alice, DEPOSIT, { includeFee: false })
    expect(await bonds.compensation(user)).to.equal(3n * fee + COIN)
    expect(await bonds.compensation(ZeroAddress)).to.equal(3n * fee + COIN)
    await expect(disputes.concludeChallenge(number)).to.be.revertedWithCustomError(disputes, 'UnknownChallenge')
    expect(await ethers.provider.getBalance(disputes)).to.equal(0n)
  })

  it('is asked only by who was charged, with the deposit, of a batch as it was signed', async () => {
    const { disputes, challenge, carol, alice, batch, items, signature } = await challenged()
    await expect(challenge(carol)).to.be.revertedWithCustomError(disputes, 'NothingCharged')
    await expect(challenge(alice, DEPOSIT - 1n)).to.be.revertedWithCustomError(disputes, 'WrongDeposit')
    const other = disputes.challengeTotal(batch.provider, batch.nonce, ZeroHash, items, signature, { value: DEPOSIT })
    await expect(other).to.be.revertedWithCustomError(disputes, 'NotSignedByProvider')
  })

  it('keeps the stake from leaving meanwhile', async () => {
    const { bonds, serving, provider, at, disputes, challenge, number, user, fee } = await challenged()
    const bond = await serving.bondOf(at)
    await bonds.connect(provider).unbond(bond, STAKE)
    await networkHelpers.time.increase(6 * DAY)
    await challenge()
    await networkHelpers.time.increase(16 * DAY)
    await bonds.connect(provider).withdraw(bond, provider)
    await disputes.concludeChallenge(number)
    expect(await bonds.compensation(user)).to.equal(3n * fee + COIN)
  })
})

describe('ReceiptDisputes: signers', () => {
  it('that were retired before the batches in dispute count no more', async () => {
    const { disputes, serving, registry, provider, tee, alice, receipt, prove } = await load()
    const next = ethers.Wallet.createRandom()
    await registry.attest(next.address, 2n ** 40n)
    await serving.addOrUpdateService(serviceOf(next.address))
    await networkHelpers.time.increase(24 * DAY)
    await settle(serving, await sign(serving, next as never, { provider, nonce: 1, items: [await item(alice, 1n)] }))
    const leaked = await prove([await receipt({ fee: 1n })], { settled: false, by: tee, nonce: 1 })
    await expect(disputes.dispute(leaked.evidence[0]!, [])).to.be.revertedWithCustomError(disputes, 'NotSignedByProvider')
  })
})
