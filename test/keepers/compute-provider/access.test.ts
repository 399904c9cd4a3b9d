import { expect } from 'chai'
import { parseEther, type Wallet } from 'ethers'
import { createBearer, type NewSession } from '../../../protocol/compute/session-token.ts'
import { limitKey, revokeKeys } from '../../../sdk/compute/keys.ts'
import { fund } from '../../../sdk/compute/ledger.ts'
import { json, type UpstreamServer } from '../compute-backends/upstream-server.ts'
import { ask, codeOf, FEE, type Market, MODEL, PRICE, QUESTION, type Running, startMarket, startModel } from './market.ts'

const HOUR = 3_600_000
/** What a question of the tests may cost at most: its bytes and 256 tokens of input, 20 of output. */
const MOST = BigInt(JSON.stringify(QUESTION).length + 256) * PRICE.inputPrice + 20n * PRICE.outputPrice

describe('who may ask a provider, and for how much', function () {
  this.timeout(180_000)
  let market: Market
  let model: UpstreamServer
  let provider: Running
  let user: Wallet

  before(async () => {
    market = await startMarket()
    // Says that it took all it was allowed to, and more, where it is asked for the most expensive answer.
    model = await startModel(({ body }, response) => {
      if (!body.includes('the most expensive')) return false
      json(response, { choices: [{ index: 0, message: { role: 'assistant', content: 'so be it' } }], usage: { prompt_tokens: 1e6, completion_tokens: 1e6 } })
    })
    provider = await market.start(model)
    user = await market.user()
  })
  after(async () => {
    await provider?.stop()
    await model?.stop()
    await market?.stop()
  })

  const token = (changes: Partial<NewSession> = {}, signer = user) => {
    const timestamp = Date.now()
    return createBearer(signer, {
      provider: market.provider.address,
      timestamp,
      expiresAt: timestamp + HOUR,
      nonce: 'n',
      generation: 0,
      tokenId: 255,
      ...changes,
    })
  }

  async function refused(bearer: string | undefined, status: number, code: string, question: object = QUESTION) {
    const asked = model.asked.length
    const answer = await ask(provider.url, bearer, question)
    expect([answer.status, codeOf(answer)]).to.deep.equal([status, code])
    expect(model.asked.length, 'the model was not bothered').to.equal(asked)
    return JSON.parse(answer.text).error.message as string
  }

  describe('tokens', () => {
    it('given none, 401', () => refused(undefined, 401, 'session_missing'))
    it('given one that is none, 401', () => refused('Bearer app-sk-%%%', 401, 'session_malformed'))
    it('given one without end, 401', () => refused(`Bearer app-sk-${'A'.repeat(4000)}`, 401, 'session_too_long'))
    it('given one for another provider, 401', async () => refused(await token({ provider: user.address }), 401, 'session_wrong_provider'))
    it('given one that ended, 401', async () => refused(await token({ expiresAt: Date.now() - 1 }), 401, 'session_expired'))
    it('given a session of more than a day, 401', async () => refused(await token({ expiresAt: Date.now() + 25 * HOUR }), 401, 'session_too_long_lived'))
    it('given a session without end, 401', async () => refused(await token({ expiresAt: 0 }), 401, 'session_too_long_lived'))
    it('given one of a clock that is an hour ahead, 401', async () =>
      refused(await token({ timestamp: Date.now() + HOUR, expiresAt: Date.now() + 2 * HOUR }), 401, 'session_not_yet_valid'))
    it('given one of a clock that is two minutes ahead, an answer', async () =>
      expect((await ask(provider.url, await token({ timestamp: Date.now() + 120_000 }))).status).to.equal(200))
    it('given one of a generation that has not come, 401', async () => refused(await token({ generation: 1 }), 401, 'generation_revoked'))
    it('given one of somebody without an account, 401', async () => refused(await token({}, market.wallet(16)), 401, 'no_account'))

    it('given one that somebody else signed, 401', async () => {
      const forged = Buffer.from((await token()).slice('Bearer app-sk-'.length), 'base64').toString()
      const [raw] = forged.split('|')
      const other = Buffer.from((await token({}, market.wallet(16))).slice('Bearer app-sk-'.length), 'base64')
        .toString()
        .split('|')[1]
      await refused(`Bearer app-sk-${Buffer.from(`${raw}|${other}`).toString('base64')}`, 401, 'session_bad_signature')
    })

    it('given one byte changed in a token that counted before, 401', async () => {
      const good = await token()
      expect((await ask(provider.url, good)).status).to.equal(200)
      const text = Buffer.from(good.slice('Bearer app-sk-'.length), 'base64').toString()
      const bad = text.replace(/"expiresAt":(\d+)\d,/, (_, digits) => `"expiresAt":${digits}9,`).replace('"nonce":"n"', '"nonce":"m"')
      await refused(`Bearer app-sk-${Buffer.from(bad).toString('base64')}`, 401, 'session_bad_signature')
    })
  })

  describe('keys', () => {
    it('given a key that is revoked, it is refused as soon as the provider has the block, and others count', async () => {
      const mine = await market.user()
      const [one, two] = [await market.bearer(mine, { tokenId: 1 }), await market.bearer(mine, { tokenId: 2 })]
      expect((await ask(provider.url, one)).status).to.equal(200)
      await revokeKeys(market.as(mine), market.provider.address, [1])
      await synced()
      await refused(one, 401, 'key_revoked')
      expect((await ask(provider.url, two)).status).to.equal(200)
      expect((await ask(provider.url, await market.bearer(mine))).status, 'a session').to.equal(200)
    })

    it('given everything revoked, all tokens of before are refused and a new one counts at once', async () => {
      const mine = await market.user()
      const [key, session] = [await market.bearer(mine, { tokenId: 1 }), await market.bearer(mine)]
      expect((await ask(provider.url, key)).status).to.equal(200)
      await revokeKeys(market.as(mine), market.provider.address)
      const fresh = await market.bearer(mine, { tokenId: 1 })
      expect((await ask(provider.url, fresh)).status).to.equal(200)
      await refused(key, 401, 'generation_revoked')
      await refused(session, 401, 'generation_revoked')
    })

    it('given a cap, the key spends no more than it, and a new cap counts from then on', async () => {
      const mine = await market.user()
      const key = await market.bearer(mine, { tokenId: 3 })
      await limitKey(market.as(mine), market.provider.address, 3, { cap: MOST + FEE })
      expect((await ask(provider.url, key)).status).to.equal(200)
      expect((await ask(provider.url, key)).status).to.equal(200)
      expect(await refused(key, 403, 'key_limit_reached')).to.match(/key 3 may spend/)
      expect((await ask(provider.url, await market.bearer(mine, { tokenId: 4 }))).status, 'another key').to.equal(200)
      // Limits are told apart by the second they were set in; this chain makes several blocks in one.
      await market.chain.request('evm_increaseTime', [1])
      await limitKey(market.as(mine), market.provider.address, 3, { cap: MOST })
      const renewed = await ask(provider.url, key)
      expect(renewed.text).to.include('one two three')
      await refused(key, 403, 'key_limit_reached')
    })

    it('given an end that the owner set on chain, the key is refused from then on', async () => {
      const mine = await market.user()
      const key = await market.bearer(mine, { tokenId: 5 })
      await limitKey(market.as(mine), market.provider.address, 5, { expiresAt: Math.floor(Date.now() / 1000) - 1 })
      await synced()
      await refused(key, 401, 'key_expired')
    })

    it('given models that the key is limited to, others are refused', async () => {
      const mine = await market.user()
      const [yes, no] = [await market.bearer(mine, { tokenId: 6 }), await market.bearer(mine, { tokenId: 7 })]
      await limitKey(market.as(mine), market.provider.address, 6, { models: ['another', MODEL] })
      await limitKey(market.as(mine), market.provider.address, 7, { models: ['another'] })
      expect((await ask(provider.url, yes)).status).to.equal(200)
      await refused(no, 403, 'model_not_allowed')
    })
  })

  describe('funds', () => {
    it('given less than an answer may cost, 402 says what is missing; given more, at once an answer', async () => {
      const poor = await market.user()
      const bearer = await market.bearer(poor)
      const dear = { ...QUESTION, max_tokens: 8000 }
      await withPrice({ inputPrice: parseEther('0.001'), outputPrice: parseEther('0.001') }, async () => {
        expect(await refused(bearer, 402, 'insufficient_quota', dear)).to.match(/may cost 8\.\d+ and 1 is free/)
        await fund(market.as(poor), market.provider.address, parseEther('2'))
        expect((await ask(provider.url, bearer, { ...QUESTION, max_tokens: 2000 })).status).to.equal(200)
      })
    })

    it('given money that is asked back, it is no promise any more', async () => {
      const leaving = await market.user()
      const bearer = await market.bearer(leaving)
      expect((await ask(provider.url, bearer)).status).to.equal(200)
      const { ledger, inference } = market.as(leaving)
      const { fullName } = await ledger.getServiceInfo(await inference.getAddress())
      await (await ledger.retrieveFund([market.provider.address], fullName)).wait()
      await synced()
      await refused(bearer, 402, 'insufficient_quota')
    })

    it('given a ceiling for the day, no more is admitted than it allows', async () => {
      const careful = await market.user()
      const bearer = await market.bearer(careful)
      await (await market.as(careful).inference.setCeiling(market.provider.address, MOST)).wait()
      await market.chain.request('evm_increaseTime', [2 * 86_400])
      await market.chain.request('evm_mine', [])
      await synced()
      expect((await ask(provider.url, bearer)).status).to.equal(200)
      await refused(bearer, 402, 'insufficient_quota')
    })

    it('given 100 users with money for one answer and 1,000 questions at once, there are 100 answers', async () => {
      const price = { inputPrice: parseEther('0.002'), outputPrice: parseEther('0.002') }
      await withPrice(price, async () => {
        const users: Wallet[] = []
        for (let i = 0; i < 10; i++) users.push(...(await Promise.all(Array.from({ length: 10 }, () => market.user()))))
        const bearers = await Promise.all(users.map((one) => market.bearer(one)))
        const before = model.asked.length
        const question = { ...QUESTION, messages: [{ role: 'user', content: 'the most expensive answer' }], max_tokens: 100 }
        const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => ask(provider.url, bearers[i % 100], question)))
        const counts = Object.groupBy(answers, ({ status }) => String(status))
        expect([counts[200]?.length, counts[402]?.length]).to.deep.equal([100, 900])
        expect(model.asked.length - before).to.equal(100)
        for (const one of users) {
          const { balance } = await market.contracts.inference.getAccount(one.address, market.provider.address)
          const response = await fetch(`${provider.url}/v1/user/${one.address}/unsettledfee`, { headers: { authorization: await market.bearer(one) } })
          const { unsettledFee } = (await response.json()) as { unsettledFee: string }
          expect(BigInt(unsettledFee) > balance / 2n && BigInt(unsettledFee) <= balance, `${unsettledFee} of ${balance}`).to.equal(true)
        }
      })
    })
  })

  /** Resolves when the provider has read everything up to now. */
  async function synced() {
    const head = await market.provider.provider!.getBlockNumber()
    for (;;) {
      const metrics = await (await fetch(`${provider.url}/metrics`)).text()
      if (Number(/chain_position_block\{.*?\} (\d+)/.exec(metrics)?.[1]) >= head) return
    }
  }

  /** Runs with another price: a provider that was started with it, after the notice of a rise, and settles nothing meanwhile, so that what is owed stays in the accounts. */
  async function withPrice(price: { inputPrice: bigint; outputPrice: bigint }, run: () => Promise<void>) {
    const restart = async ({ inputPrice, outputPrice }: { inputPrice: bigint; outputPrice: bigint }, more = {}) => {
      await provider.stop()
      provider = await market.start(model, { inputPrice: inputPrice.toString(), outputPrice: outputPrice.toString(), ...more })
      await market.chain.request('evm_increaseTime', [Number(await market.contracts.inference.PRICE_NOTICE()) + 1])
      await market.chain.request('evm_mine', [])
      await synced()
    }
    await restart(price, { settleMs: HOUR })
    await run()
    await restart(PRICE)
  }
})
