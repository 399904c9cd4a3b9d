import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEther, Wallet, type Wallet as WalletType } from 'ethers'
import { bodyHash } from '../../protocol/compute/receipt-text.ts'
import {
  type Answer,
  apiKeyOf,
  ask,
  balanceOf,
  bearerFor,
  chooseProvider,
  deposit,
  fetchReceipt,
  findProvider,
  fund,
  limitKey,
  listProviders,
  PerigeeError,
  type Provider,
  readAnswer,
  refund,
  revokeKeys,
  type SignedReceipt,
  stakeOf,
  storeAnswer,
  verifyAnswer,
  withdrawEarnings,
} from '../../sdk/index.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { until } from '../support/until.ts'

const messages = [{ role: 'user', content: 'The chain is the truth. The database is a cursor. Nothing acknowledged is lost. Summarise.' }]
const DAY = 86_400

const failure =
  (code: PerigeeError['code'], pattern = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof PerigeeError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, pattern)
    return true
  }

describe('sdk: compute', function () {
  this.timeout(120_000)
  let network: Network
  let user: WalletType
  let market: Network['compute']
  let provider: Provider
  let folder: string

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-sdk-compute-'))
    network = await startNetwork({ storage: false, compute: { providers: 2 } })
    user = network.wallet(8)
    market = network.computeAs(user)
  })
  after(async () => {
    await network?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const question = async (chat: object = {}): Promise<Answer> =>
    ask(provider, { messages, ...chat }, { user: user.address, bearer: await bearerFor(market, provider.address, user) })
  const failed = async (answer: Parameters<typeof verifyAnswer>[2], signed: SignedReceipt) => {
    const { ok, checks } = await verifyAnswer(market, network.provider, answer, signed)
    assert.equal(ok, false)
    return checks.filter((check) => !check.ok).map(({ name }) => name)
  }

  it('lists providers, the cheapest first, and chooses an attested one', async () => {
    const providers = await listProviders(market)
    assert.deepEqual(new Set(providers.map(({ address }) => address)), new Set(network.providers.map(({ address }) => address)))
    assert.ok(providers[0]!.inputPrice < providers[1]!.inputPrice)
    assert.ok(providers.every(({ acknowledged, attestedUntil }) => acknowledged && attestedUntil * 1000 > Date.now()))
    provider = await chooseProvider(market, {})
    assert.equal(provider.address, providers[0]!.address)
    assert.equal((await chooseProvider(market, { provider: providers[1]!.address })).address, providers[1]!.address)
    await assert.rejects(chooseProvider(market, { model: 'no-such-model' }), failure('NOT_FOUND', /no attested provider offers no-such-model/))
    await assert.rejects(findProvider(market, user.address), failure('NOT_FOUND'))
  })

  it('says what is missing before there is an account', async () => {
    assert.deepEqual(await balanceOf(market, user.address), { user: user.address, available: 0n, total: 0n, accounts: [] })
    await assert.rejects(fund(market, provider.address, parseEther('1')), failure('CHAIN', /perigee compute deposit/))
    await assert.rejects(question(), failure('CHAIN', /--provider/))
  })

  it('deposits, funds a provider, and tells what is where', async () => {
    await deposit(market, parseEther('10'))
    await fund(market, provider.address, parseEther('4'))
    const { available, total, accounts } = await balanceOf(market, user.address)
    assert.deepEqual([available, total], [parseEther('6'), parseEther('10')])
    assert.deepEqual(accounts, [{ provider: provider.address, balance: parseEther('4'), pendingRefund: 0n }])
  })

  it('gets answers whose bytes, receipt, price and signer all verify', async () => {
    const pieces: string[] = []
    for (const stream of [false, true]) {
      const bearer = await bearerFor(market, provider.address, user)
      const answer = await ask(provider, { messages, stream }, { user: user.address, bearer, onText: (text) => pieces.push(text) })
      assert.ok(answer.content.length > 0)
      assert.equal(answer.responseHash, bodyHash(answer.responseBody))
      const { ok, checks } = await verifyAnswer(market, network.provider, answer, await fetchReceipt(answer.url, answer.id))
      assert.ok(ok, JSON.stringify(checks))
      if (stream) assert.equal(pieces.join(''), answer.content)
    }
  })

  it('notices every lie about an answer', async () => {
    const answer = await question()
    const signed = await fetchReceipt(answer.url, answer.id)
    const { receipt } = signed
    const other = `0x${'11'.repeat(32)}`
    assert.deepEqual(await failed({ ...answer, responseHash: other }, signed), ['response'])
    assert.deepEqual(await failed({ ...answer, requestHash: other }, signed), ['request'])
    assert.deepEqual(await failed({ ...answer, id: 'another' }, signed), ['id'])
    assert.deepEqual(await failed({ ...answer, model: 'another' }, signed), ['model'])
    assert.deepEqual(await failed({ ...answer, user: network.accounts[9]!.address }, signed), ['user'])
    assert.deepEqual(await failed({ ...answer, provider: network.accounts[9]!.address }, signed), ['provider'])
    assert.deepEqual(await failed({ ...answer, usage: { prompt_tokens: 1, completion_tokens: 1 } }, signed), ['units'])
    // Whatever is changed in the receipt, the signature is then by nobody the chain knows.
    assert.deepEqual(await failed(answer, { ...signed, receipt: { ...receipt, fee: receipt.fee + 1n } }), ['fee', 'signer', 'attestation'])
    assert.deepEqual(await failed(answer, { ...signed, receipt: { ...receipt, createdAt: receipt.createdAt + 1 } }), ['signer', 'attestation'])
    const [impostor, text] = [Wallet.createRandom(), 'anything']
    assert.deepEqual(await failed(answer, { ...signed, signature: await impostor.signMessage(text) }), ['signer', 'attestation'])
  })

  it('stores what proves an answer, and reads it back', async () => {
    const answer = await question()
    const signed = await fetchReceipt(answer.url, answer.id)
    const path = await storeAnswer(folder, answer, signed)
    const stored = await readAnswer(path)
    assert.ok((await verifyAnswer(market, network.provider, stored, stored.signed)).ok)
    assert.equal('content' in stored, false, 'nothing of what was said is stored')
    await assert.rejects(readAnswer(join(folder, 'none.json')), failure('NOT_FOUND'))
    writeFileSync(join(folder, 'other.json'), '{"id":1}')
    await assert.rejects(readAnswer(join(folder, 'other.json')), failure('USAGE'))
    await assert.rejects(fetchReceipt(answer.url, 'never-was'), failure('NOT_FOUND'))
  })

  it('limits a key by model and by money, and revokes it at once', async () => {
    const limited = async (chat: object = {}) =>
      ask(provider, { messages, ...chat }, { user: user.address, bearer: await bearerFor(market, provider.address, user, { tokenId: 5 }) })
    const refused = () =>
      limited().then(
        () => undefined,
        (error: PerigeeError) => error.message,
      )
    assert.ok((await limited()).content)
    assert.match(apiKeyOf(await bearerFor(market, provider.address, user, { tokenId: 5 })), /^app-sk-/)

    await limitKey(market, provider.address, 5, { models: ['another-model'] })
    assert.match(await until(refused, 'the key may not ask this model'), /may not use/)
    await limitKey(market, provider.address, 5, { cap: 1n })
    assert.match(await until(refused, 'the key has no money left'), /cap|limit|spend/i)
    await limitKey(market, provider.address, 5, {})
    await until(
      () =>
        limited().then(
          () => true,
          () => undefined,
        ),
      'without limits it works again',
    )
    await revokeKeys(market, provider.address, [5])
    assert.match(await until(refused, 'the key is revoked'), /revoked/)
    assert.ok((await question()).content, 'sessions still work')
    await revokeKeys(market, provider.address)
    await until(
      () =>
        question().then(
          () => true,
          () => undefined,
        ),
      'a new session has the new generation',
    )
  })

  it('is refused with a reason, by the provider and by the network', async () => {
    const bearer = await bearerFor(market, provider.address, user)
    await assert.rejects(ask(provider, { messages, model: 'no-such-model' }, { user: user.address, bearer }), failure('REMOTE', /no-such-model/))
    const gone = { ...provider, url: 'http://127.0.0.1:9' }
    await assert.rejects(ask(gone, { messages }, { user: user.address, bearer }), failure('NETWORK'))
    await assert.rejects(ask(provider, { messages }, { user: user.address, bearer: 'Bearer app-sk-AAAA' }), failure('REMOTE'))
  })

  it('sees the provider paid, and takes the rest home', async () => {
    const { earnings, bonded } = await until(async () => {
      const stake = await stakeOf(market, provider.address)
      return stake.earnings > 0n ? stake : undefined
    }, 'the provider settled')
    assert.ok(bonded >= parseEther('100'))
    const asProvider = network.computeAs(network.providers[0]!.wallet)
    await withdrawEarnings(asProvider, provider.address)
    assert.ok((await stakeOf(market, provider.address)).earnings < earnings)

    const first = await refund(market, user)
    assert.equal(first.withdrawn, parseEther('6'))
    assert.equal(first.waiting.length, 1)
    await network.chain.request('evm_increaseTime', [DAY + 1])
    await network.chain.request('hardhat_mine', ['0x1'])
    const before = await network.provider.getBalance(user.address)
    const second = await refund(market, user)
    assert.ok(second.withdrawn > parseEther('3.9'))
    assert.deepEqual(second.waiting, [])
    assert.ok((await network.provider.getBalance(user.address)) > before)
    assert.equal((await balanceOf(market, user.address)).total, 0n)
    await assert.rejects(refund(market, user, { providers: [network.accounts[9]!.address] }), failure('NOT_FOUND'))
  })
})
