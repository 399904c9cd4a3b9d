import { expect } from 'chai'
import { parseEther } from 'ethers'
import OpenAI from 'openai'
import { freePorts } from '../../../devnet/ports.ts'
import type { Decision } from '../../../keepers/compute/gateway/decisions.ts'
import { computeProvider } from '../../../keepers/compute/provider/keeper.ts'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { connectCompute } from '../../../sdk/compute/contracts.ts'
import { fund } from '../../../sdk/compute/ledger.ts'
import { fetchReceipt } from '../../../sdk/compute/receipts.ts'
import type { AttestationChain } from '../../support/attestation.ts'
import { eventually } from '../runtime/quiet.ts'
import { GATEWAY_ACCOUNT, type RunningGateway, startGateway, startMarketplace } from './marketplace.ts'

/** Before a provider keeper, whose simulated TEE signs what it answers. */
describe('gateway: receipts of a real provider', function () {
  this.timeout(180_000)
  let chain: AttestationChain
  let backend: Backend
  let provider: Keeper
  let runtime: Runtime
  let running: RunningGateway
  let client: OpenAI
  let model: string

  before(async () => {
    chain = await startMarketplace()
    const log = createLog({ name: 'test', level: process.env.TEST_LOG ?? 'silent' })
    backend = await openBackend({ log })
    runtime = createRuntime({ name: 'compute/provider', backend, log })
    const [port] = await freePorts(1)
    const config = computeProvider.schema.parse({
      rpcUrl: chain.chain.url,
      inference: chain.contracts.InferenceServing,
      registry: chain.contracts.TeeSignerRegistry,
      privateKey: chain.wallet(6).privateKey,
      simulatedTee: chain.file,
      autoRegister: true,
      port,
      publicUrl: `http://127.0.0.1:${port}`,
      pollMs: 20,
    })
    provider = await computeProvider.create(config, runtime)
    await provider.start()
    const contracts = connectCompute(chain.contracts, chain.wallet(GATEWAY_ACCOUNT))
    await eventually('the service is registered', () => contracts.inference.serviceExists(chain.wallet(6).address), 60_000)
    await fund(contracts, chain.wallet(6).address, parseEther('5'))
    await eventually('the provider is ready', async () => (await provider.ready()) === undefined, 60_000)
    running = await startGateway(chain, backend)
    await eventually('the gateway is ready', async () => (await running.keeper.ready()) === undefined, 60_000)
    client = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: 'unused', maxRetries: 0 })
    model = (await client.models.list()).data.find(({ id }) => !id.includes('embed'))!.id
  })
  after(async () => {
    await running?.stop()
    await provider?.stop()
    await runtime?.close()
    await backend?.close()
    await chain?.stop()
  })

  const messages = [{ role: 'user' as const, content: 'The gateway checks receipts. Receipts are signed by the provider. What is checked?' }]
  const decisionOf = async (id: string | null) => (await (await fetch(`${running.url}/v1/decisions/${id}`)).json()) as Decision
  const post = (headers: Record<string, string>) =>
    fetch(`${running.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model, messages }),
    })

  it('given an answer, then its receipt is verified before it is passed on', async () => {
    const { data, response } = await client.chat.completions.create({ model, messages }).withResponse()
    expect(data.choices[0]!.message.content).to.be.a('string')
    const decision = await decisionOf(response.headers.get('x-perigee-decision'))
    expect(decision.receipt).to.deep.include({ status: 'verified' })
    expect(response.headers.get('x-perigee-receipt')).to.equal('verified')
  })

  it('given a stream, then its receipt is verified once it has ended', async () => {
    const { data, response } = await client.chat.completions.create({ model, messages, stream: true }).withResponse()
    let text = ''
    for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? ''
    expect(text.length).to.be.greaterThan(0)
    const id = response.headers.get('x-perigee-decision')
    await eventually('it is checked', async () => !['pending', undefined].includes((await decisionOf(id)).receipt?.status))
    expect(await decisionOf(id)).to.deep.include({ outcome: 'answered' })
    expect((await decisionOf(id)).receipt).to.deep.include({ status: 'verified' })
  })

  it('given a request that its client repeats, then the provider answers the same and charges once', async () => {
    const first = await post({ 'idempotency-key': 'once' })
    const again = await post({ 'idempotency-key': 'once' })
    expect(await again.text()).to.equal(await first.text())
    expect(again.headers.get('zg-res-key')).to.equal(first.headers.get('zg-res-key'))
    const { receipt } = await fetchReceipt(provider.url!, first.headers.get('zg-res-key')!)
    const next = await post({})
    const { receipt: after } = await fetchReceipt(provider.url!, next.headers.get('zg-res-key')!)
    expect(after.sequence).to.equal(receipt.sequence + 1)
    expect(after.cumulativeFee - after.fee).to.equal(receipt.cumulativeFee)
  })
})
