import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createZGComputeNetworkBroker, type ZGComputeNetworkBroker } from '@0gfoundation/0g-compute-ts-sdk'
import { parseEther, type Wallet } from 'ethers'
import OpenAI from 'openai'
import { type Network, startNetwork } from '../support/network.ts'
import { releaseSdkTimers } from '../support/sdk-timers.ts'
import { until } from '../support/until.ts'

const DAY = 86_400

/** What `processResponse` charges by. */
const usageOf = (usage: OpenAI.CompletionUsage | null | undefined) => JSON.stringify(usage)

/** Unmodified npm @0gfoundation/0g-compute-ts-sdk 0.9.0, at the addresses it presets for chain 31337, and the official openai client. */
describe('compute: the public SDK', function () {
  this.timeout(180_000)
  let network: Network
  let wallet: Wallet
  let broker: ZGComputeNetworkBroker
  let provider: string
  let folder: string
  let restoreTimers: () => void

  before(async () => {
    restoreTimers = releaseSdkTimers()
    folder = mkdtempSync(join(tmpdir(), 'perigee-acceptance-'))
    network = await startNetwork({ storage: false, compute: { providers: 1 } })
    wallet = network.wallet(6)
    // The SDK's types know the CommonJS build of ethers; at run time it is the same module.
    broker = await createZGComputeNetworkBroker(wallet as unknown as Parameters<typeof createZGComputeNetworkBroker>[0])
    provider = network.providers[0]!.address
  })
  after(async () => {
    restoreTimers()
    await network?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const client = async () => {
    const { endpoint } = await broker.inference.getServiceMetadata(provider)
    const headers = (await broker.inference.getRequestHeaders(provider)) as unknown as Record<string, string>
    return new OpenAI({ baseURL: endpoint, apiKey: 'unused', defaultHeaders: headers, maxRetries: 0 })
  }
  const ask = [{ role: 'user' as const, content: 'The chain is the truth. The database is a cursor. A keeper can be killed at any instant. Summarise.' }]

  it('finds the contracts by the chain id alone, and lists the attested service', async () => {
    const [service, ...others] = await broker.inference.listService()
    assert.equal(others.length, 0)
    assert.equal(service!.provider, provider)
    assert.equal(service!.url, network.providers[0]!.url)
    assert.equal(service!.teeSignerAcknowledged, true, 'the registry vouches for the signer, no owner had to')
  })

  it('opens a ledger, adds to it, and funds a provider', async () => {
    await broker.ledger.addLedger(5)
    await broker.ledger.depositFund(5)
    await assert.rejects(broker.ledger.addLedger(5), /LedgerExists|already exists/i)
    await broker.ledger.transferFund(provider, 'inference', parseEther('4'))
    await broker.inference.acknowledgeProviderSigner(provider)
    assert.equal(await broker.inference.acknowledged(provider), true)
    const { availableBalance, totalBalance } = await broker.ledger.getLedger()
    assert.deepEqual([availableBalance, totalBalance], [parseEther('6'), parseEther('10')])
    assert.equal((await broker.inference.getAccount(provider)).balance, parseEther('4'))
  })

  it('asks, whole and streamed, and finds both answers signed by the attested key', async () => {
    const openai = await client()
    const { model } = await broker.inference.getServiceMetadata(provider)
    const { data: whole, response } = await openai.chat.completions.create({ model, messages: ask }).withResponse()
    assert.ok(whole.choices[0]!.message.content)
    const id = response.headers.get('ZG-Res-Key')!
    assert.equal(await broker.inference.processResponse(provider, id, usageOf(whole.usage)), true)

    const { data: stream, response: head } = await openai.chat.completions
      .create({ model, messages: ask, stream: true, stream_options: { include_usage: true } })
      .withResponse()
    let text = ''
    let usage: OpenAI.CompletionUsage | null | undefined
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      usage = chunk.usage ?? usage
    }
    assert.equal(text, whole.choices[0]!.message.content)
    assert.equal(await broker.inference.processResponse(provider, head.headers.get('ZG-Res-Key')!, usageOf(usage)), true)
    await assert.rejects(broker.inference.processResponse(provider, 'an-answer-that-never-was'), /signature/)
  })

  it('serves embeddings, models and plain completions to the official client', async () => {
    const openai = await client()
    const models = await openai.models.list()
    const { model } = await broker.inference.getServiceMetadata(provider)
    assert.ok(models.data.some(({ id }) => id === model))
    const completion = await openai.completions.create({ model, prompt: ask[0]!.content })
    assert.ok(completion.choices[0]!.text)
    const embedder = models.data.find(({ id }) => id !== model)!.id
    const embedding = await openai.embeddings.create({ model: embedder, input: 'a sentence', encoding_format: 'float' })
    assert.ok(embedding.data[0]!.embedding.length > 0)
  })

  it('verifies the service: the signer is the one in the quote, and what runs is what was measured', async () => {
    const verdict = await broker.inference.verifyService(provider, folder)
    assert.equal(verdict?.signerVerification?.allMatch, true)
    assert.equal(verdict?.composeVerification?.passed, true)
    assert.match(readFileSync(join(folder, 'attestation_report.json'), 'utf8'), /SIMULATED|simulated/i, 'and says what it is')
  })

  it('refuses who has no token, and tells an OpenAI client why', async () => {
    const { endpoint, model } = await broker.inference.getServiceMetadata(provider)
    const stranger = new OpenAI({ baseURL: endpoint, apiKey: 'nothing', maxRetries: 0 })
    await assert.rejects(stranger.chat.completions.create({ model, messages: ask }), (error: InstanceType<typeof OpenAI.APIError>) => {
      assert.equal(error.status, 401)
      assert.match(error.message, /app-sk-/)
      return true
    })
  })

  it('gives an API key to any OpenAI client, until it is revoked', async () => {
    const { endpoint, model } = await broker.inference.getServiceMetadata(provider)
    const { rawToken } = await broker.inference.requestProcessor.createApiKey(provider, { expiresIn: 0 })
    const openai = new OpenAI({ baseURL: endpoint, apiKey: rawToken, maxRetries: 0 })
    assert.ok((await openai.chat.completions.create({ model, messages: ask })).choices[0]!.message.content)
    await broker.inference.revokeApiKey(provider, 0)
    const refused = () =>
      openai.chat.completions.create({ model, messages: ask }).then(
        () => undefined,
        (error) => error.status === 401 || undefined,
      )
    await until(refused, 'the key does not work any more')
  })

  it('is charged by settlement, exactly what the answers cost', async () => {
    const settled = await until(async () => {
      const account = await broker.inference.getAccount(provider)
      return account.nonce > 0n ? account : undefined
    }, 'the provider settled')
    const paid = await network.compute.inference.earningsOf(provider)
    const deposited = (await broker.ledger.getLedger()).totalBalance - (await broker.ledger.getLedger()).availableBalance
    assert.ok(paid > 0n)
    assert.equal(settled.balance, deposited)
  })

  it('asks money back, waits for the lock, and takes all of it home, dust included', async () => {
    await broker.ledger.retrieveFund('inference')
    const [account, refunds] = await broker.inference.getAccountWithDetail(provider)
    assert.equal(account.pendingRefund, account.balance)
    assert.ok(refunds[0]!.remainTime > 0n && refunds[0]!.remainTime <= BigInt(DAY))
    await network.chain.request('evm_increaseTime', [DAY + 1])
    await network.chain.request('hardhat_mine', ['0x1'])
    await broker.ledger.retrieveFund('inference')
    const { availableBalance, totalBalance } = await broker.ledger.getLedger()
    assert.equal(availableBalance, totalBalance)
    await broker.ledger.refund(Number(availableBalance) / 1e18)
    await assert.rejects(broker.ledger.getLedger(), /LedgerNotExists|account/i)
  })
})
