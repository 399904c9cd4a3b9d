import { expect } from 'chai'
import { type Signer, Wallet } from 'ethers'
import { network } from 'hardhat'
import { PROFILES } from '../../../deploy/profiles.ts'
import { PROMISE_TYPES, paymentDomain } from '../../../protocol/da/payment.ts'
import { BlobPayments__factory, GreedyAccount__factory } from '../../../typechain-types/index.ts'
import { type Promised, promised, redemptionOf } from './promises.ts'
import { certified, scene } from './scene.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 16_000_000 } })
const COIN = 10n ** 18n
const FEE = 10n ** 16n
const BLOBS = ['first', 'second', 'third'].map(ethers.id) as [string, string, string]
/** As the contract numbers them. */
const [REDEEMED, EXPIRED, TOO_OLD, AGAIN, NOT_IN_BATCH, UNSIGNED, TOO_POOR] = [0n, 1n, 2n, 3n, 4n, 5n, 6n]

/** A coin of the payer's, and a certified batch of three blobs. */
async function paid() {
  const of = await scene(ethers)
  await of.payments.deposit(of.payer, { value: COIN })
  const batch = await certified(of, BLOBS)
  const [payer, disperser] = [await of.payer.getAddress(), await of.disperser.getAddress()]
  const share = (fee: bigint) => (fee * 2_500n) / 10_000n
  return { ...of, batch, payerAddress: payer, disperserAddress: disperser, share }
}
const load = () => networkHelpers.loadFixture(paid)
type Paid = Awaited<ReturnType<typeof paid>>

/** The outcome of one redemption, by the disperser unless another sends it. */
async function outcomeOf(
  { payments, batch, disperser }: Paid,
  given: Promised,
  { index = 0, by = disperser as Signer, proof = undefined as string[] | undefined } = {},
) {
  const redemption = { ...redemptionOf(given, batch, index), ...(proof && { proof }) }
  const [outcome] = await payments.connect(by).redeem.staticCall(batch.root, [redemption])
  return outcome
}

describe('BlobPayments: balances', () => {
  it('are filled by anyone, for anyone', async () => {
    const { payments, stranger, payerAddress } = await load()
    const tx = payments.connect(stranger).deposit(payerAddress, { value: 7n })
    await expect(tx).to.changeEtherBalances(ethers, [stranger, payments], [-7n, 7n])
    await expect(tx)
      .to.emit(payments, 'Deposited')
      .withArgs(payerAddress, await stranger.getAddress(), 7n)
    expect((await payments.balanceOf(payerAddress)).available).to.equal(COIN + 7n)
    await expect(payments.deposit(payerAddress)).to.be.revertedWithCustomError(payments, 'ZeroAmount')
  })

  it('fit 96 bits all together', async () => {
    const { payments, payer, payerAddress } = await load()
    await networkHelpers.setBalance(payerAddress, 2n ** 100n)
    const most = 2n ** 96n - 1n - COIN
    await expect(payments.deposit(payer, { value: most + 1n }))
      .to.be.revertedWithCustomError(payments, 'DepositTooLarge')
      .withArgs(most + 1n)
    await payments.deposit(payer, { value: most })
    expect((await payments.balanceOf(payer)).available).to.equal(2n ** 96n - 1n)
  })

  it('leave after the lock time, and what is asked back joins what waits', async () => {
    const { payments, payer, payerAddress, stranger } = await load()
    const lockTime = await payments.lockTime()
    await payments.requestWithdrawal(COIN / 4n)
    await networkHelpers.time.increase(lockTime - 10n)
    const request = await payments.requestWithdrawal(COIN / 4n)
    const due = BigInt((await ethers.provider.getBlock((await request.wait())!.blockNumber))!.timestamp) + lockTime
    await expect(request)
      .to.emit(payments, 'WithdrawalRequested')
      .withArgs(payerAddress, COIN / 4n, due)
    expect(await payments.balanceOf(payer)).to.deep.equal([COIN / 2n, COIN / 2n, due])
    await networkHelpers.time.setNextBlockTimestamp(due - 1n)
    await expect(payments.withdraw(payerAddress)).to.be.revertedWithCustomError(payments, 'NotDue').withArgs(due)
    const paidOut = payments.withdraw(await stranger.getAddress())
    await expect(paidOut).to.changeEtherBalances(ethers, [payments, stranger], [-COIN / 2n, COIN / 2n])
    await expect(paidOut)
      .to.emit(payments, 'Withdrawn')
      .withArgs(payerAddress, await stranger.getAddress(), COIN / 2n)
    await expect(payments.withdraw(payerAddress)).to.be.revertedWithCustomError(payments, 'ZeroAmount')
  })

  it('are asked back as far as they are there', async () => {
    const { payments } = await load()
    await expect(payments.requestWithdrawal(0)).to.be.revertedWithCustomError(payments, 'ZeroAmount')
    await expect(payments.requestWithdrawal(COIN + 1n))
      .to.be.revertedWithCustomError(payments, 'InsufficientBalance')
      .withArgs(COIN, COIN + 1n)
    await expect(payments.requestWithdrawal(COIN)).to.emit(payments, 'WithdrawalRequested')
  })

  it('stay where they are when the receiver refuses them, and are paid once to one that calls again', async () => {
    const { payments, payer } = await load()
    const greedy = await new GreedyAccount__factory(payer).deploy()
    await payments.deposit(greedy, { value: COIN })
    const run = (name: 'requestWithdrawal' | 'withdraw', ...args: unknown[]) =>
      greedy.execute(payments.target, payments.interface.encodeFunctionData(name as never, args as never))
    await run('requestWithdrawal', COIN / 2n)
    await networkHelpers.time.increase(await payments.lockTime())
    await expect(run('withdraw', payments.target))
      .to.be.revertedWithCustomError(payments, 'TransferRejected')
      .withArgs(payments.target, COIN / 2n)
    await expect(run('withdraw', greedy.target)).to.changeEtherBalances(ethers, [payments, greedy], [-COIN / 2n, COIN / 2n])
    expect(await greedy.reentered()).to.equal(0n)
  })
})

describe('BlobPayments: a promise', () => {
  it('gives the disperser its part, and signers the rest', async () => {
    const of = await load()
    const { payments, rewards, payerAddress, disperserAddress, share } = of
    const terms = { blobId: BLOBS[1], fee: FEE + 1n }
    const tx = payments.connect(of.disperser).redeem(of.batch.root, [redemptionOf(await promised(of, terms), of.batch, 1)])
    const signers = FEE + 1n - share(FEE + 1n)
    await expect(tx).to.changeEtherBalances(ethers, [payments, rewards], [-signers, signers])
    await expect(tx)
      .to.emit(payments, 'PromiseRedeemed')
      .withArgs(BLOBS[1], payerAddress, disperserAddress, 0n, FEE + 1n)
    await expect(tx).to.emit(rewards, 'Funded').withArgs(payments.target, signers)
    expect((await payments.balanceOf(payerAddress)).available).to.equal(COIN - FEE - 1n)
    expect((await payments.balanceOf(disperserAddress)).available).to.equal(share(FEE + 1n))
  })

  it('counts once, in one call or in two', async () => {
    const of = await load()
    const given = await promised(of, { blobId: BLOBS[0] })
    const redemption = redemptionOf(given, of.batch)
    const both = of.payments.connect(of.disperser)
    expect(await of.payments.isRedeemed(await of.payments.promiseHash(given.terms))).to.equal(false)
    const tx = both.redeem(of.batch.root, [redemption, redemption])
    await expect(tx).to.emit(of.payments, 'PromiseRefused').withArgs(BLOBS[0], of.payerAddress, 0n, AGAIN)
    expect(await of.payments.isRedeemed(await of.payments.promiseHash(given.terms))).to.equal(true)
    expect(await outcomeOf(of, given)).to.equal(AGAIN)
    expect((await of.payments.balanceOf(of.payerAddress)).available).to.equal(COIN - FEE)
    // Nor in another batch that has the blob.
    const other = await certified(of, [BLOBS[0], ethers.id('another')])
    expect(await outcomeOf({ ...of, batch: other }, given)).to.equal(AGAIN)
    // Another number makes another promise.
    expect(await outcomeOf(of, await promised(of, { blobId: BLOBS[0], nonce: 1n }))).to.equal(REDEEMED)
  })

  it('can’t be voided by another one of its payer', async () => {
    const of = await load()
    const given = await promised(of, { blobId: BLOBS[0] })
    const own = await promised(of, { blobId: BLOBS[1], fee: 0n, disperser: of.payerAddress })
    await of.payments.redeem(of.batch.root, [redemptionOf(own, of.batch, 1)])
    expect(await outcomeOf(of, given)).to.equal(REDEEMED)
  })

  it('is redeemed by anyone, and pays its disperser', async () => {
    const of = await load()
    await of.payments.connect(of.stranger).redeem(of.batch.root, [redemptionOf(await promised(of, { blobId: BLOBS[0] }), of.batch)])
    expect((await of.payments.balanceOf(of.disperserAddress)).available).to.equal(of.share(FEE))
    expect((await of.payments.balanceOf(of.stranger)).available).to.equal(0n)
  })

  it('to oneself still costs what is the signers’', async () => {
    const of = await load()
    const own = await promised(of, { blobId: BLOBS[0], disperser: of.payerAddress })
    await of.payments.redeem(of.batch.root, [redemptionOf(own, of.batch)])
    expect((await of.payments.balanceOf(of.payerAddress)).available).to.equal(COIN - FEE + of.share(FEE))
  })

  it('is paid from what was asked back, where the rest does not do', async () => {
    const of = await load()
    await of.payments.requestWithdrawal(COIN - FEE / 2n)
    await of.payments.connect(of.disperser).redeem(of.batch.root, [redemptionOf(await promised(of, { blobId: BLOBS[0] }), of.batch)])
    const { available, withdrawing } = await of.payments.balanceOf(of.payerAddress)
    expect([available, withdrawing]).to.deep.equal([0n, COIN - FEE])
    expect(await outcomeOf(of, await promised(of, { blobId: BLOBS[1], fee: COIN - FEE }), { index: 1 }), 'all there is').to.equal(REDEEMED)
    expect(await outcomeOf(of, await promised(of, { blobId: BLOBS[1], fee: COIN - FEE + 1n }), { index: 1 }), 'a wei more').to.equal(TOO_POOR)
  })

  it('is refused alone: those beside it are redeemed', async () => {
    const of = await load()
    const [good, bad] = [await promised(of, { blobId: BLOBS[0] }), await promised(of, { blobId: BLOBS[1], fee: COIN })]
    const last = await promised(of, { blobId: BLOBS[2] })
    const redemptions = [good, bad, last].map((given, i) => redemptionOf(given, of.batch, i))
    expect(await of.payments.redeem.staticCall(of.batch.root, redemptions)).to.deep.equal([REDEEMED, TOO_POOR, REDEEMED])
    const signers = 2n * (FEE - of.share(FEE))
    await expect(of.payments.redeem(of.batch.root, redemptions)).to.changeEtherBalances(ethers, [of.payments, of.rewards], [-signers, signers])
    expect((await of.payments.balanceOf(of.payerAddress)).available).to.equal(COIN - 2n * FEE)
    expect((await of.payments.balanceOf(of.disperserAddress)).available).to.equal(2n * of.share(FEE))
    await expect(of.payments.redeem(of.batch.root, redemptions), 'all refused').not.to.emit(of.rewards, 'Funded')
  })

  it('needs a certificate (I58)', async () => {
    const of = await load()
    const given = await promised(of, { blobId: BLOBS[0] })
    await expect(of.payments.redeem(ethers.id('no batch'), [redemptionOf(given, of.batch)]))
      .to.be.revertedWithCustomError(of.payments, 'NotCertified')
      .withArgs(ethers.id('no batch'))
    expect(await outcomeOf(of, given, { index: 1 }), 'the place of another').to.equal(NOT_IN_BATCH)
    expect(await outcomeOf(of, given, { proof: [] }), 'no proof').to.equal(NOT_IN_BATCH)
    expect(await outcomeOf(of, await promised(of, { blobId: ethers.id('none') })), 'another blob').to.equal(NOT_IN_BATCH)
  })

  it('ends with its deadline, and is not paid for a certificate older than it can be', async () => {
    const of = await load()
    const { timestamp } = (await ethers.provider.getBlock('latest'))!
    const lockTime = Number(await of.payments.lockTime())
    const [, certifiedAt] = await of.da.certificateOf(of.batch.root)
    const longest = await promised(of, { blobId: BLOBS[0], deadline: Number(certifiedAt) + lockTime })
    expect(await outcomeOf(of, longest)).to.equal(REDEEMED)
    expect(await outcomeOf(of, await promised(of, { blobId: BLOBS[0], deadline: longest.terms.deadline + 1 }))).to.equal(TOO_OLD)
    const given = await promised(of, { blobId: BLOBS[0], deadline: timestamp + 100 })
    await networkHelpers.time.increaseTo(timestamp + 100)
    expect(await outcomeOf(of, given)).to.equal(REDEEMED)
    await networkHelpers.time.increaseTo(timestamp + 101)
    expect(await outcomeOf(of, given)).to.equal(EXPIRED)
  })

  it('counts only as it was signed, for this chain and this contract', async () => {
    const of = await load()
    const given = await promised(of, { blobId: BLOBS[0] })
    const changed = (terms: Partial<Promised['terms']>) => outcomeOf(of, { ...given, terms: { ...given.terms, ...terms } })
    expect(await changed({})).to.equal(REDEEMED)
    expect(await changed({ fee: FEE + 1n }), 'fee').to.equal(UNSIGNED)
    expect(await changed({ nonce: 1n }), 'nonce').to.equal(UNSIGNED)
    expect(await changed({ deadline: given.terms.deadline + 1 }), 'deadline').to.equal(UNSIGNED)
    expect(await changed({ disperser: of.payerAddress }), 'disperser').to.equal(UNSIGNED)
    expect(await changed({ payer: of.disperserAddress }), 'payer').to.equal(UNSIGNED)
    for (const [why, signature] of [
      ['empty', '0x'],
      ['short', ethers.dataSlice(given.signature, 0, 64)],
      ['long', ethers.concat([given.signature, '0x00'])],
      ['zeros', `0x${'00'.repeat(65)}`],
      ['ones', `0x${'ff'.repeat(65)}`],
      ['another recovery', ethers.concat([ethers.dataSlice(given.signature, 0, 64), '0x1d'])],
      ['of another', (await promised(of, { blobId: BLOBS[0] }, of.stranger)).signature],
      ['for another chain', await of.payer.signTypedData(paymentDomain(1n, of.payments.target as string), PROMISE_TYPES, given.terms)],
      ['for another contract', await of.payer.signTypedData(paymentDomain(31337n, of.rewards.target as string), PROMISE_TYPES, given.terms)],
    ] as const)
      expect(await outcomeOf(of, { ...given, signature }), why).to.equal(UNSIGNED)
    // Nobody's signature is the zero address's.
    expect(await outcomeOf(of, { terms: { ...given.terms, payer: ethers.ZeroAddress, fee: 0n }, signature: `0x${'00'.repeat(65)}` })).to.equal(UNSIGNED)
  })

  it('needs no signature from a payer that sends it itself', async () => {
    const of = await load()
    const given = { ...(await promised(of, { blobId: BLOBS[0] })), signature: '0x' }
    expect(await outcomeOf(of, given, { by: of.payer })).to.equal(REDEEMED)
    expect(await outcomeOf(of, given, { by: of.disperser })).to.equal(UNSIGNED)
  })

  it('is signed by contracts too, and by a key whose account got code that denies it', async () => {
    const of = await load()
    const greedy = await new GreedyAccount__factory(of.payer).deploy()
    await of.payments.deposit(greedy, { value: COIN })
    const given = await promised(of, { blobId: BLOBS[0], payer: greedy.target as string })
    expect(await outcomeOf(of, given)).to.equal(UNSIGNED)
    await greedy.approve(await of.payments.promiseHash(given.terms))
    expect(await outcomeOf(of, given)).to.equal(REDEEMED)

    const wallet = Wallet.createRandom()
    await of.payments.deposit(wallet.address, { value: COIN })
    const own = await promised(of, { blobId: BLOBS[0], payer: wallet.address }, wallet)
    await networkHelpers.setCode(wallet.address, (await ethers.provider.getCode(greedy.target as string)) as `0x${string}`)
    expect(await outcomeOf(of, own)).to.equal(REDEEMED)
  })
})

describe('BlobPayments: prices', () => {
  it('are of a blob and of each begun KiB, and change without hurting what was promised', async () => {
    const of = await load()
    const { payments, governor } = of
    const { blobPrice, pricePerKiB } = await payments.prices()
    expect([blobPrice, pricePerKiB]).to.deep.equal([PROFILES.local!.da!.payments.blobPrice, PROFILES.local!.da!.payments.pricePerKiB])
    expect(await payments.priceOf(6, 64)).to.equal(blobPrice + 4n * pricePerKiB)
    expect(await payments.priceOf(12, 8192)).to.equal(blobPrice + 32_768n * pricePerKiB)
    const given = await promised(of, { blobId: BLOBS[0] })
    await expect(payments.connect(governor).setPrices(COIN, 3n)).to.emit(payments, 'PriceChanged').withArgs(COIN, 3n)
    expect(await payments.priceOf(6, 64)).to.equal(COIN + 12n)
    expect(await outcomeOf(of, given)).to.equal(REDEEMED)
    await expect(payments.setPrices(0n, 0n)).to.be.revertedWithCustomError(payments, 'AccessManagedUnauthorized')
  })

  it('and the rest of the parameters are checked', async () => {
    const of = await load()
    const make = (changes: object) =>
      new BlobPayments__factory(of.governor).deploy(of.at.AccessManager!, of.at.DataAvailability!, of.at.SamplingRewards!, {
        blobPrice: 1n,
        pricePerKiB: 1n,
        lockTime: 3600n,
        disperserShare: 10_000n,
        ...changes,
      })
    const made = await make({})
    for (const [name, value, min, max] of [
      ['lockTime', 59n, 60n, 30n * 86_400n],
      ['lockTime', 30n * 86_400n + 1n, 60n, 30n * 86_400n],
      ['disperserShare', 10_001n, 0n, 10_000n],
    ] as const)
      await expect(make({ [name]: value }))
        .to.be.revertedWithCustomError(made, 'InvalidParameter')
        .withArgs(ethers.encodeBytes32String(name), value, min, max)
  })
})
