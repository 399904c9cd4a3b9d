import { expect } from 'chai'
import { parseEther, Wallet, ZeroHash } from 'ethers'
import { network } from 'hardhat'
import type { BatchItem } from '../../../protocol/compute/batch.ts'
import { item, settle, sign } from './batch.ts'
import { DAY, deployCompute, fund, INFERENCE, INPUT_PRICE, LOCK_TIME, OUTPUT_PRICE, STAKE, serviceOf } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
const COIN = parseEther('1')
const MAX_UNITS = 2n ** 40n - 1n
const [PAID, PARTIAL, NO_ACCOUNT, PRICE_NOT_IN_FORCE, CEILING_REACHED] = [0, 1, 2, 3, 4]

async function fixture() {
  const compute = await deployCompute(ethers)
  await fund(compute, compute.alice, compute.provider, 2n * COIN)
  await fund(compute, compute.bob, compute.provider, 2n * COIN)
  const { serving, tee, provider } = compute
  /** Settles these items; gives the outcomes. */
  const charge = async (items: BatchItem[], by = tee as { signingKey: typeof tee.signingKey }) => {
    const batch = await sign(serving, by as typeof tee, { provider, nonce: Number(await serving.lastNonce(provider)) + 1, items })
    const outcomes = await serving.settleBatch.staticCall(batch.provider, batch.nonce, batch.requestsHash, batch.items, batch.signature)
    await settle(serving, batch)
    return [...Buffer.from(outcomes.slice(2), 'hex')]
  }
  const balance = async (user: typeof compute.alice) => (await serving.getAccount(user, provider)).balance
  return { ...compute, charge, balance }
}
const load = () => networkHelpers.loadFixture(fixture)
/** Enough units to take `wei` at the output price, dear enough for a coin to be reachable. */
const DEAR = 10n ** 9n

describe('InferenceServing: settlement', () => {
  it('charges units times price, once, and gives it to the provider when it asks', async () => {
    const { serving, provider, alice, bob, other, charge, balance } = await load()
    expect(await charge([await item(alice, 10n, 20n), await item(bob, 5n)])).to.deep.equal([PAID, PAID])
    const [ofAlice, ofBob] = [10n * INPUT_PRICE + 20n * OUTPUT_PRICE, 5n * INPUT_PRICE]
    expect(await balance(alice)).to.equal(2n * COIN - ofAlice)
    expect(await balance(bob)).to.equal(2n * COIN - ofBob)
    expect((await serving.getAccount(alice, provider)).nonce).to.equal(1n)
    expect(await serving.earningsOf(provider)).to.equal(ofAlice + ofBob)
    await expect(serving.connect(other).withdrawEarnings(other)).to.be.revertedWithCustomError(serving, 'NothingEarned')
    await expect(serving.withdrawEarnings(other)).to.changeEtherBalance(ethers, other, ofAlice + ofBob)
    await expect(serving.withdrawEarnings(other)).to.be.revertedWithCustomError(serving, 'NothingEarned')
  })

  it('lets anyone send a batch, says what became of each item, and lets no item block the others', async () => {
    const { serving, ledger, tee, provider, other, alice, bob, carol, balance } = await load()
    const items = [
      await item(alice, 1n),
      await item(carol, 1n),
      await item(provider, 1n),
      await item(alice, 1n, 0n, 2),
      await item(alice, 1n, 0n, 0),
      await item(alice, MAX_UNITS, MAX_UNITS, 0xffff),
      await item(bob, 1n),
      await item(alice, 1n),
    ]
    const batch = await sign(serving, tee, { provider, nonce: 1, items })
    await expect(settle(serving.connect(other), batch))
      .to.emit(serving, 'BatchSettled')
      .withArgs(
        provider,
        1,
        ZeroHash,
        batch.items,
        [INPUT_PRICE, 0, 0, 0, 0, 0, INPUT_PRICE, INPUT_PRICE],
        `0x${[PAID, NO_ACCOUNT, NO_ACCOUNT, PRICE_NOT_IN_FORCE, PRICE_NOT_IN_FORCE, PRICE_NOT_IN_FORCE, PAID, PAID].map((o) => `0${o}`).join('')}`,
      )
    expect(await balance(alice)).to.equal(2n * COIN - 2n * INPUT_PRICE)
    await expect(ledger.connect(provider).depositFund({ value: 4n * COIN })).not.to.be.revert(ethers)
    await expect(ledger.connect(provider).transferFund(provider, INFERENCE, COIN)).to.be.revertedWithCustomError(serving, 'ProviderCannotBeUser')
  })

  it('takes what is there when a fee is more, however large it is', async () => {
    const { serving, tee, provider, alice, charge, balance } = await load()
    await serving.addOrUpdateService(serviceOf(tee.address, { inputPrice: 2n ** 88n - 1n, outputPrice: 2n ** 88n - 1n }))
    await networkHelpers.time.increase(DAY)
    expect(await charge([await item(alice, MAX_UNITS, MAX_UNITS, 2), await item(alice, 1n, 0n, 2)])).to.deep.equal([PARTIAL, PARTIAL])
    expect(await balance(alice)).to.equal(0n)
    expect(await serving.earningsOf(provider)).to.equal(2n * COIN)
  })

  it('takes every nonce once, and remembers which were skipped', async () => {
    const { serving, tee, provider, alice } = await load()
    const items = [await item(alice, 1n)]
    const third = await sign(serving, tee, { provider, nonce: 3, items })
    await settle(serving, third)
    await expect(settle(serving, third)).to.be.revertedWithCustomError(serving, 'NonceNotNew').withArgs(provider, 3, 3)
    const second = await sign(serving, tee, { provider, nonce: 2, items })
    await expect(settle(serving, second)).to.be.revertedWithCustomError(serving, 'NonceNotNew').withArgs(provider, 2, 3)
    const far = await sign(serving, tee, { provider, nonce: 260, items })
    await expect(settle(serving, far)).to.be.revertedWithCustomError(serving, 'NonceTooLarge').withArgs(260, 259)
    await settle(serving, await sign(serving, tee, { provider, nonce: 259, items }))
    const disputable = await Promise.all([0, 1, 2, 3, 4, 258, 259, 260].map((nonce) => serving.isDisputable(provider, nonce)))
    expect(disputable).to.deep.equal([false, false, false, true, false, false, true, false])
  })

  it('keeps a batch disputable for a week after it was settled, and for three at most', async () => {
    const { serving, provider, alice, charge } = await load()
    await charge([await item(alice, 1n)])
    await networkHelpers.time.increase(7 * DAY)
    expect(await serving.isDisputable(provider, 1)).to.equal(true)
    await networkHelpers.time.increase(DAY)
    expect(await serving.isDisputable(provider, 1)).to.equal(false)
    await charge([await item(alice, 1n)])
    expect(await serving.isDisputable(provider, 2)).to.equal(true)
    await networkHelpers.time.increase(6 * DAY)
    await charge([await item(alice, 1n)])
    expect(await serving.isDisputable(provider, 2)).to.equal(true)
    await networkHelpers.time.increase(8 * DAY)
    await charge([await item(alice, 1n)])
    expect(await Promise.all([1, 2, 3, 4].map((nonce) => serving.isDisputable(provider, nonce)))).to.deep.equal([false, true, true, true])
    await networkHelpers.time.increase(8 * DAY)
    await charge([await item(alice, 1n)])
    expect(await Promise.all([1, 2, 3, 4, 5].map((nonce) => serving.isDisputable(provider, nonce)))).to.deep.equal([false, false, false, true, true])
  })

  it('refuses a signature over anything else: other items, root, nonce, provider, contract or chain', async () => {
    const { serving, tee, provider, other, alice, bob } = await load()
    await serving.connect(other).addOrUpdateService(serviceOf(Wallet.createRandom().address), { value: STAKE })
    const good = await sign(serving, tee, { provider, nonce: 1, items: [await item(alice, 1n)] })
    const elsewhere = await sign(serving, tee, { provider, nonce: 1, items: [await item(bob, 1n)] })
    const bad = [
      { ...good, items: elsewhere.items },
      { ...good, requestsHash: ethers.id('other') },
      { ...good, nonce: 2 },
      { ...good, provider: await other.getAddress() },
    ]
    for (const batch of bad) await expect(settle(serving, batch)).to.be.revertedWithCustomError(serving, 'SignerNotAttested')
    const types = {
      SettlementBatch: [
        { name: 'provider', type: 'address' },
        { name: 'nonce', type: 'uint64' },
        { name: 'requestsHash', type: 'bytes32' },
        { name: 'itemsHash', type: 'bytes32' },
      ],
    }
    const { items, signature: _, ...message } = good
    const value = { ...message, itemsHash: ethers.keccak256(ethers.concat(items)) }
    const domain = { name: 'Perigee Inference', version: '1', chainId: 31337, verifyingContract: await serving.getAddress() }
    for (const change of [{ chainId: 1 }, { verifyingContract: await other.getAddress() }, { name: 'Perigee Fine-Tuning' }]) {
      const signature = await tee.signTypedData({ ...domain, ...change }, types, value)
      await expect(settle(serving, { ...good, signature })).to.be.revertedWithCustomError(serving, 'SignerNotAttested')
    }
    await expect(settle(serving, { ...good, signature: '0x1234' })).to.be.revertedWithCustomError(serving, 'InvalidTEESignature')
    await settle(serving, { ...good, signature: await tee.signTypedData(domain, types, value) })
  })

  it('bounds a batch', async () => {
    const { serving, tee, provider, alice } = await load()
    await expect(settle(serving, await sign(serving, tee, { provider, nonce: 1, items: [] }))).to.be.revertedWithCustomError(serving, 'NoSettlementsProvided')
    const one = await item(alice, 1n)
    const many = await sign(serving, tee, { provider, nonce: 1, items: Array(501).fill(one) })
    await expect(settle(serving, many)).to.be.revertedWithCustomError(serving, 'TooManySettlements').withArgs(501, 500)
    await settle(serving, await sign(serving, tee, { provider, nonce: 1, items: Array(500).fill(one) }))
  })

  it('counts who is attested: an expired signer for the lock time, a revoked one not at all', async () => {
    const { serving, registry, tee, provider, alice, charge } = await load()
    const now = await networkHelpers.time.latest()
    await registry.attest(tee.address, now + 100)
    await networkHelpers.time.increase(LOCK_TIME)
    expect((await serving.getService(provider)).teeSignerAcknowledged).to.equal(false)
    await expect(serving.acknowledgeTEESignerByOwner(provider)).to.be.revertedWithCustomError(serving, 'SignerNotAttested')
    await charge([await item(alice, 1n)])
    await networkHelpers.time.increase(100)
    const late = await sign(serving, tee, { provider, nonce: 2, items: [await item(alice, 1n)] })
    await expect(settle(serving, late)).to.be.revertedWithCustomError(serving, 'SignerNotAttested')
    await registry.attest(tee.address, 2n ** 40n)
    await serving.acknowledgeTEESignerByOwner(provider)
    await registry.revoke(tee.address)
    await expect(settle(serving, late)).to.be.revertedWithCustomError(serving, 'SignerNotAttested').withArgs(provider, tee.address)
  })

  it('lets a former signer settle for the lock time after its successor came', async () => {
    const { serving, registry, tee, provider, alice, charge } = await load()
    const next = ethers.Wallet.createRandom()
    await expect(serving.addOrUpdateService(serviceOf(next.address))).to.emit(serving, 'TeeSignerChanged')
    await expect(charge([await item(alice, 1n)], next)).to.be.revertedWithCustomError(serving, 'SignerNotAttested')
    await registry.attest(next.address, 2n ** 40n)
    await charge([await item(alice, 1n)])
    await charge([await item(alice, 1n)], next)
    expect(await serving.signerUntil(provider, next)).to.equal(2n ** 256n - 1n)
    await networkHelpers.time.increaseTo(await serving.signerUntil(provider, tee))
    const late = await sign(serving, tee, { provider, nonce: 10, items: [await item(alice, 1n)] })
    await networkHelpers.time.increase(1)
    await expect(settle(serving, late)).to.be.revertedWithCustomError(serving, 'SignerNotAttested')
  })

  it('settles nothing for which nobody answers: the whole stake must be bonded', async () => {
    const { serving, bonds, disputes, tee, provider, alice, governor } = await load()
    const batch = await sign(serving, tee, { provider, nonce: 1, items: [await item(alice, 1n)] })
    const id = await serving.bondOf(provider)
    await bonds.connect(provider).unbond(id, 1n)
    await expect(settle(serving, batch))
      .to.be.revertedWithCustomError(serving, 'InsufficientStake')
      .withArgs(STAKE - 1n, STAKE)
    expect(await serving.isInGoodStanding(provider)).to.equal(false)
    await bonds.connect(governor).bond(provider, [disputes], 21 * DAY, { value: 1n })
    await settle(serving, batch)
  })

  it('keeps to the ceiling of a user, which she lowers with notice and raises at once', async () => {
    const { serving, tee, provider, alice, charge, balance } = await load()
    await serving.addOrUpdateService(serviceOf(tee.address, { inputPrice: DEAR }))
    await networkHelpers.time.increase(DAY)
    const limit = 5n * DEAR
    await serving.connect(alice).setCeiling(provider, limit)
    expect(await charge([await item(alice, 6n, 0n, 2)])).to.deep.equal([PAID])
    await networkHelpers.time.increase(LOCK_TIME)
    expect(await serving.ceiling(alice, provider)).to.deep.equal([limit, 0n])
    const before = await balance(alice)
    expect(await charge([await item(alice, 4n, 0n, 2), await item(alice, 4n, 0n, 2), await item(alice, 1n, 0n, 2)])).to.deep.equal([
      PAID,
      CEILING_REACHED,
      CEILING_REACHED,
    ])
    expect(before - (await balance(alice))).to.equal(limit)
    await serving.connect(alice).setCeiling(provider, 2n * limit)
    expect(await charge([await item(alice, 5n, 0n, 2)])).to.deep.equal([PAID])
    await networkHelpers.time.increase(DAY)
    expect((await serving.ceiling(alice, provider)).spentToday).to.equal(0n)
    expect(await charge([await item(alice, 10n, 0n, 2)])).to.deep.equal([PAID])
    await serving.connect(alice).setCeiling(provider, 0)
    expect(await charge([await item(alice, 20n, 0n, 2)])).to.deep.equal([PAID])
  })

  it('charges what was asked back until its lock ends, and not after (the reference charges it until it is collected)', async () => {
    const { serving, ledger, tee, provider, alice, charge, balance } = await load()
    await serving.addOrUpdateService(serviceOf(tee.address, { inputPrice: COIN / 10n }))
    await networkHelpers.time.increase(DAY)
    await ledger.retrieveFund([provider], INFERENCE)
    expect(await charge([await item(alice, 5n, 0n, 2)])).to.deep.equal([PAID])
    const { refunds, pendingRefund } = await serving.getAccount(alice, provider)
    expect([refunds.length, refunds[0]!.amount, pendingRefund]).to.deep.equal([1, (COIN * 3n) / 2n, (COIN * 3n) / 2n])
    await networkHelpers.time.increase(LOCK_TIME)
    expect(await charge([await item(alice, 1n, 0n, 2)])).to.deep.equal([PARTIAL])
    expect(await balance(alice)).to.equal((COIN * 3n) / 2n)
    await ledger.retrieveFund([provider], INFERENCE)
    expect((await ledger.getLedger(alice)).availableBalance).to.equal(3n * COIN + (COIN * 3n) / 2n)
  })
})

describe('InferenceServing: prices', () => {
  it('rise after notice and fall at once; the one before is charged for a lock time more (the reference takes any rise at once)', async () => {
    const { serving, tee, provider, alice, charge } = await load()
    await serving.addOrUpdateService(serviceOf(tee.address, { inputPrice: INPUT_PRICE * 1000n }))
    expect((await serving.getService(provider)).inputPrice).to.equal(INPUT_PRICE)
    expect(await serving.priceVersion(provider)).to.deep.equal([1n, 2n])
    expect(await charge([await item(alice, 1n, 0n, 2)])).to.deep.equal([PRICE_NOT_IN_FORCE])
    await networkHelpers.time.increase(DAY)
    expect((await serving.getService(provider)).inputPrice).to.equal(INPUT_PRICE * 1000n)
    expect(await charge([await item(alice, 1n, 0n, 2), await item(alice, 1n, 0n, 1)])).to.deep.equal([PAID, PAID])
    await networkHelpers.time.increase(LOCK_TIME)
    expect(await charge([await item(alice, 1n, 0n, 1)])).to.deep.equal([PRICE_NOT_IN_FORCE])
    await serving.addOrUpdateService(serviceOf(tee.address, { inputPrice: 1n }))
    expect((await serving.getService(provider)).inputPrice).to.equal(1n)
  })

  it('that were announced can be taken back, and no service escapes the notice by ending and beginning again', async () => {
    const { serving, tee, provider } = await load()
    const dear = serviceOf(tee.address, { outputPrice: OUTPUT_PRICE + 1n })
    await serving.addOrUpdateService(dear)
    await serving.addOrUpdateService(serviceOf(tee.address))
    expect(await serving.priceVersion(provider)).to.deep.equal([2n, 2n])
    expect((await serving.getService(provider)).outputPrice).to.equal(OUTPUT_PRICE)
    await serving.removeService()
    await serving.addOrUpdateService(dear)
    expect((await serving.getService(provider)).outputPrice).to.equal(OUTPUT_PRICE)
    await serving.addOrUpdateService(dear)
    expect(await serving.priceVersion(provider)).to.deep.equal([2n, 3n])
    await expect(serving.addOrUpdateService(serviceOf(tee.address, { inputPrice: 2n ** 88n })))
      .to.be.revertedWithCustomError(serving, 'PriceTooHigh')
      .withArgs(2n ** 88n, 2n ** 88n - 1n)
  })
})
