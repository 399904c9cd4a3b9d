import { expect } from 'chai'
import { parseEther, Wallet } from 'ethers'
import type { SettlementConfig } from '../../../keepers/compute/provider/settlement/config.ts'
import { type Backend, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog, type Log } from '../../../keepers/runtime/log.ts'
import { batchDigest, itemsHash, packItem, unpackItem } from '../../../protocol/compute/batch.ts'
import { domainSeparator, inferenceDomain } from '../../../protocol/compute/receipt.ts'
import { rememberingLog } from '../runtime/quiet.ts'
import { INPUT_PRICE, LOCK_TIME, type Market, OUTPUT_PRICE, startMarket } from './market.ts'
import { openProvider, type Provider } from './provider.ts'

const silent = createLog({ name: 'test', level: 'silent' })
const FEE = 100n * INPUT_PRICE + 10n * OUTPUT_PRICE
/** Waits for value or need, not for age. */
const PATIENT = { settleAfterSeconds: 10 ** 9, settleLatestSeconds: 10 ** 9 }

describe('settlement', function () {
  this.timeout(120_000)
  let market: Market
  let backend: Backend
  let provider: Provider | undefined
  let snapshot: unknown
  /** Each test has tables of its own. */
  let name: string
  let tests = 0

  before(async () => {
    backend = await openBackend({ log: silent })
    market = await startMarket()
  })
  after(async () => {
    await market.stop()
    await backend.close()
  })
  beforeEach(async () => {
    snapshot = await market.chain.request('evm_snapshot', [])
    name = `compute/provider/${++tests}`
  })
  afterEach(async () => {
    await stop()
    await market.chain.request('evm_revert', [snapshot])
  })

  async function open(config: Partial<SettlementConfig> = {}, log: Log = silent, setup = market.setup): Promise<Provider> {
    provider = await openProvider(setup, { backend, name, log, config })
    return provider
  }
  async function stop() {
    await provider?.stop()
    provider = undefined
  }
  async function serve(to: Provider, user: Wallet, count = 1) {
    for (let i = 0; i < count; i++) await to.serve({ user: user.address })
  }
  const [A, B] = [0, 1]
  const user = (i: number): Wallet => market.users[i]!
  /** Batches on chain: users charged and outcomes. */
  const settled = async () =>
    (await market.batches()).map(({ args }) => ({
      nonce: Number(args.nonce),
      items: args.items.map(unpackItem),
      charged: [...args.charged],
      outcomes: args.outcomes,
    }))

  it('given answers to several users, when a round comes, then one batch charges each what they cost, and nothing is owed any more', async () => {
    await market.fund(user(A), parseEther('2'))
    await market.fund(user(B), parseEther('2'))
    const to = await open()
    await serve(to, user(A), 3)
    await serve(to, user(B), 1)
    expect(to.spend.unsettled(user(A).address)).to.equal(3n * FEE)
    await to.settlement.round()
    expect(await market.balanceOf(user(A))).to.equal(parseEther('2') - 3n * FEE)
    expect(await market.balanceOf(user(B))).to.equal(parseEther('2') - FEE)
    expect(await market.serving.earningsOf(market.seller.address)).to.equal(4n * FEE)
    expect(await to.states()).to.deep.equal({ settled: 4 })
    expect(to.spend.total()).to.equal(0n)
    expect((await settled()).map(({ nonce, outcomes }) => [nonce, outcomes])).to.deep.equal([[1, '0x0000']])
    await to.settlement.round()
    expect(await settled()).to.have.length(1)
    const batch = await to.db.selectFrom('batches').selectAll().executeTakeFirstOrThrow()
    expect(batch).to.include({ state: 'settled', nonce: 1, outcomes: '0x0000' })
    expect(await to.metrics.metrics()).to.match(/settlement_batches_total\{outcome="settled"\} 1/)
  })

  it('given sixty users, when a round comes, then one batch charges all of them', async () => {
    const users = Array.from({ length: 60 }, () => new Wallet(Wallet.createRandom().privateKey, market.provider))
    for (const one of users) {
      await (await user(A).sendTransaction({ to: one.address, value: parseEther('5') })).wait()
      await market.fund(one, parseEther('1'))
    }
    const to = await open()
    await Promise.all(users.map((one) => serve(to, one, 2)))
    await to.settlement.round()
    const [batch, ...others] = await settled()
    expect(others).to.have.length(0)
    expect(batch!.items).to.have.length(60)
    expect(batch!.charged.every((wei) => wei === 2n * FEE)).to.equal(true)
    for (const one of users) expect(await market.balanceOf(one)).to.equal(parseEther('1') - 2n * FEE)
  })

  it('given a price that fell between answers, when they are settled, then each is charged at its own', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open()
    await serve(to, user(A))
    await (await market.serving.addOrUpdateService(market.service({ inputPrice: INPUT_PRICE / 2n }))).wait()
    await serve(to, user(A))
    await to.settlement.round()
    const [batch] = await settled()
    expect(batch!.items.map(({ priceVersion }) => priceVersion)).to.deep.equal([1, 2])
    expect(await market.balanceOf(user(A))).to.equal(parseEther('1') - FEE - (FEE - 50n * INPUT_PRICE))
    expect(await to.states()).to.deep.equal({ settled: 2 })
  })

  it('given an old price that is about to lapse, then what was made under it is settled before; what was forgotten is given up, and told', async () => {
    await market.fund(user(A), parseEther('1'))
    const { log, lines } = rememberingLog()
    const to = await open(PATIENT, log)
    await serve(to, user(A))
    await (await market.serving.addOrUpdateService(market.service({ inputPrice: 1n }))).wait()
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ metered: 1 })
    await market.travel(LOCK_TIME - 1800)
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1 })

    await serve(to, user(A))
    await (await market.serving.addOrUpdateService(market.service({ inputPrice: 0n }))).wait()
    await market.travel(LOCK_TIME + 1)
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1, written_off: 1 })
    expect(lines.filter(({ level }) => level === 'error').map(({ facts }) => facts.outcome)).to.deep.equal(['price_not_in_force'])
    await to.settlement.round()
    expect(to.spend.unsettled(user(A).address)).to.equal(0n)
  })

  it('given a refund that is about to unlock, when nothing else would make a batch, then it is settled before', async () => {
    await market.fund(user(A), parseEther('1'))
    await market.fund(user(B), parseEther('1'))
    const to = await open(PATIENT)
    await serve(to, user(A))
    await serve(to, user(B))
    await market.retrieve(user(A))
    await to.caughtUp()
    await to.settlement.round()
    expect(await settled()).to.have.length(0)
    await market.travel(LOCK_TIME - 1800)
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 2 })
    expect(await market.balanceOf(user(A))).to.equal(parseEther('1') - FEE)
  })

  it('given a refund that has unlocked, then what cannot be charged any more waits, and is charged once there is money again', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open(PATIENT)
    await serve(to, user(A))
    await market.retrieve(user(A))
    await market.travel(LOCK_TIME + 1)
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ metered: 1 })
    await market.fund(user(A), parseEther('1'))
    await to.caughtUp()
    await stop()
    const again = await open()
    await again.settlement.round()
    expect(await again.states()).to.deep.equal({ settled: 1 })
    expect(again.spend.unsettled(user(A).address)).to.equal(0n)
  })

  it('given a balance that does not suffice, then what it pays is settled, and the rest is owed and waits', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open()
    const half = Number((parseEther('1') * 2n) / 5n / INPUT_PRICE)
    for (let i = 0; i < 3; i++) await to.serve({ user: user(A).address, inputUnits: half, outputUnits: 0 })
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 2, metered: 1 })
    expect(to.spend.unsettled(user(A).address)).to.equal(BigInt(half) * INPUT_PRICE)
    expect((await settled()).map(({ outcomes }) => outcomes)).to.deep.equal(['0x00'])
    await to.settlement.round()
    expect(await settled()).to.have.length(1)
    await market.fund(user(A), parseEther('1'))
    await to.caughtUp()
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 3 })
  })

  it('given a balance that does not suffice and is about to leave, then all of it is taken, and what is lost is told', async () => {
    await market.fund(user(A), parseEther('1'))
    const { log, lines } = rememberingLog()
    const to = await open(PATIENT, log)
    const most = Number((parseEther('1') * 3n) / 5n / INPUT_PRICE)
    for (let i = 0; i < 3; i++) await to.serve({ user: user(A).address, inputUnits: most, outputUnits: 0 })
    await market.retrieve(user(A))
    await market.travel(LOCK_TIME - 1000)
    await to.settlement.round()
    expect(await market.balanceOf(user(A))).to.equal(0n)
    expect(await to.states()).to.deep.equal({ settled: 1, written_off: 1, metered: 1 })
    expect((await settled()).map(({ outcomes }) => outcomes)).to.deep.equal(['0x01'])
    const lost = lines.find(({ message }) => message.includes('charged less'))
    expect(lost?.facts).to.deep.include({ user: user(A).address, wei: String(2n * BigInt(most) * INPUT_PRICE - parseEther('1')), outcome: 'partial' })
    expect(await to.metrics.metrics()).to.match(/settlement_bad_debt_ether_total 0\.2/)
  })

  it('given a ceiling for the day, then what it allows is settled, and the rest the next day', async () => {
    await market.fund(user(A), parseEther('1'))
    await (await market.serving.connect(user(A)).setCeiling(market.seller.address, FEE + FEE / 2n)).wait()
    await market.travel(LOCK_TIME + 1)
    const to = await open()
    await serve(to, user(A), 2)
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1, metered: 1 })
    await to.settlement.round()
    expect(await settled()).to.have.length(1)
    await market.travel(86_400)
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 2 })
  })

  it('given a user without an account, then she waits and others are settled', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open()
    await serve(to, user(A))
    await serve(to, user(B))
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1, metered: 1 })
    expect(to.spend.unsettled(user(B).address)).to.equal(FEE)
  })

  it('given an account that empties between signature and block, then what it did not pay is lost, told, and never charged again', async () => {
    await market.fund(user(A), parseEther('1'))
    await market.fund(user(B), parseEther('1'))
    const { log, lines } = rememberingLog()
    const to = await open({}, log)
    await serve(to, user(A), 2)
    await serve(to, user(B))
    await (await market.registry.revoke(market.tee.address)).wait()
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ batched: 3 })
    await market.retrieve(user(A))
    await market.travel(LOCK_TIME + 1)
    await (await market.registry.attest(market.tee.address, 2n ** 40n)).wait()
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1, written_off: 2 })
    const lost = lines.find(({ message }) => message.includes('charged less'))
    expect(lost?.facts).to.deep.include({ user: user(A).address, wei: String(2n * FEE), outcome: 'partial' })
    await market.fund(user(A), parseEther('1'))
    await to.settlement.round()
    expect(to.spend.total()).to.equal(0n)
    expect(await settled()).to.have.length(1)
  })

  /** Settles a batch that `signer` signed, as anybody may. */
  async function sendAs(signer: Wallet, nonce: number, root: string, items: string[]) {
    const separator = domainSeparator(inferenceDomain(market.chain.chainId, market.setup.inference))
    const digest = batchDigest(separator, { provider: market.seller.address, nonce, requestsHash: root, itemsHash: itemsHash(items) })
    const { serialized } = signer.signingKey.sign(digest)
    await (await market.serving.connect(user(B)).settleBatch(market.seller.address, nonce, root, items, serialized)).wait()
  }

  it('given a signer that is not attested, then nothing is lost, it says why, and goes on when it is', async () => {
    await market.fund(user(A), parseEther('1'))
    const { log, lines } = rememberingLog()
    const to = await open({}, log)
    await serve(to, user(A))
    await (await market.registry.revoke(market.tee.address)).wait()
    await to.settlement.round()
    expect(to.settlement.problem()).to.match(/SignerNotAttested/)
    expect(lines.find(({ message }) => message.includes('refuses to settle'))?.facts.advice).to.match(/registration/)
    expect(await to.states()).to.deep.equal({ batched: 1 })
    await (await market.registry.attest(market.tee.address, 2n ** 40n)).wait()
    await to.settlement.round()
    expect(to.settlement.problem()).to.equal(undefined)
    expect(await to.states()).to.deep.equal({ settled: 1 })
    expect((await settled()).map(({ nonce }) => nonce)).to.deep.equal([1])
  })

  it('given a batch of a key that no longer counts, then the new key signs the same batch under the same nonce', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open()
    await serve(to, user(A))
    await (await market.registry.revoke(market.tee.address)).wait()
    await to.settlement.round()
    const before = await to.db.selectFrom('batches').selectAll().executeTakeFirstOrThrow()
    await stop()
    const secret = `0x${'0a'.repeat(32)}`
    const tee = new Wallet(secret)
    await (await market.registry.attest(tee.address, 2n ** 40n)).wait()
    await (await market.serving.addOrUpdateService(market.service({ teeSignerAddress: tee.address }))).wait()
    const again = await open({}, silent, { ...market.setup, secret })
    await again.settlement.round()
    const after = await again.db.selectFrom('batches').selectAll().executeTakeFirstOrThrow()
    expect(after).to.include({ state: 'settled', signer: tee.address, root: before.root, items: before.items, nonce: before.nonce })
    expect(await again.states()).to.deep.equal({ settled: 1 })
  })

  it('given a reorganisation that undoes a settlement, then the same batch is settled again, once', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open()
    await serve(to, user(A))
    const fork = await market.chain.request('evm_snapshot', [])
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1 })
    const [first] = await market.batches()
    await market.chain.request('evm_revert', [fork])
    await market.travel(5)
    await market.travel(5)
    await to.caughtUp()
    expect(await to.states()).to.deep.equal({ batched: 1 })
    await to.settlement.round()
    expect(to.spend.unsettled(user(A).address)).to.equal(0n)
    const batches = await market.batches()
    expect(batches.map(({ args }) => [args.nonce, args.requestsHash])).to.deep.equal([[1n, first!.args.requestsHash]])
    expect(await market.balanceOf(user(A))).to.equal(parseEther('1') - FEE)
    expect(await to.states()).to.deep.equal({ settled: 1 })
  })

  it('given a batch that somebody else sends first, then it counts all the same', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open()
    await serve(to, user(A))
    await (await market.registry.revoke(market.tee.address)).wait()
    await to.settlement.round()
    await (await market.registry.attest(market.tee.address, 2n ** 40n)).wait()
    const { nonce, root, items, signature } = await to.db.selectFrom('batches').selectAll().executeTakeFirstOrThrow()
    await (await market.serving.connect(user(B)).settleBatch(market.seller.address, nonce, root, JSON.parse(items), signature)).wait()
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1 })
    expect(await settled()).to.have.length(1)
  })

  it('given a batch that another one overtook, then its answers go into a new one, when that is for good', async () => {
    await market.fund(user(A), parseEther('1'))
    const { log, lines } = rememberingLog()
    const to = await open({}, log)
    await serve(to, user(A))
    await (await market.registry.revoke(market.tee.address)).wait()
    await to.settlement.round()
    await (await market.registry.attest(market.tee.address, 2n ** 40n)).wait()
    await sendAs(market.tee, 5, `0x${'55'.repeat(32)}`, [packItem({ user: user(B).address, inputUnits: 1n, outputUnits: 0n, priceVersion: 1 })])
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ batched: 1 })
    expect(lines.some(({ message }) => message.includes('not on record'))).to.equal(true)
    await market.chain.request('hardhat_mine', ['0x50'])
    await to.settlement.round()
    expect(await to.states()).to.deep.equal({ settled: 1 })
    expect((await settled()).map(({ nonce }) => nonce)).to.deep.equal([5, 6])
    expect(await market.balanceOf(user(A))).to.equal(parseEther('1') - FEE)
  })

  it('given a dry run, then it says what it would do and signs nothing', async () => {
    await market.fund(user(A), parseEther('1'))
    const { log, lines } = rememberingLog()
    const to = await open({ settleDryRun: true }, log)
    await serve(to, user(A))
    await to.settlement.round()
    expect(lines.find(({ message }) => message.includes('dry run'))?.facts).to.deep.equal({ users: 1, answers: 1, reason: 'age' })
    expect(await to.db.selectFrom('batches').selectAll().execute()).to.have.length(0)
    expect(await settled()).to.have.length(0)
  })

  it('given earnings above the limit, then they are withdrawn where they belong', async () => {
    await market.fund(user(A), parseEther('1'))
    const to = await open({ withdrawAbove: 2n * FEE, withdrawTo: user(B).address })
    await serve(to, user(A))
    await to.settlement.round()
    expect(await market.serving.earningsOf(market.seller.address)).to.equal(FEE)
    const before = await market.provider.getBalance(user(B).address)
    await serve(to, user(A))
    await to.settlement.round()
    expect(await market.provider.getBalance(user(B).address)).to.equal(before + 2n * FEE)
    expect(await market.serving.earningsOf(market.seller.address)).to.equal(0n)
  })

  it('given a user who challenges what a batch charged her, then the receipts are shown and the stake stays', async () => {
    await market.fund(user(A), parseEther('1'))
    await market.fund(user(B), parseEther('1'))
    const to = await open()
    await serve(to, user(A), 3)
    await serve(to, user(B), 2)
    await to.settlement.round()
    await serve(to, user(A), 2)
    await to.settlement.round()
    for (const nonce of [1, 2]) {
      const { root, items, signature } = await to.db.selectFrom('batches').selectAll().where('nonce', '=', nonce).executeTakeFirstOrThrow()
      const value = parseEther('0.1')
      await (await market.disputes.connect(user(A)).challengeTotal(market.seller.address, nonce, root, JSON.parse(items), signature, { value })).wait()
    }
    const bond = await market.serving.bondOf(market.seller.address)
    expect((await market.bonds.bondOf(bond)).locked > 0n).to.equal(true)
    await to.caughtUp()
    await to.settlement.round()
    expect((await market.bonds.bondOf(bond)).locked).to.equal(0n)
    expect(await market.bonds.bonded(bond)).to.equal(parseEther('100'))
    expect(await market.disputes.queryFilter(market.disputes.filters.TotalExplained())).to.have.length(2)
    await to.caughtUp()
    expect(await to.db.selectFrom('challenges').select('id').where('closed_block', 'is', null).execute()).to.have.length(0)
    await to.settlement.round()
  })
})
