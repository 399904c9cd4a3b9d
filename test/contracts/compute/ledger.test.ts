import { expect } from 'chai'
import { parseEther, type Signer, Wallet, ZeroAddress } from 'ethers'
import { network } from 'hardhat'
import { item, settle, sign } from './batch.ts'
import { DAY, deployCompute, fund, INFERENCE, LOCK_TIME, STAKE, serviceOf } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
const COIN = parseEther('1')

async function fixture() {
  const compute = await deployCompute(ethers)
  const { serving, tee, ledger, alice } = compute
  /** More providers, all with a price at which a coin can be charged. */
  const more = async (count: number): Promise<Signer[]> => {
    const made: Signer[] = []
    for (let i = 0; i < count; i++) {
      const wallet = Wallet.createRandom(ethers.provider as never)
      await networkHelpers.setBalance(wallet.address, 200n * COIN)
      await serving.connect(wallet).addOrUpdateService(serviceOf(tee.address, { inputPrice: COIN / 1000n }), { value: STAKE })
      made.push(wallet)
    }
    return made
  }
  const available = async (user: Signer = alice) => (await ledger.getLedger(user)).availableBalance
  return { ...compute, more, available }
}
const load = () => networkHelpers.loadFixture(fixture)
const addresses = (signers: Signer[]) => Promise.all(signers.map((each) => each.getAddress()))

describe('LedgerManager: money in', () => {
  it('opens a ledger with three coins or more, once', async () => {
    const { ledger, alice, bob } = await load()
    await expect(ledger.addLedger('', { value: 3n * COIN - 1n })).to.be.revertedWithCustomError(ledger, 'MinimumDepositRequired')
    await expect(ledger.addLedger('i'.repeat(4097), { value: 3n * COIN })).to.be.revertedWithCustomError(ledger, 'AdditionalInfoTooLong')
    await expect(ledger.addLedger('of alice', { value: 3n * COIN }))
      .to.emit(ledger, 'LedgerInfoUpdated')
      .withArgs(alice, 'of alice')
    await expect(ledger.addLedger('', { value: 3n * COIN })).to.be.revertedWithCustomError(ledger, 'LedgerExists')
    expect(await ledger.getLedger(alice)).to.deep.equal([await alice.getAddress(), 3n * COIN, 3n * COIN, 'of alice'])
    await ledger.updateAdditionalInfo('new')
    expect(await ledger.additionalInfoOf(alice)).to.equal('new')
    await expect(ledger.connect(bob).updateAdditionalInfo('new')).to.be.revertedWithCustomError(ledger, 'LedgerNotExists')
    await expect(ledger.getLedger(bob)).to.be.revertedWithCustomError(ledger, 'LedgerNotExists')
  })

  it('takes deposits for oneself and for others, and none that nobody owns', async () => {
    const { ledger, serving, alice, bob, available } = await load()
    await expect(ledger.depositFund({ value: COIN })).to.be.revertedWithCustomError(ledger, 'MinimumDepositRequired')
    await ledger.depositFund({ value: 3n * COIN })
    await ledger.connect(bob).depositFundFor(alice, { value: 1n })
    expect(await available()).to.equal(3n * COIN + 1n)
    await expect(ledger.depositFund()).to.be.revertedWithCustomError(ledger, 'ZeroAmountNotAllowed')
    await expect(ledger.depositFundFor(ZeroAddress, { value: COIN })).to.be.revertedWithCustomError(ledger, 'ZeroAddressNotAllowed')
    await expect(alice.sendTransaction({ to: ledger, value: 1n })).to.be.revertedWithCustomError(ledger, 'DirectDepositsDisabled')
    await expect(alice.sendTransaction({ to: serving, value: 1n })).to.be.revertedWithCustomError(serving, 'DirectDepositsDisabled')
  })

  it('moves to sub-accounts, whose refusals come through as they are (the reference says CallFailed)', async () => {
    const { ledger, serving, provider, alice, bob, other, available } = await load()
    await expect(ledger.transferFund(provider, INFERENCE, COIN)).to.be.revertedWithCustomError(ledger, 'LedgerNotExists')
    await ledger.depositFund({ value: 5n * COIN })
    await expect(ledger.transferFund(provider, 'no-such', COIN)).to.be.revertedWithCustomError(ledger, 'ServiceNotFound')
    await expect(ledger.transferFund(provider, INFERENCE, 0)).to.be.revertedWithCustomError(ledger, 'ZeroAmountNotAllowed')
    await expect(ledger.transferFund(provider, INFERENCE, COIN - 1n)).to.be.revertedWithCustomError(ledger, 'MinimumDepositRequired')
    await expect(ledger.transferFund(provider, INFERENCE, 6n * COIN)).to.be.revertedWithCustomError(ledger, 'InsufficientAvailableBalance')
    // Reference defect 12: money goes to providers that never registered.
    await expect(ledger.transferFund(other, INFERENCE, COIN)).to.be.revertedWithCustomError(serving, 'ServiceNotExist')
    await expect(ledger.transferFund(provider, INFERENCE, 2n * COIN))
      .to.emit(serving, 'BalanceUpdated')
      .withArgs(alice, provider, 2n * COIN, 0)
    await ledger.transferFund(provider, INFERENCE, 1n)
    expect(await available()).to.equal(3n * COIN - 1n)
    expect((await ledger.getLedger(alice)).totalBalance).to.equal(5n * COIN)
    expect(await ledger.getLedgerProviders(alice, INFERENCE)).to.deep.equal([await provider.getAddress()])
    expect((await serving.getAccount(alice, provider)).acknowledged).to.equal(true)
    const stranger = serving.connect(bob)
    const refused = (call: Promise<unknown>) => expect(call).to.be.revertedWithCustomError(serving, 'CallerNotLedger').withArgs(bob)
    await refused(stranger.addAccount(bob, provider, { value: COIN }))
    await refused(stranger.depositFund(alice, provider, 0))
    await refused(stranger.retrieveFund(alice, [provider], 1))
    await refused(stranger.closeEmptyAccounts(alice, 1))
  })

  it('bounds what a sub-account holds, and says so', async () => {
    const { ledger, serving, provider, alice } = await load()
    await networkHelpers.setBalance(await alice.getAddress(), 2n ** 90n)
    await ledger.depositFund({ value: 2n ** 89n })
    await expect(ledger.transferFund(provider, INFERENCE, 2n ** 88n)).to.be.revertedWithCustomError(serving, 'AmountTooLarge')
    await ledger.transferFund(provider, INFERENCE, 2n ** 88n - 1n)
    await expect(ledger.transferFund(provider, INFERENCE, 1n)).to.be.revertedWithCustomError(serving, 'AmountTooLarge')
  })
})

describe('LedgerManager: money out', () => {
  it('is any amount, and all of it when it is off by dust (the reference keeps the last three coins)', async () => {
    const { ledger, alice, available } = await load()
    await ledger.depositFund({ value: 5n * COIN + 123n })
    await expect(ledger.refund(4n * COIN)).to.changeEtherBalance(ethers, alice, 4n * COIN)
    await expect(ledger.refund(0)).to.be.revertedWithCustomError(ledger, 'ZeroAmountNotAllowed')
    await expect(ledger.refund(COIN + 123n + 10n ** 9n)).to.be.revertedWithCustomError(ledger, 'InsufficientBalance')
    await expect(ledger.refund(COIN + 122n + 10n ** 9n)).to.changeEtherBalance(ethers, alice, COIN + 123n)
    await expect(available()).to.be.revertedWithCustomError(ledger, 'LedgerNotExists')
    await ledger.depositFund({ value: 3n * COIN })
    await expect(ledger.refund(3n * COIN - 10n ** 9n)).to.changeEtherBalance(ethers, alice, 3n * COIN - 10n ** 9n)
    await expect(ledger.refund(1n)).to.changeEtherBalance(ethers, alice, 10n ** 9n)
    await expect(ledger.refund(1n)).to.be.revertedWithCustomError(ledger, 'LedgerNotExists')
  })

  it('waits for the lock time in a sub-account, and a second request does not hold up the first', async () => {
    const { ledger, serving, provider, alice, available } = await load()
    await fund({ ledger }, alice, provider, 2n * COIN)
    await expect(ledger.retrieveFund([provider], INFERENCE)).to.emit(serving, 'RefundRequested')
    await networkHelpers.time.increase(LOCK_TIME / 2)
    // Takes one coin back out of the refund, and asks for it again.
    await ledger.transferFund(provider, INFERENCE, COIN)
    expect(await available()).to.equal(3n * COIN)
    await ledger.retrieveFund([provider], INFERENCE)
    const { refunds, pendingRefund } = await serving.getAccount(alice, provider)
    expect([refunds.map(({ amount }) => amount), pendingRefund]).to.deep.equal([[COIN, COIN], 2n * COIN])
    await networkHelpers.time.increase(LOCK_TIME / 2)
    await ledger.retrieveFund([provider], INFERENCE)
    expect(await available()).to.equal(4n * COIN)
    await networkHelpers.time.increase(LOCK_TIME / 2)
    await ledger.retrieveFund([provider], INFERENCE)
    expect(await available()).to.equal(5n * COIN)
    await expect(serving.getAccount(alice, provider)).to.be.revertedWithCustomError(serving, 'AccountNotExists')
  })

  it('asks any number of times (the reference stops at the sixth)', async () => {
    const { ledger, provider, alice, available } = await load()
    await fund({ ledger }, alice, provider, COIN, 20n * COIN)
    for (let i = 0; i < 8; i++) {
      await ledger.retrieveFund([provider], INFERENCE)
      await ledger.connect(alice).transferFund(provider, INFERENCE, COIN + 1n)
    }
    await ledger.retrieveFund([provider], INFERENCE)
    await networkHelpers.time.increase(LOCK_TIME)
    await ledger.retrieveFund([provider], INFERENCE)
    expect(await available()).to.equal(21n * COIN)
  })

  it('comes out of any number of providers, and skips those with nothing (the reference reverts above 20, and bars the 51st for ever: defect 12)', async function () {
    this.timeout(120_000)
    const { ledger, serving, alice, other, more, available } = await load()
    await networkHelpers.setBalance(await alice.getAddress(), 1000n * COIN)
    await ledger.depositFund({ value: 110n * COIN })
    const providers = await addresses(await more(104))
    for (const each of providers) await ledger.transferFund(each, INFERENCE, COIN)
    const all = [await other.getAddress(), ...providers, providers[0]!]
    await ledger.retrieveFund(all, INFERENCE)
    const pending = async () => (await Promise.all(providers.map((each) => serving.cancellableRefund(alice, each)))).filter(({ amount }) => amount > 0n).length
    expect(await pending()).to.equal(100)
    await ledger.retrieveFund(all, INFERENCE)
    expect(await pending()).to.equal(104)
    await networkHelpers.time.increase(LOCK_TIME + 10)
    await ledger.retrieveFund(all, INFERENCE)
    await ledger.retrieveFund(all, INFERENCE)
    expect(await available()).to.equal(110n * COIN)
    await expect(ledger.refund(110n * COIN)).to.changeEtherBalance(ethers, alice, 110n * COIN)
    expect((await serving.getAllAccounts(0, 0)).total).to.equal(0n)
    expect((await ledger.getAllLedgers(0, 0)).total).to.equal(0n)
  })

  it('needs no provider: not one that ended its service, nor one that took its stake', async () => {
    const { ledger, serving, bonds, provider, alice, available } = await load()
    await fund({ ledger }, alice, provider, 2n * COIN)
    await serving.removeService()
    await bonds.connect(provider).unbond(await serving.bondOf(provider), STAKE)
    await expect(serving.getService(provider)).to.be.revertedWithCustomError(serving, 'ServiceNotExist')
    await ledger.retrieveFund([provider], INFERENCE)
    await networkHelpers.time.increase(LOCK_TIME)
    await ledger.retrieveFund([provider], INFERENCE)
    expect(await available()).to.equal(5n * COIN)
  })

  it('keeps lists right whichever sub-account is closed first', async () => {
    const { ledger, serving, alice, bob, more } = await load()
    const providers = await addresses(await more(4))
    for (const user of [alice, bob]) {
      await ledger.connect(user).depositFund({ value: 10n * COIN })
      for (const each of providers) await ledger.connect(user).transferFund(each, INFERENCE, COIN)
    }
    const [a, b, c, d] = providers as [string, string, string, string]
    for (const [user, chosen] of [
      [alice, [b, a]],
      [bob, [d]],
    ] as const) {
      await ledger.connect(user).retrieveFund([...chosen], INFERENCE)
      await networkHelpers.time.increase(LOCK_TIME)
      await ledger.connect(user).retrieveFund([...chosen], INFERENCE)
    }
    expect(await ledger.getLedgerProviders(alice, INFERENCE)).to.deep.equal([d, c])
    expect(await ledger.getLedgerProviders(bob, INFERENCE)).to.deep.equal([c, b, a])
    const { accounts, total } = await serving.getAllAccounts(0, 50)
    expect(total).to.equal(5n)
    expect(new Set(accounts.map(({ user, provider }) => `${user} ${provider}`)).size).to.equal(5)
    expect((await serving.getAllAccounts(3, 1)).accounts.length).to.equal(1)
    expect((await serving.getAllAccounts(5, 1)).accounts.length).to.equal(0)
    await expect(serving.getAllAccounts(0, 51)).to.be.revertedWithCustomError(serving, 'LimitTooLarge')
  })

  it('closes a ledger when nothing is left in it, sub-accounts that were charged to nothing included', async () => {
    const { ledger, serving, tee, alice, more } = await load()
    const [one, two] = (await more(2)) as [Signer, Signer]
    await ledger.depositFund({ value: 4n * COIN })
    for (const each of [one, two]) await ledger.transferFund(each, INFERENCE, COIN)
    await expect(ledger.deleteLedger())
      .to.be.revertedWithCustomError(ledger, 'MustWithdrawAllFundsFirst')
      .withArgs(2n * COIN)
    const charge = async (provider: Signer) => settle(serving, await sign(serving, tee, { provider, nonce: 1, items: [await item(alice, 1000n)] }))
    await charge(one)
    await ledger.refund(2n * COIN)
    expect(await ledger.getLedgerProviders(alice, INFERENCE)).to.deep.equal([await two.getAddress()])
    await expect(ledger.deleteLedger()).to.be.revertedWithCustomError(ledger, 'MustWithdrawAllFundsFirst').withArgs(COIN)
    await charge(two)
    await expect(ledger.deleteLedger()).to.emit(ledger, 'LedgerDeleted').withArgs(alice)
    await expect(ledger.deleteLedger()).to.be.revertedWithCustomError(ledger, 'LedgerNotExists')
    // What the account was before is not forgotten.
    await fund({ ledger }, alice, one, COIN)
    expect((await serving.getAccount(alice, one)).nonce).to.equal(1n)
  })
})

describe('InferenceServing: keys, acknowledgement, services', () => {
  it('keeps keys revoked when a sub-account is closed and opened again (the reference revives them)', async () => {
    const { ledger, serving, provider, alice } = await load()
    await fund({ ledger }, alice, provider, COIN, 10n * COIN)
    const own = serving.connect(alice)
    await expect(own.revokeToken(provider, 3)).to.emit(serving, 'TokenRevoked').withArgs(alice, provider, 3)
    await expect(own.revokeTokens(provider, [5, 254])).to.emit(serving, 'TokensRevoked')
    await expect(own.revokeToken(provider, 255)).to.be.revertedWithCustomError(serving, 'InvalidTokenId').withArgs(255)
    await ledger.retrieveFund([provider], INFERENCE)
    await networkHelpers.time.increase(LOCK_TIME)
    await ledger.retrieveFund([provider], INFERENCE)
    await ledger.transferFund(provider, INFERENCE, COIN)
    expect((await serving.getAccount(alice, provider)).revokedBitmap).to.equal((1n << 3n) | (1n << 5n) | (1n << 254n))
    expect([await serving.isTokenRevoked(alice, provider, 5), await serving.isTokenRevoked(alice, provider, 4)]).to.deep.equal([true, false])
    await expect(own.revokeAllTokens(provider)).to.emit(serving, 'AllTokensRevoked').withArgs(alice, provider, 1)
    const { generation, revokedBitmap } = await serving.getAccount(alice, provider)
    expect([generation, revokedBitmap]).to.deep.equal([1n, 0n])
  })

  it('records what a user limits a key to', async () => {
    const { serving, provider, alice } = await load()
    const models = [ethers.id('a'), ethers.id('b')]
    await expect(serving.connect(alice).setKeyLimit(provider, 1, 5n, 9, models))
      .to.emit(serving, 'KeyLimitSet')
      .withArgs(alice, provider, 1, 5n, 9, models)
    const since = BigInt(await networkHelpers.time.latest())
    expect(await serving.keyLimit(alice, provider, 1)).to.deep.equal([5n, 9n, since, ethers.keccak256(ethers.concat(models))])
    await expect(serving.connect(alice).setKeyLimit(provider, 255, 0, 0, [])).to.be.revertedWithCustomError(serving, 'InvalidTokenId')
    await expect(serving.connect(alice).setKeyLimit(provider, 1, 0, 0, Array(65).fill(models[0]))).to.be.revertedWithCustomError(serving, 'TooManyModels')
  })

  it('takes an acknowledgement back only from an empty sub-account', async () => {
    const { ledger, serving, tee, provider, alice, bob } = await load()
    const own = serving.connect(alice)
    await expect(own.acknowledgeTEESigner(provider, true)).to.be.revertedWithCustomError(serving, 'AccountNotExists').withArgs(alice, provider)
    await fund({ ledger }, alice, provider, COIN)
    await expect(own.acknowledgeTEESigner(provider, false))
      .to.be.revertedWithCustomError(serving, 'CannotRevokeWithNonZeroBalance')
      .withArgs(alice, provider, COIN)
    await serving.addOrUpdateService(serviceOf(tee.address, { inputPrice: COIN }))
    await networkHelpers.time.increase(DAY)
    await settle(serving, await sign(serving, tee, { provider, nonce: 1, items: [await item(alice, 1n, 0n, 2)] }))
    await own.acknowledgeTEESigner(provider, false)
    expect((await serving.getAccount(alice, provider)).acknowledged).to.equal(false)
    await expect(serving.connect(bob).revokeTEESignerAcknowledgement(provider)).to.be.revertedWithCustomError(serving, 'UseTeeSignerRegistry')
    await expect(serving.settleFeesWithTEE([])).to.be.revertedWithCustomError(serving, 'UseSettleBatch')
  })

  it('lists services with their stake and bounds what they say of themselves', async () => {
    const { serving, bonds, tee, provider, other } = await load()
    const mine = serving.connect(other)
    await expect(mine.addOrUpdateService(serviceOf(tee.address), { value: STAKE - 1n })).to.be.revertedWithCustomError(serving, 'InsufficientStake')
    await expect(mine.addOrUpdateService(serviceOf(ZeroAddress), { value: STAKE })).to.be.revertedWithCustomError(serving, 'InvalidAddress')
    await expect(mine.addOrUpdateService(serviceOf(tee.address, { url: 'u'.repeat(8192) }), { value: STAKE })).to.be.revertedWithCustomError(
      serving,
      'TextTooLong',
    )
    await expect(serving.addOrUpdateService(serviceOf(tee.address), { value: 1n })).to.be.revertedWithCustomError(serving, 'CannotAddStakeWhenUpdating')
    await expect(mine.addOrUpdateService(serviceOf(tee.address), { value: STAKE }))
      .to.emit(serving, 'ProviderStaked')
      .withArgs(other, STAKE)
    expect(await bonds.bonded(await serving.bondOf(other))).to.equal(STAKE)
    expect((await serving.getAllServices(0, 0)).services.map((service) => service.provider)).to.deep.equal(await addresses([provider, other]))
    await expect(serving.getAllServices(0, 51)).to.be.revertedWithCustomError(serving, 'LimitTooLarge').withArgs(51, 50)
    await expect(serving.removeService()).to.emit(serving, 'ServiceRemoved').withArgs(provider)
    await expect(serving.removeService()).to.be.revertedWithCustomError(serving, 'ServiceNotExist')
    const { services, total } = await serving.getAllServices(0, 50)
    expect([services[0]!.provider, services[0]!.teeSignerAcknowledged, total]).to.deep.equal([await other.getAddress(), true, 1n])
    // The bond is still there.
    await serving.addOrUpdateService(serviceOf(tee.address))
  })

  it('gives back the texts of a service as they were given, of any length, and stores those that stay once', async () => {
    const { serving, tee, provider } = await load()
    const textsOf = async () => {
      const { serviceType, url, model, verifiability, additionalInfo } = await serving.getService(provider)
      return [serviceType, url, model, verifiability, additionalInfo]
    }
    for (const texts of [
      ['', '', '', '', ''],
      ['chatbot', 'u'.repeat(255), 'm'.repeat(256), 'v'.repeat(257), 'i'.repeat(4000)],
      ['Überset\u0000zung', 'https://例え.jp/', '', 'TeeML', ''],
      ['', '', '', '', 'only the last'],
    ] as const) {
      const [serviceType, url, model, verifiability, additionalInfo] = texts
      await serving.addOrUpdateService(serviceOf(tee.address, { serviceType, url, model, verifiability, additionalInfo }))
      expect(await textsOf()).to.deep.equal(texts)
    }
    const nonce = await ethers.provider.getTransactionCount(serving)
    const last = { serviceType: '', url: '', model: '', verifiability: '' }
    await serving.addOrUpdateService(serviceOf(tee.address, { ...last, additionalInfo: 'only the last', inputPrice: 1n }))
    expect(await ethers.provider.getTransactionCount(serving)).to.equal(nonce)
    await serving.addOrUpdateService(serviceOf(tee.address, { ...last, additionalInfo: 'only the lost' }))
    expect(await textsOf()).to.deep.equal(['', '', '', '', 'only the lost'])
    await serving.removeService()
    await serving.addOrUpdateService(serviceOf(tee.address))
    expect((await textsOf())[2]).to.equal('perigee/extractive-1')
  })

  it('lets governance alone change the lock time and register services', async () => {
    const { ledger, serving, governor, alice } = await load()
    await expect(serving.connect(alice).updateLockTime(7200)).to.be.revertedWithCustomError(serving, 'AccessManagedUnauthorized')
    await expect(serving.connect(governor).updateLockTime(7200)).to.emit(serving, 'LockTimeUpdated').withArgs(LOCK_TIME, 7200)
    const register = (type: string, version: string, at: unknown) => ledger.connect(governor).registerService(type, version, at as string, '')
    await expect(ledger.registerService('x', 'v1', serving, '')).to.be.revertedWithCustomError(ledger, 'AccessManagedUnauthorized')
    await expect(register('', 'v1', serving)).to.be.revertedWithCustomError(ledger, 'ServiceTypeRequired')
    await expect(register('x', '', serving)).to.be.revertedWithCustomError(ledger, 'VersionRequired')
    await expect(register('x', 'v1', serving)).to.be.revertedWithCustomError(ledger, 'ServiceAlreadyRegistered')
    await expect(register('inference', 'v1.0', alice)).to.be.revertedWithCustomError(ledger, 'ServiceNameExists')
    await expect(register('x', 'v1', alice)).to.be.revertedWithCustomError(ledger, 'ServiceMustImplementIServing')
    await expect(ledger.getServiceInfo(alice)).to.be.revertedWithCustomError(ledger, 'ServiceNotRegistered')
  })
})
