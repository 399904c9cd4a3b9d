import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { getBytes, hexlify, parseEther, Wallet } from 'ethers'
import { createRowCodec, type EncodedRows } from '../../../codec/rows/index.ts'
import { deploy, openBook } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES, type Profile } from '../../../deploy/profiles.ts'
import { startChain } from '../../../devnet/chain.ts'
import { daSigner } from '../../../keepers/da/signer/keeper.ts'
import { type Backend, createRuntime, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import type { Log } from '../../../keepers/runtime/log.ts'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { type Blob, blobIdOf, blobOf } from '../../../protocol/da/blob.ts'
import { type BlsKey, deriveBlsKey, provePossession } from '../../../protocol/da/bls.ts'
import { certificateDigest, packAbsent, signDigest } from '../../../protocol/da/certificate.ts'
import { type Shape, shapeFor } from '../../../protocol/da/codes.ts'
import { type PaymentPromise, PROMISE_TYPES, paymentDomain } from '../../../protocol/da/payment.ts'
import { connectDa } from '../../../sdk/da/contracts.ts'
import { type DaEpoch, EpochReader } from '../../../sdk/da/epochs.ts'
import { blobToWire, paymentToWire } from '../../../sdk/da/messages.ts'
import { connectSigner, type SignerClient, type StoreReply, type StoreRequest } from '../../../sdk/da/wire.ts'
import { IBonds__factory } from '../../../typechain-types/index.ts'
import { newDataDir } from '../../support/data-dir.ts'
import { until } from '../../support/until.ts'
import { rememberingLog } from '../runtime/quiet.ts'

/** Short, so that what happens after some of them is within the retention. */
const EPOCH_SECONDS = 120n
const PROFILE: Profile = { access: {}, stake: true, da: { ...PROFILES.local!.da!, epochLength: EPOCH_SECONDS } }
const STAKE = parseEther('100')
/** Development accounts: the deployer, who also disperses and pays, the keeper under test, and the other members. */
const [DISPERSER, KEEPER] = [6, 7]
export const OTHERS = [8, 9, 10]

/** A blob as its disperser has it. */
export interface Dispersed {
  blob: Blob
  blobId: string
  encoded: Pick<EncodedRows, 'rlc' | 'rows' | 'paths' | 'release' | 'shape'>
}

export interface RunningSigner {
  client: SignerClient
  folder: string
  /** Why it is not ready. */
  ready(): Promise<string | undefined>
  runtime: Runtime
  lines: ReturnType<typeof rememberingLog>['lines']
  /** Of /metrics: the value of a line. */
  metric(line: string): Promise<number | undefined>
  stop(): Promise<void>
}

/** One database for all networks of this process: opening one takes longer than most tests. */
const database = () => (opened ??= openDatabase())
let opened: ReturnType<typeof openDatabase> | undefined
let networks = 0

async function openDatabase() {
  const folder = await newDataDir()
  return { folder, backend: await openBackend({ dataDir: folder.path, log: rememberingLog().log }) }
}

after(async () => {
  const { folder, backend } = await database()
  await backend.close()
  folder.remove()
})

/** A chain with the contracts, four members of the first epoch, and one of them a keeper, as often as a test starts it. */
export async function startDa() {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-signer-'))
  const chain = await startChain()
  const provider = connect(chain.url)
  provider.pollingInterval = 25
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const at = await deploy({ signer: wallet(1), profile: PROFILE, book: await openBook(wallet(1), join(folder, 'deployments')) })
  const disperser = wallet(DISPERSER)
  const contracts = connectDa({ ...at }, disperser)
  const domain = { chainId: chain.chainId, contract: contracts.address }
  const { backend } = await database()
  const network = networks++
  const codec = createRowCodec({ threads: 0 })
  const blsOf = (of: Wallet): BlsKey => deriveBlsKey(getBytes(of.privateKey))
  const running = new Set<RunningSigner>()
  let nonce = 0n

  await (await contracts.payments.deposit(disperser.address, { value: parseEther('10') })).wait()
  const delay = await contracts.signers.bondDelay()
  for (const other of OTHERS.map(wallet)) {
    const bonds = IBonds__factory.connect(at.Bonds!, other)
    await (await bonds.bond(other.address, [at.AvailabilityChallenges!], delay, { value: STAKE })).wait()
    const { key, keyG2, proof, counter, y } = provePossession(blsOf(other), domain, other.address)
    await (await contracts.signers.connect(other).register(key, keyG2, proof, counter, y, 'other:1')).wait()
  }

  const config = (more: object = {}): Record<string, unknown> => ({
    rpcUrl: chain.url,
    pollMs: 25,
    dataAvailability: contracts.address,
    challenges: at.AvailabilityChallenges!,
    payments: at.BlobPayments!,
    bonds: at.Bonds!,
    privateKey: wallet(KEEPER).privateKey,
    port: 0,
    httpPort: 0,
    codecThreads: 0,
    checkMs: 100,
    pruneMs: 100,
    ...more,
  })

  /** The keeper on a folder by that name: a second time on what the first left. */
  async function start(name: string, more: object = {}, shared: Backend = backend): Promise<RunningSigner> {
    const { log, lines } = rememberingLog()
    const runtime = createRuntime({ name: `da/signer/${network}/${basename(name)}`, backend: shared, log: log as Log })
    const dataDir = join(folder, name)
    const keeper = await daSigner.create(daSigner.schema.parse(config({ dataDir, ...more })), runtime)
    await keeper.start()
    const client = connectSigner(keeper.url!)
    const signer: RunningSigner = {
      client,
      folder: dataDir,
      ready: () => keeper.ready(),
      runtime,
      lines,
      async metric(line) {
        const found = (await runtime.metrics.metrics()).split('\n').find((each) => each.startsWith(line))
        return found === undefined ? undefined : Number(found.split(' ').at(-1))
      },
      async stop() {
        if (!running.delete(signer)) return
        client.close()
        await keeper.stop()
        await runtime.close()
      },
    }
    running.add(signer)
    return signer
  }

  const epoch = async (number?: number): Promise<DaEpoch> => {
    const reader = new EpochReader(contracts)
    return number === undefined ? reader.current() : reader.epoch(number)
  }

  async function encode(data: Uint8Array, shape: Shape): Promise<Dispersed> {
    const encoded = await codec.encode(data, shape)
    const blob = blobOf(shape, data.length, hexlify(encoded.rowRoot), hexlify(encoded.rlcRoot))
    return { blob, blobId: blobIdOf(blob), encoded }
  }

  /** Rows under a blob's fields that they may not be of. */
  const dispersedAs = (blob: Blob, encoded: Dispersed['encoded']): Dispersed => ({ blob, blobId: blobIdOf(blob), encoded })

  async function payment(blobId: string, shape: Pick<Blob, 'log2K' | 'rowSize'>, changes: Partial<PaymentPromise> = {}, payer = disperser) {
    const fee = await contracts.payments.priceOf(shape.log2K, shape.rowSize)
    const { timestamp } = (await provider.getBlock('latest'))!
    const promise: PaymentPromise = { payer: payer.address, disperser: disperser.address, blobId, fee, nonce: nonce++, deadline: timestamp + 1800, ...changes }
    const signature = await payer.signTypedData(paymentDomain(chain.chainId, at.BlobPayments!), PROMISE_TYPES, promise)
    return paymentToWire({ promise, signature: getBytes(signature) })
  }

  /** What the disperser sends to the keeper, or another member. */
  async function request(dispersed: Dispersed, of?: DaEpoch, account?: string): Promise<StoreRequest> {
    const { blob, blobId, encoded } = dispersed
    const members = of ?? (await epoch())
    const indices = createAssignment(members, blobId, blob.log2K).rowsOf(indexOf(members, account))
    const { rlc } = encoded
    return {
      epoch: members.epoch,
      blob: blobToWire(blob),
      rlc,
      rows: encoded.rows(indices),
      paths: encoded.paths(indices),
      payment: await payment(blobId, blob),
    }
  }
  const indexOf = ({ members }: DaEpoch, address = wallet(KEEPER).address) => members.findIndex(({ account }) => account === address)

  /** Our rows of a blob. */
  const rowsOf = (members: DaEpoch, { blobId, blob }: Dispersed) => createAssignment(members, blobId, blob.log2K).rowsOf(indexOf(members))

  async function dispersed(data: Uint8Array): Promise<Dispersed> {
    return encode(data, shapeFor(data.length, (await epoch()).codes))
  }

  async function store({ client }: RunningSigner, ...requests: StoreRequest[]): Promise<StoreReply[]> {
    const stream = client.store()
    const replies = await Promise.all(requests.map((each) => stream.send(each, { timeout: 20_000 })))
    stream.end()
    return replies
  }

  /** Certifies a batch: the keeper's signature, and those of all others. */
  async function certify({ client }: RunningSigner, blobIds: string[]): Promise<{ root: string; epoch: number; proof: (index: number) => string[] }> {
    const members = await epoch()
    const { ecdsa } = await client.sign({ epoch: members.epoch, blobIds: blobIds.map((id) => getBytes(id)) })
    const tree = batchTree(blobIds)
    const digest = certificateDigest(domain, members.epoch, tree.root)
    const keys = new Map(OTHERS.map(wallet).map((other) => [other.address, other.signingKey]))
    const signatures = members.members.map(({ account }) => (keys.has(account) ? signDigest(keys.get(account)!, digest) : ecdsa))
    await (await contracts.certificates.certifyBySignatures(tree.root, members.epoch, packAbsent([]), Buffer.concat(signatures))).wait()
    return { root: tree.root, epoch: members.epoch, proof: (index) => tree.proof(index) }
  }

  return {
    folder,
    chain,
    provider,
    at,
    contracts,
    domain,
    disperser,
    keeper: wallet(KEEPER),
    wallet,
    backend,
    codec,
    config,
    start,
    epoch,
    encode,
    dispersed,
    dispersedAs,
    payment,
    request,
    rowsOf,
    store,
    certify,
    indexOf,
    blsOf,
    /** Waits until the keeper is a member of an epoch later than `after`. */
    memberAfter: (after: number) => until(async () => ((await epoch().catch(() => undefined))?.epoch ?? 0) > after || undefined, `epoch ${after + 1}`),
    async travel(seconds: number) {
      await chain.request('evm_increaseTime', [seconds])
      await chain.request('hardhat_mine', ['0x1'])
    },
    async stop() {
      for (const signer of [...running]) await signer.stop()
      await codec.close()
      provider.destroy()
      await chain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
export type Da = Awaited<ReturnType<typeof startDa>>

/** Bytes that are the same in every run. */
export function sample(length: number, seed: number): Uint8Array {
  let state = seed * 2_654_435_761
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  })
}

export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const messages: T[] = []
  for await (const message of stream) messages.push(message)
  return messages
}
