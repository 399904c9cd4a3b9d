import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEther, Wallet } from 'ethers'
import { deploy, openBook } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { type Chain, startChain } from '../../../devnet/chain.ts'
import { computeProvider } from '../../../keepers/compute/provider/keeper.ts'
import { createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { openSimulatedRoot } from '../../../sdk/attestation/simulated.ts'
import { simulatedMeasurement } from '../../../sdk/attestation/simulated-machine.ts'
import { type ComputeContracts, connectCompute } from '../../../sdk/compute/contracts.ts'
import { deposit, fund } from '../../../sdk/compute/ledger.ts'
import { type BearerOptions, bearerFor } from '../../../sdk/compute/session.ts'
import { type Asked, chunk, done, json, startUpstream, stream, type UpstreamServer, usageChunk } from '../compute-backends/upstream-server.ts'
import { eventually } from '../runtime/quiet.ts'

const log = createLog({ name: 'test', level: process.env.TEST_LOG ?? 'silent' })

export const MODEL = 'test/model-1'
/** Wei a token: with the 10 + 3 tokens of an answer of the test's upstream. */
export const PRICE = { inputPrice: 1_000_000_000n, outputPrice: 2_000_000_000n }
export const FEE = 10n * PRICE.inputPrice + 3n * PRICE.outputPrice

/** What the upstream of a test answers, after the list of models. */
export type Answering = (asked: Asked, response: Parameters<typeof json>[0]) => unknown

export interface Running {
  keeper: Keeper
  runtime: Runtime
  url: string
  stop(): Promise<void>
}

/** A chain with the marketplace, and one provider's account in it. */
export interface Market {
  chain: Chain
  folder: string
  contracts: ComputeContracts
  addresses: Readonly<Record<string, string>>
  provider: Wallet
  wallet(i: number): Wallet
  as(wallet: Wallet): ComputeContracts
  /** A new user with `amount` wei at the provider. */
  user(amount?: bigint): Promise<Wallet>
  bearer(user: Wallet, options?: BearerOptions): Promise<string>
  /** The configuration of the provider with an upstream. */
  config(upstream: Pick<UpstreamServer, 'url'>, more?: Record<string, unknown>): Record<string, unknown>
  start(upstream: Pick<UpstreamServer, 'url'>, more?: Record<string, unknown>): Promise<Running>
  stop(): Promise<void>
}

let started = 0

export async function startMarket(): Promise<Market> {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-market-'))
  const chain = await startChain({ blockTime: 0 })
  const rpc = connect(chain.url)
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, rpc)
  const simulatedTee = join(folder, 'pki.json')
  const addresses = await deploy({
    signer: wallet(1),
    profile: PROFILES.local!,
    book: await openBook(wallet(1), join(folder, 'deployments')),
    tee: { rootCertificate: openSimulatedRoot(simulatedTee).pki.rootCertificate, measurements: [simulatedMeasurement('compute/provider')] },
  })
  const as = (runner: Wallet) => connectCompute(addresses, runner)
  const contracts = as(wallet(1))
  const provider = wallet(6)
  /** One at a time: they are of one account. */
  let gift: Promise<unknown> = Promise.resolve()
  const config: Market['config'] = (upstream, more = {}) => ({
    rpcUrl: chain.url,
    pollMs: 20,
    port: 0,
    privateKey: provider.privateKey,
    inference: addresses.InferenceServing,
    registry: addresses.TeeSignerRegistry,
    simulatedTee,
    autoRegister: true,
    // The same at every start, or the service would be registered anew.
    publicUrl: 'http://127.0.0.1:5760',
    backend: 'upstream',
    upstreamUrl: upstream.url,
    inputPrice: String(PRICE.inputPrice),
    outputPrice: String(PRICE.outputPrice),
    ...more,
  })
  return {
    chain,
    folder,
    contracts,
    addresses,
    provider,
    wallet,
    as,
    async user(amount = parseEther('1')) {
      const user = Wallet.createRandom(rpc)
      const one = new Wallet(user.privateKey, rpc)
      gift = gift.then(async () => (await wallet(7).sendTransaction({ to: one.address, value: parseEther('10') + amount })).wait())
      await gift
      await deposit(as(one), parseEther('4') + amount)
      await fund(as(one), provider.address, amount)
      return one
    },
    bearer: (user, options) => bearerFor(contracts, provider.address, user, options),
    config,
    async start(upstream, more = {}) {
      const backend = await openBackend({ log })
      const runtime = createRuntime({ name: `compute/provider/${started++}`, backend, log })
      const keeper = await computeProvider.create(computeProvider.schema.parse(config(upstream, more)), runtime)
      await keeper.start()
      await eventually('the provider is ready', async () => (await keeper.ready()) === undefined)
      return {
        keeper,
        runtime,
        url: keeper.url!,
        async stop() {
          await keeper.stop()
          await runtime.close()
          await backend.close()
        },
      }
    },
    async stop() {
      rpc.destroy()
      await chain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const USAGE = { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 }

/** Three tokens, streamed or not; what `special` answers comes first. */
export function startModel(special: Answering = () => false): Promise<UpstreamServer> {
  return startUpstream(async (asked, response) => {
    if (asked.path.endsWith('/models')) return json(response, { object: 'list', data: [{ id: MODEL, object: 'model', max_model_len: 8192 }] })
    if ((await special(asked, response)) !== false) return
    const body = JSON.parse(asked.body)
    if (asked.path.endsWith('/embeddings'))
      return json(response, { object: 'list', data: [{ index: 0, embedding: [0.5] }], usage: { prompt_tokens: 10, total_tokens: 10 } })
    if (!body.stream) {
      return json(response, {
        id: 'c1',
        object: 'chat.completion',
        choices: [{ index: 0, message: { role: 'assistant', content: 'one two three' } }],
        usage: USAGE,
      })
    }
    stream(response)
    for (const word of ['one ', 'two ', 'three']) response.write(chunk(word))
    response.end(usageChunk(10, 3) + done)
  })
}

export const QUESTION = { model: MODEL, messages: [{ role: 'user', content: 'count to three' }], max_tokens: 20 }

/** Asks for a chat, with the bytes of the request and of the answer. */
export async function ask(
  url: string,
  bearer: string | undefined,
  question: object | string | Uint8Array = QUESTION,
  { path = 'chat/completions', headers = {}, signal }: { path?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
) {
  const sent = typeof question === 'string' || question instanceof Uint8Array ? Buffer.from(question as string) : Buffer.from(JSON.stringify(question))
  const response = await fetch(`${url}/v1/proxy/${path}`, {
    method: 'POST',
    body: sent,
    headers: { 'content-type': 'application/json', ...(bearer !== undefined && { authorization: bearer }), ...headers },
    ...(signal && { signal }),
  })
  const received = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, id: response.headers.get('zg-res-key') ?? '', sent, received, text: received.toString() }
}

/** The code of an error in OpenAI's shape. */
export const codeOf = ({ text }: { text: string }): string => JSON.parse(text).error.code
