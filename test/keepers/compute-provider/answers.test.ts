import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { verifyMessage, type Wallet } from 'ethers'
import OpenAI from 'openai'
import { verifyReceiptProof } from '../../../protocol/compute/batch.ts'
import { idHash, modelHash, receiptHash } from '../../../protocol/compute/receipt.ts'
import { receiptFromJson } from '../../../protocol/compute/receipt-json.ts'
import { fetchReceipt } from '../../../sdk/compute/receipts.ts'
import { apiKeyOf } from '../../../sdk/compute/session.ts'
import { verifyAnswer } from '../../../sdk/compute/verify.ts'
import { json, type UpstreamServer } from '../compute-backends/upstream-server.ts'
import { eventually } from '../runtime/quiet.ts'
import { ask, codeOf, FEE, type Market, MODEL, PRICE, QUESTION, type Running, startMarket, startModel } from './market.ts'

const sha256 = (bytes: Uint8Array): string => `0x${createHash('sha256').update(bytes).digest('hex')}`

describe('answers of a provider', function () {
  this.timeout(120_000)
  let market: Market
  let model: UpstreamServer
  let provider: Running
  let user: Wallet
  let bearer: string

  before(async () => {
    market = await startMarket()
    // A long answer is worth the gas of settling it.
    model = await startModel(({ body }, response) => {
      if (!body.includes('at length')) return false
      json(response, { choices: [{ message: { content: 'at length' } }], usage: { prompt_tokens: 10, completion_tokens: 800_000 } })
    })
    provider = await market.start(model)
    user = await market.user()
    bearer = await market.bearer(user)
  })
  after(async () => {
    await provider?.stop()
    await model?.stop()
    await market?.stop()
  })

  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${provider.url}${path}`, { headers })
    return { status: response.status, headers: response.headers, body: (await response.json()) as any }
  }

  it('given a question, the answer comes as the model gave it, with a key to its receipt', async () => {
    const answer = await ask(provider.url, bearer)
    expect([answer.status, JSON.parse(answer.text).choices[0].message.content]).to.deep.equal([200, 'one two three'])
    expect(answer.headers.get('provider')).to.equal(market.provider.address)
    expect(answer.headers.get('cache-control')).to.include('no-transform')
    expect(answer.headers.get('content-encoding')).to.equal(null)
    expect(answer.headers.get('access-control-expose-headers')?.toLowerCase()).to.include('zg-res-key').and.to.include('retry-after')
  })

  it('given an answer, its receipt binds the bytes, the user, the fee and the key that the chain attests', async () => {
    const answer = await ask(provider.url, bearer, { ...QUESTION, seed: 42 })
    const signed = await fetchReceipt(provider.url, answer.id)
    const facts = { id: answer.id, provider: market.provider.address, url: provider.url, model: MODEL, user: user.address }
    const hashes = { requestHash: sha256(answer.sent), responseHash: sha256(answer.received) }
    const verdict = await verifyAnswer(market.contracts, market.provider.provider!, { ...facts, ...hashes, usage: JSON.parse(answer.text).usage }, signed)
    expect(verdict.checks.filter(({ ok }) => !ok)).to.deep.equal([])
    const { receipt } = signed
    expect([receipt.id, receipt.modelHash, receipt.inputUnits, receipt.outputUnits, receipt.fee, receipt.seed, receipt.tokenId]).to.deep.equal([
      ...[idHash(answer.id), modelHash(MODEL)],
      ...[10n, 3n, FEE, 42n, 255],
    ])
  })

  it('given an answer, the signature that the public SDK fetches is there when the last byte is', async () => {
    for (const stream of [false, true]) {
      const answer = await ask(provider.url, bearer, { ...QUESTION, stream })
      const { body } = await get(`/v1/proxy/signature/${answer.id}?model=${MODEL}`)
      expect(body.signing_algo).to.equal('ecdsa')
      const { teeSignerAddress } = await market.contracts.inference.getService(market.provider.address)
      expect(verifyMessage(body.text, body.signature)).to.equal(teeSignerAddress).and.to.equal(body.signing_address)
      expect(body.text.split(':').slice(0, 2)).to.deep.equal([sha256(answer.sent).slice(2), sha256(answer.received).slice(2)])
      expect((await get(`/v1/proxy/signature/${answer.id}`)).body).to.deep.equal(body)
    }
  })

  it('given a stream without a wish for its usage, the model is asked for it and the client does not see it', async () => {
    const answer = await ask(provider.url, bearer, { ...QUESTION, stream: true })
    expect(answer.headers.get('content-type')).to.match(/^text\/event-stream/)
    expect(answer.text).to.include('three').and.not.to.include('"usage":{')
    expect(answer.text.endsWith('data: [DONE]\n\n')).to.equal(true)
    expect(JSON.parse(model.asked.at(-1)!.body).stream_options).to.deep.equal({ include_usage: true })
    expect((await fetchReceipt(provider.url, answer.id)).receipt.fee).to.equal(FEE)
  })

  it('given a stream with a wish for its usage, the client sees it', async () => {
    const answer = await ask(provider.url, bearer, { ...QUESTION, stream: true, stream_options: { include_usage: true } })
    expect(answer.text).to.include('"usage":{')
  })

  it('given tools, JSON mode, logprobs and fields that nobody knows, they reach the model as they are', async () => {
    const more = {
      tools: [{ type: 'function', function: { name: 'f' } }],
      response_format: { type: 'json_object' },
      logprobs: true,
      seed: 7,
      invented: { a: 1 },
    }
    const answer = await ask(provider.url, bearer, { ...QUESTION, ...more })
    expect(model.asked.at(-1)!.body).to.equal(answer.sent.toString())
  })

  it('given answers one after the other, receipts count up and the debt is exact', async () => {
    const other = await market.user()
    const key = await market.bearer(other, { tokenId: 9 })
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push((await ask(provider.url, key)).id)
    const receipts = await Promise.all(ids.map(async (id) => (await fetchReceipt(provider.url, id)).receipt))
    expect(receipts.map(({ sequence, cumulativeFee, keySpend, tokenId }) => [sequence, cumulativeFee, keySpend, tokenId])).to.deep.equal([
      [1, FEE, FEE, 9],
      [2, 2n * FEE, 2n * FEE, 9],
      [3, 3n * FEE, 3n * FEE, 9],
    ])
    const { body } = await get(`/v1/user/${other.address}/unsettledfee`, { authorization: key })
    expect(body).to.deep.equal({ unsettledFee: (3n * FEE).toString() })
  })

  it("given another user's token, nobody's debt is told, in plain words", async () => {
    const { status, body } = await get(`/v1/user/${market.provider.address}/unsettledfee`, { authorization: bearer })
    expect([status, typeof body.error]).to.deep.equal([401, 'string'])
    expect((await get(`/v1/user/${user.address}/unsettledfee`)).status).to.equal(401)
  })

  it('given settlement, the receipt comes with its batch, and its path leads to the root that was signed', async () => {
    await provider.stop()
    provider = await market.start(model, { settleMs: 50, settleAfterSeconds: 0, settleGasPercent: 100, settleValue: '1' })
    const payer = await market.user()
    const key = await market.bearer(payer)
    const before = (await market.contracts.inference.getAccount(payer.address, market.provider.address)).balance
    const fee = 10n * PRICE.inputPrice + 800_000n * PRICE.outputPrice
    const { id } = await ask(provider.url, key, { ...QUESTION, messages: [{ role: 'user', content: 'at length' }], n: 100, max_tokens: 8000 })
    await eventually('the answer is in a batch', async () => (await fetchReceipt(provider.url, id)).batch !== undefined)
    const { receipt, batch } = await fetchReceipt(provider.url, id)
    expect(verifyReceiptProof(batch!.requestsHash, receiptHash(receipt), batch!.proof)).to.equal(true)
    await eventually(
      'the chain charged it',
      async () => (await market.contracts.inference.getAccount(payer.address, market.provider.address)).balance === before - fee,
    )
    await eventually('nothing is owed', async () => (await get(`/v1/user/${payer.address}/unsettledfee`, { authorization: key })).body.unsettledFee === '0')
    const document = (await get(`/v1/receipt/${id}`)).body
    expect(receiptFromJson(document.receipt)).to.deep.equal(receipt)
  })

  it('given an Idempotency-Key, the same request gets the same bytes, one receipt and one charge', async () => {
    const payer = await market.user()
    const key = await market.bearer(payer)
    for (const stream of [false, true]) {
      const headers = { 'idempotency-key': `order-${stream}` }
      const [first, meanwhile] = await Promise.all([
        ask(provider.url, key, { ...QUESTION, stream }, { headers }),
        ask(provider.url, key, { ...QUESTION, stream }, { headers }),
      ])
      const later = await ask(provider.url, key, { ...QUESTION, stream }, { headers })
      expect([meanwhile.text, later.text]).to.deep.equal([first.text, first.text])
      expect(new Set([first.id, meanwhile.id, later.id]).size).to.equal(1)
      expect(later.headers.get('content-type')).to.equal(first.headers.get('content-type'))
      expect(later.headers.get('idempotent-replayed')).to.equal('true')
    }
    const { receipt } = await fetchReceipt(provider.url, (await ask(provider.url, key)).id)
    expect(receipt.sequence).to.equal(3)
    const reused = await ask(provider.url, key, { ...QUESTION, max_tokens: 5 }, { headers: { 'idempotency-key': 'order-false' } })
    expect([reused.status, codeOf(reused)]).to.deep.equal([422, 'idempotency_key_reused'])
    const theirs = await ask(provider.url, bearer, QUESTION, { headers: { 'idempotency-key': 'order-false' } })
    expect([theirs.status, theirs.headers.get('idempotent-replayed')]).to.deep.equal([200, null])
  })

  it('given the official client, chats, streams, embeddings and models work', async () => {
    const client = new OpenAI({ baseURL: `${provider.url}/v1/proxy`, apiKey: apiKeyOf(bearer), maxRetries: 0 })
    const messages = [{ role: 'user' as const, content: 'count' }]
    expect((await client.chat.completions.create({ model: MODEL, messages, max_tokens: 5 })).choices[0]!.message.content).to.equal('one two three')
    let text = ''
    for await (const part of await client.chat.completions.create({ model: MODEL, messages, max_tokens: 5, stream: true }))
      text += part.choices[0]?.delta.content ?? ''
    expect(text).to.equal('one two three')
    expect((await client.embeddings.create({ model: MODEL, input: 'x', encoding_format: 'float' })).data[0]!.embedding).to.deep.equal([0.5])
    expect((await client.models.list()).data.map(({ id }) => id)).to.deep.equal([MODEL])
    await client.chat.completions.create({ model: 'none', messages }).then(
      () => expect.fail('there is no such model'),
      (error) => expect([error.status, error.code]).to.deep.equal([404, 'model_not_found']),
    )
  })

  it('given the list of models, it says what they cost and that this TEE is simulated', async () => {
    for (const path of ['/v1/models', '/v1/proxy/models']) {
      const { body } = await get(path)
      const [item] = body.data
      expect([body.object, item.id, item.object, item.context_length, item.pricing]).to.deep.equal([
        ...['list', MODEL, 'model', 8192],
        { prompt: '1000000000', completion: '2000000000' },
      ])
      expect([item.tee_attested, item.tee_type, item.tee_verifier]).to.deep.equal([false, 'simulated', 'none-dev'])
    }
  })

  it('given /v1/quote, the public SDK finds the signer in it, and the hash of what runs', async () => {
    const { body } = await get('/v1/quote')
    const { teeSignerAddress } = await market.contracts.inference.getService(market.provider.address)
    const named = Buffer.from(body.report_data, 'base64').toString('utf8').replace(/\0+$/, '')
    expect(named.toLowerCase()).to.equal(teeSignerAddress.toLowerCase())
    const { app_compose } = JSON.parse(body.tcb_info)
    const event = JSON.parse(body.event_log).find(({ event }: { event: string }) => event === 'compose-hash')
    expect(createHash('sha256').update(app_compose).digest('hex')).to.equal(event.event_payload)
    expect((await get('/v1/proxy/attestation/report?model=x')).body.signing_address).to.equal(teeSignerAddress)
  })

  it('given the layout of the registry, the quote binds what the registry wants', async () => {
    const { body } = await get('/v1/quote?layout=registry')
    expect(body.claim.registry).to.equal(market.addresses.TeeSignerRegistry)
    expect(Buffer.from(body.quote, 'hex').includes(Buffer.from(body.report_data, 'base64'))).to.equal(true)
    expect((await get('/v1/quote?layout=other')).status).to.equal(400)
  })

  it('given an answer that is not on record, it says so in the shape of its place', async () => {
    expect((await get('/v1/receipt/none')).body.error).to.be.a('string')
    expect((await get('/v1/proxy/signature/none')).body.error.code).to.equal('answer_not_found')
    expect((await get('/v1/proxy/other')).body.error.code).to.equal('not_found')
  })
})
