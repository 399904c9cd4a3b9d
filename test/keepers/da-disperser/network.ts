import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { getBytes, hexlify, Wallet } from 'ethers'
import { createRowCodec } from '../../../codec/rows/index.ts'
import { deploy, openBook } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { type Chain, startChain } from '../../../devnet/chain.ts'
import { disperser } from '../../../keepers/da/disperser/keeper.ts'
import { daSigner } from '../../../keepers/da/signer/keeper.ts'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { blobIdOf, blobOf } from '../../../protocol/da/blob.ts'
import { shapeFor } from '../../../protocol/da/codes.ts'
import { type PaymentPromise, PROMISE_TYPES, paymentDomain } from '../../../protocol/da/payment.ts'
import { connectDa } from '../../../sdk/da/contracts.ts'
import { EpochReader } from '../../../sdk/da/epochs.ts'
import type { Payment } from '../../../sdk/da/messages.ts'
import { connectDisperser, type DispersalState, type DispersalStatus } from '../../../sdk/da/wire.ts'
import { until } from '../../support/until.ts'

export const DISPERSER = 10
export const PAYER = 11
/** Development accounts of the signers. */
const SIGNERS = [6, 7, 8, 9]
export const EPOCH_SECONDS = Number(PROFILES.local!.da!.epochLength)

export interface RunningDisperser {
  url: string
  /** By clients generated from the public definition alone. */
  disperse(data: Uint8Array): Promise<{ result: string; requestId: Buffer }>
  statusOf(requestId: Uint8Array): Promise<{ status: string; info: { blobHeader: { storageRoot: Buffer; epoch: string; quorumId: string } } | null }>
  retrieve(storageRoot: Uint8Array): Promise<Buffer>
  /** By ours. */
  client: ReturnType<typeof connectDisperser>
  /** Waits for one of the states, and fails if another end is reached before. */
  reached(requestId: Uint8Array, ...states: DispersalState[]): Promise<DispersalStatus>
  runtime: Runtime
  keeper: Keeper
  stop(): Promise<void>
}

interface Running {
  keeper: Keeper
  runtime: Runtime
}

/** Text of pseudo-random bytes that are the same in every run. */
export function sample(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed * 2_654_435_761
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** The public service as a stranger has it: from the definition, with none of our code. */
export function publicClient(url: string) {
  const definition = loadSync(join(import.meta.dirname, '../../../sdk/da/wire/disperser.proto'), { longs: String, enums: String, defaults: true })
  const { Disperser } = (loadPackageDefinition(definition) as any).disperser
  const client = new Disperser(url, credentials.createInsecure(), { 'grpc.max_receive_message_length': 300 << 20, 'grpc.max_send_message_length': 300 << 20 })
  const call = (name: string, request: object) =>
    new Promise<any>((resolve, reject) => client[name](request, (error: ServiceError | null, reply: unknown) => (error ? reject(error) : resolve(reply))))
  return { call, close: () => (client as Client).close() }
}

let shared: ReturnType<typeof startNetwork> | undefined
after(async () => (await shared)?.stop())

/** One network for all tests here: to start it takes longer than most of them. */
export const sharedNetwork = (): ReturnType<typeof startNetwork> => {
  shared ??= startNetwork()
  return shared
}

/** A chain with the contracts, and signers that tests stop and start. */
async function startNetwork() {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-disperser-'))
  const log = createLog({ name: 'test', level: process.env.TEST_LOG ?? 'silent' })
  const chain: Chain = await startChain()
  const provider = connect(chain.url)
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const profile = { access: {}, stake: true as const, da: PROFILES.local!.da! }
  const at = await deploy({ signer: wallet(1), profile, book: await openBook(wallet(1), join(folder, 'deployments')) })
  const contracts = connectDa(at, provider)
  const backend = await openBackend({ log })
  const dispersers = new Set<RunningDisperser>()
  const signers = new Map<number, Running>()
  const ports = new Map<number, number>()

  const common = (account: number, name: string) => ({
    rpcUrl: chain.url,
    pollMs: 20,
    privateKey: wallet(account).privateKey,
    dataDir: join(folder, name),
    dataAvailability: contracts.address,
    challenges: at.AvailabilityChallenges!,
    payments: at.BlobPayments!,
    httpPort: 0,
  })

  async function startSigner(i: number, more: object = {}) {
    const runtime = createRuntime({ name: `da/signer/${i}`, backend, log: log.child({ signer: i }) })
    const config = { ...common(SIGNERS[i]!, `signer-${i}`), bonds: at.Bonds!, port: ports.get(i) ?? 0, codecThreads: 0, checkMs: 500, ...more }
    const keeper = await daSigner.create(daSigner.schema.parse(config), runtime)
    await keeper.start()
    ports.set(i, Number(keeper.url!.split(':')[1]))
    signers.set(i, { keeper, runtime })
  }
  async function stopSigner(i: number) {
    const { keeper, runtime } = signers.get(i)!
    signers.delete(i)
    await keeper.stop()
    await runtime.close()
  }

  const disperserConfig = (name: string, more: object = {}) => ({
    ...common(DISPERSER, name),
    port: 0,
    sponsor: true,
    finalityBlocks: 1,
    codecThreads: 1,
    batchMs: 20,
    graceMs: 200,
    retryMs: 100,
    stuckMs: 1000,
    upkeepMs: 400,
    redeemMs: 400,
    ...more,
  })

  /** A disperser on a folder by that name: a second time on what the first left. */
  async function startDisperser(name: string, more: object = {}, on: Backend = backend): Promise<RunningDisperser> {
    const runtime = createRuntime({ name: `da/${name}`, backend: on, log: log.child({ keeper: name }) })
    const keeper = await disperser.create(disperser.schema.parse(disperserConfig(name, more)), runtime)
    await keeper.start()
    const clients = connected(keeper.url!)
    const running: RunningDisperser = {
      ...clients,
      runtime,
      keeper,
      async stop() {
        if (!dispersers.delete(running)) return
        clients.close()
        await keeper.stop()
        await runtime.close()
      },
    }
    dispersers.add(running)
    await until(async () => ((await keeper.ready()) === undefined ? true : undefined), 'a disperser that is ready')
    return running
  }

  for (const i of SIGNERS.keys()) await startSigner(i)
  await until(async () => ((await contracts.epochs.currentEpoch()) > 0n ? true : undefined), 'the first epoch')

  return {
    folder,
    chain,
    provider,
    wallet,
    contracts,
    addresses: at,
    /** Where signer `i` serves, or served. */
    portOf: (i: number) => ports.get(i)!,
    accountOf: (i: number) => chain.accounts[SIGNERS[i]!]!.address,
    startSigner,
    /** Has these signers run and no others. */
    async run(...wanted: number[]) {
      for (const i of [...signers.keys()]) if (!wanted.includes(i)) await stopSigner(i)
      for (const i of wanted) if (!signers.has(i)) await startSigner(i)
    },
    startDisperser,
    disperserConfig,
    /** Time passes, and a block says so. */
    async travel(seconds: number) {
      await chain.request('evm_increaseTime', [seconds])
      await chain.request('hardhat_mine', ['0x1'])
    },
    mine: (blocks: number) => chain.request('hardhat_mine', [`0x${blocks.toString(16)}`]),
    certificates: async () => contracts.certificates.queryFilter(contracts.certificates.filters.BatchCertified()),
    async stop() {
      for (const running of [...dispersers]) await running.stop()
      for (const i of [...signers.keys()]) await stopSigner(i)
      await backend.close()
      provider.destroy()
      await chain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
export type DaNetwork = Awaited<ReturnType<typeof startNetwork>>

/** What a payer promises for a blob: the price, or something else. */
export async function promiseFor(
  { contracts, provider, wallet }: DaNetwork,
  data: Uint8Array,
  payer: Wallet,
  changes: Partial<PaymentPromise> = {},
): Promise<Payment> {
  const codec = createRowCodec({ threads: 0 })
  const shape = shapeFor(data.length, (await new EpochReader(contracts).current()).codes)
  const encoded = await codec.encode(data, shape)
  const blobId = blobIdOf(blobOf(shape, data.length, hexlify(encoded.rowRoot), hexlify(encoded.rlcRoot)))
  encoded.release()
  await codec.close()
  const fee = await contracts.payments.priceOf(shape.log2K, shape.rowSize)
  const { timestamp } = (await provider.getBlock('latest'))!
  const promise = { payer: payer.address, disperser: wallet(DISPERSER).address, blobId, fee, nonce: BigInt(nonces++), deadline: timestamp + 1800, ...changes }
  const domain = paymentDomain(31337, await contracts.payments.getAddress())
  return { promise, signature: getBytes(await payer.signTypedData(domain, PROMISE_TYPES, promise)) }
}
let nonces = 1

/** Clients of a disperser, wherever it runs. */
export function connected(url: string) {
  const { call, close } = publicClient(url)
  const client = connectDisperser(url)
  const ENDS: DispersalState[] = ['FINAL', 'REFUSED', 'NOT_ENOUGH_SIGNATURES']
  return {
    url,
    client,
    disperse: (data: Uint8Array) => call('DisperseBlob', { data }),
    statusOf: (requestId: Uint8Array) => call('GetBlobStatus', { requestId }),
    retrieve: async (storageRoot: Uint8Array) => (await call('RetrieveBlob', { storageRoot, epoch: 0, quorumId: 0 })).data as Buffer,
    reached: (requestId: Uint8Array, ...states: DispersalState[]) =>
      until(
        async () => {
          const status = await client.getStatus({ requestId, blobId: new Uint8Array() })
          if (states.includes(status.state)) return status
          if (ENDS.includes(status.state)) throw new Error(`it is ${status.state}: ${status.reason}`)
          return undefined
        },
        `${states.join(' or ')}`,
      ),
    close() {
      client.close()
      close()
    },
  }
}
