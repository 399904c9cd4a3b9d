import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'chai'
import { getBytes, type JsonRpcProvider, sha256, toQuantity, Wallet, ZeroHash } from 'ethers'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { type Chain, LOCAL_CHAIN_ID, startChain } from '../../../devnet/chain.ts'
import { startDueEpoch } from '../../../keepers/da/disperser/epoch-start.ts'
import { beaconKeeper } from '../../../keepers/randomness/beacon/keeper.ts'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { deriveBlsKey, provePossession } from '../../../protocol/da/bls.ts'
import { keyOf } from '../../../protocol/randomness/drand.ts'
import {
  Bonds__factory,
  DataAvailability__factory,
  type Drand,
  Drand__factory,
  IDAEpochs__factory,
  PrevRandao__factory,
} from '../../../typechain-types/index.ts'
import { sign, signed, testNetwork, timeOf } from '../../contracts/randomness/network.ts'
import { newDataDir } from '../../support/data-dir.ts'
import { startRpcProxy } from '../../support/rpc-proxy.ts'
import { eventually, rememberingLog } from '../runtime/quiet.ts'
import { beacon, NETWORK, type Relay, startRelay } from './relay.ts'

/** Seconds; so long that the tests' own time is none. */
const DELAY = 3600n
const ENTRY = join(import.meta.dirname, '../../../keepers/randomness/beacon/main.ts')
const LOADER = join(import.meta.dirname, '../../../scripts/ts.mjs')

describe('beacon keeper', function () {
  this.timeout(120_000)
  let chain: Chain
  let provider: JsonRpcProvider
  let drand: Drand
  let backend: Backend
  let snapshot: unknown
  let relays: Relay[] = []
  /** Each test's keeper has tables of its own. */
  let tests = 0
  let running: { keeper: Keeper; runtime: Runtime } | undefined
  let remembered: ReturnType<typeof rememberingLog>

  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const BEACON = 6
  /** Whoever draws: an account will do. */
  const consumer = () => wallet(5)

  before(async () => {
    chain = await startChain()
    provider = connect(chain.url)
    const { publicKey, genesisTime, period } = testNetwork
    drand = await new Drand__factory(wallet(1)).deploy(keyOf(publicKey), genesisTime, period, DELAY)
    await drand.waitForDeployment()
    backend = await openBackend({ log: createLog({ name: 'test', level: 'silent' }) })
  })
  after(async () => {
    await backend.close()
    provider.destroy()
    await chain.stop()
  })
  beforeEach(async () => {
    snapshot = await chain.request('evm_snapshot', [])
    remembered = rememberingLog()
    tests++
  })
  afterEach(async () => {
    await stop()
    await Promise.all(relays.map((relay) => relay.stop()))
    relays = []
    await chain.request('evm_revert', [snapshot])
  })

  async function relay(answer?: Relay['answer']): Promise<Relay> {
    const started = await startRelay(answer)
    relays.push(started)
    return started
  }
  const config = async (changes: object = {}) => ({
    rpcUrl: chain.url,
    randomness: await drand.getAddress(),
    consumers: [consumer().address],
    privateKey: wallet(BEACON).privateKey,
    network: NETWORK,
    relays: relays.map(({ url }) => url),
    port: 0,
    pollMs: 20,
    ...changes,
  })
  async function start(changes: object = {}) {
    const runtime = createRuntime({ name: `randomness/beacon/${tests}`, backend, log: remembered.log })
    const keeper = await beaconKeeper.create(beaconKeeper.schema.parse(await config(changes)), runtime).catch(async (error: unknown) => {
      await runtime.close()
      throw error
    })
    running = { keeper, runtime }
    await keeper.start()
    return keeper
  }
  async function stop() {
    await running?.keeper.stop()
    await running?.runtime.close()
    running = undefined
  }
  async function ask(): Promise<bigint> {
    await (await drand.connect(consumer()).draw(ZeroHash, 0)).wait()
    return drand.awaitedBy(consumer())
  }
  /** Moves the chain to some seconds after the round was signed. */
  async function travelTo(round: bigint, after = 0n) {
    await chain.request('evm_setNextBlockTimestamp', [toQuantity(timeOf(testNetwork, round) + after)])
    await chain.request('hardhat_mine', ['0x1'])
  }
  const isThere = async (round: bigint, at = drand) => (await at.randomnessOf(round)) === sha256(sign(round))
  const sent = () => provider.getTransactionCount(wallet(BEACON).address)
  async function metric(line: RegExp): Promise<number> {
    const text = await (await fetch(`${running!.keeper.url}/metrics`)).text()
    return Number(line.exec(text)?.[1] ?? 'NaN')
  }

  it('given a consumer that waits, when the round is signed, then it is brought, and not asked for before', async () => {
    const { asked } = await relay()
    const keeper = await start()
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    const round = await ask()
    await travelTo(round - 1n)
    await eventually('the keeper has looked again', async () => (await metric(/^round_overdue_seconds\{[^}]*\} (\S+)$/m)) === 0)
    expect(asked).to.deep.equal([])
    await travelTo(round)
    await eventually('it is brought', () => isThere(round))
    await (await drand.connect(consumer()).draw(ZeroHash, 0)).wait()
    expect(await drand.seedOf(consumer())).not.to.equal(ZeroHash)
    expect(asked).to.deep.equal([Number(round)])
    expect(await sent()).to.equal(1)
    await eventually('it is counted', async () => (await metric(/^rounds_brought_total\{[^}]*\} (\S+)$/m)) === 1)
  })

  it('given nobody who waits, then no relay is asked and nothing is sent', async () => {
    const { asked } = await relay()
    const keeper = await start()
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    await chain.request('hardhat_mine', ['0x10', '0x3c'])
    await eventually('it has looked', async () => (await metric(/^round_overdue_seconds\{[^}]*\} (\S+)$/m)) === 0)
    expect(asked).to.deep.equal([])
    expect(await sent()).to.equal(0)
  })

  /** Relays that are of no use, and what is said of each. */
  async function badRelays(round: bigint): Promise<[Relay, string][]> {
    const wrong = "its answer is not the network's signature of this round"
    const dead = await relay()
    await dead.stop()
    return [
      [dead, `${dead.url} cannot be reached`],
      [await relay(() => new Promise(() => {})), 'timeout'],
      [await relay((reply) => reply.code(404).send({})), 'HTTP 404'],
      // What is right, if only it were not …
      [await relay((reply, at) => reply.code(500).send(beacon(at))), 'HTTP 500'],
      [await relay((_, at) => ({ ...beacon(at), padding: 'x'.repeat(5000) })), 'its answer is longer than 4096 bytes'],
      [await relay((_, at) => beacon(at, sign(round + 1n))), wrong],
      [await relay(() => beacon(Number(round) + 1)), wrong],
      [await relay((reply) => reply.send('<html>')), wrong],
      [await relay((_, at) => ({ ...beacon(at), signature: 'ff'.repeat(64) })), wrong],
      [await relay((_, at) => ({ ...beacon(at), signature: `${beacon(at).signature}00` })), wrong],
    ]
  }

  it('given one relay that is right among others that are dead, late, lie or send garbage, then the round is brought', async () => {
    const round = await ask()
    await travelTo(round)
    const bad = await badRelays(round)
    await relay(async (_, at) => {
      // After all others had their say, but the one that never has.
      await eventually('the others were asked', () => bad.slice(1).every(([{ asked }]) => asked.length > 0))
      return beacon(at)
    })
    await start()
    await eventually('it is brought', () => isThere(round))
    expect(await sent()).to.equal(1)
  })

  it('given no relay that is right, then nothing is sent, it says what each answered, and goes on when one is', async () => {
    const round = await ask()
    await travelTo(round, 30n)
    const bad = await badRelays(round)
    const keeper = await start()
    const why = async () => (await keeper.ready()) ?? ''
    await eventually('it is not ready', async () => (await why()).startsWith(`no relay has round ${round} (`), 60_000)
    const reason = await why()
    for (const [{ url }, said] of bad) expect(reason).to.match(new RegExp(`${url}: [^;]*${said}`))
    expect(await metric(/^round_overdue_seconds\{[^}]*\} (\S+)$/m)).to.be.at.least(30)
    expect(await sent()).to.equal(0)
    bad.at(-1)![0].answer = (_, at) => beacon(at)
    await eventually('it is brought', () => isThere(round), 60_000)
    await eventually('it is ready again', async () => (await keeper.ready()) === undefined, 60_000)
    expect(await metric(/^relay_answers_total\{[^}]*outcome="wrong"[^}]*\} (\S+)$/m)).to.be.greaterThan(0)
  })

  it('given a round that was signed just now and that no relay has yet, then nothing is wrong', async () => {
    const round = await ask()
    const late = await relay((reply) => reply.code(404).send({}))
    const keeper = await start()
    await travelTo(round)
    await eventually('it was asked for twice', () => late.asked.length > 1)
    expect(await keeper.ready()).to.equal(undefined)
    expect(remembered.lines.filter(({ level }) => level === 'warn')).to.deep.equal([])
    late.answer = (_, at) => beacon(at)
    await eventually('it is brought', () => isThere(round))
  })

  it('given somebody who is faster, then nothing is paid for it, and it is ready', async () => {
    const round = await ask()
    await travelTo(round)
    const { asked } = await relay(async (_, at) => {
      await (await drand.connect(wallet(1)).submit(...signed(round))).wait()
      return beacon(at)
    })
    const keeper = await start()
    await eventually('it asked', () => asked.length > 0)
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    expect(await isThere(round)).to.equal(true)
    expect(await sent()).to.equal(0)
    expect(remembered.lines.filter(({ level }) => level === 'error')).to.deep.equal([])
  })

  it('given a dead endpoint, then it says so, and goes on when it is back', async () => {
    await relay()
    const proxy = await startRpcProxy(chain.url)
    const keeper = await start({ rpcUrl: proxy.url })
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    await proxy.down()
    await eventually('it says so', async () => (await keeper.ready()) !== undefined)
    const round = await ask()
    await travelTo(round)
    await proxy.up()
    await eventually('the round is brought', () => isThere(round), 60_000)
    await eventually('it is ready again', async () => (await keeper.ready()) === undefined, 60_000)
    await stop()
    await proxy.down()
  })

  it('given a reorganisation that undoes it, then the round is brought again', async () => {
    await relay()
    const round = await ask()
    await travelTo(round)
    const before = await chain.request('evm_snapshot', [])
    await start()
    await eventually('it is brought, and known to be', async () => (await metric(/^rounds_brought_total\{[^}]*\} (\S+)$/m)) === 1)
    await chain.request('evm_revert', [before])
    expect(await isThere(round)).to.equal(false)
    await chain.request('hardhat_mine', ['0x2'])
    await eventually('it is brought again', () => isThere(round), 30_000)
    expect(await sent()).to.equal(1)
  })

  it('given kill -9 before the round was there, when it starts again, then it is brought, once', async function () {
    this.timeout(300_000)
    const round = await ask()
    await travelTo(round)
    const late = await relay(() => new Promise(() => {}))
    const folder = await newDataDir()
    const { privateKey, consumers, relays: urls, ...rest } = (await config({ dataDir: folder.path, logLevel: 'warn' })) as Record<string, unknown>
    const flags = { ...rest, consumers: String(consumers), relays: String(urls) }
    const args = Object.entries(flags).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)])
    const run = () => {
      const env = { PATH: process.env.PATH, PRIVATE_KEY: privateKey as string }
      const child = spawn(process.execPath, ['--import', LOADER, ENTRY, ...args], { env, stdio: 'ignore' })
      const exit = new Promise((resolve) => child.once('exit', resolve))
      return async (signal: NodeJS.Signals) => {
        child.kill(signal)
        await exit
      }
    }
    const killVictim = run()
    try {
      await eventually('it has asked', () => late.asked.length > 0, 100_000)
    } finally {
      await killVictim('SIGKILL')
    }
    late.answer = (_, at) => beacon(at)
    const stopHeir = run()
    try {
      await eventually('it is brought', () => isThere(round), 100_000)
    } finally {
      await stopHeir('SIGTERM')
    }
    expect(await sent()).to.equal(1)
    folder.remove()
  })

  it('given a contract of another network, or none of drand, then it does not start, and says what to do', async () => {
    await relay()
    const failure = (changes: object) =>
      start(changes).then(
        () => 'started',
        (error: Error) => error.message,
      )
    expect(await failure({ network: undefined })).to.include('network is evmnet, but the contract at')
    const prevRandao = await new PrevRandao__factory(wallet(1)).deploy()
    await prevRandao.waitForDeployment()
    for (const address of [await prevRandao.getAddress(), consumer().address])
      expect(await failure({ randomness: address })).to.include(`randomness is ${address}: there is no Drand contract`)
  })

  it('given data availability whose seeds come from drand, then its epochs begin: whoever begins them comes again when the round is there', async () => {
    await relay()
    const da = { ...PROFILES.local!.da!, randomness: { ...testNetwork, delay: DELAY } }
    const at = await deploy({ signer: wallet(1), profile: { access: {}, stake: true, da }, book: AddressBook.open(LOCAL_CHAIN_ID) })
    const availability = DataAvailability__factory.connect(at.DataAvailability!, wallet(1))
    const seeds = Drand__factory.connect(at.Randomness!, provider)
    const bondDelay = await availability.bondDelay()
    for (const signer of [7, 8, 9, 10].map(wallet)) {
      await (await Bonds__factory.connect(at.Bonds!, signer).bond(signer.address, [at.AvailabilityChallenges!], bondDelay, { value: da.minStake })).wait()
      const bls = deriveBlsKey(getBytes(signer.privateKey))
      const { key, keyG2, proof, counter, y } = provePossession(bls, { chainId: LOCAL_CHAIN_ID, contract: at.DataAvailability! }, signer.address)
      await (await availability.connect(signer).register(key, keyG2, proof, counter, y, 'localhost:34000')).wait()
    }
    await start({ consumers: [at.DataAvailability!], randomness: at.Randomness! })
    const runtime = createRuntime({ name: `da/disperser/${tests}`, backend, log: remembered.log })
    try {
      const disperserChain = await runtime.chain({ rpcUrl: chain.url, pollMs: 20 })
      const sender = await runtime.sender({
        chain: disperserChain,
        wallet: wallet(2),
        database: await runtime.database({}),
        interfaces: [availability.interface],
      })
      const epochs = IDAEpochs__factory.connect(at.DataAvailability!, disperserChain.provider)
      const begin = () =>
        startDueEpoch({ epochs, address: at.DataAvailability!, chain: disperserChain, sender, log: remembered.log }, new AbortController().signal)
      await begin()
      const round = await seeds.awaitedBy(availability)
      await begin()
      expect(await provider.getTransactionCount(wallet(2).address), 'waiting costs nothing').to.equal(1)
      expect(await availability.currentEpoch()).to.equal(0n)
      await travelTo(round)
      await eventually('the round is brought', () => isThere(round, seeds))
      await begin()
      expect(await availability.currentEpoch()).to.equal(1n)
      expect((await availability.epochInfo(1)).seed).to.equal(await seeds.seedOf(availability))
      expect(remembered.lines.filter(({ level }) => level === 'error' || level === 'warn')).to.deep.equal([])
    } finally {
      await runtime.close()
    }
  })
})
