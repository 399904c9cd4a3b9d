import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { keccak256, parseEther, Transaction } from 'ethers'
import { ACCOUNTS } from '../../../devnet/accounts.ts'
import { freePorts } from '../../../devnet/ports.ts'
import { decodeModel } from '../../../protocol/compute/tuned-model.ts'
import { serviceName } from '../../../sdk/compute/contracts.ts'
import { downloadBytes } from '../../../sdk/storage/download.ts'
import { IFineTuningServing__factory, IFlow__factory } from '../../../typechain-types/index.ts'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { type Network, startNetwork } from '../../support/network.ts'
import { type RpcCall, startGate } from '../compute-settlement/gate.ts'
import { eventually, TuningClient } from './client.ts'
import { chatLines, customerRows } from './sample-dataset.ts'

const root = join(import.meta.dirname, '../../..')
const WITHIN_MS = 180_000
const SHORT = chatLines(customerRows())
/** Long enough to be killed while it trains. */
const LONG = chatLines(customerRows(), 120)

const servings = IFineTuningServing__factory.createInterface()
const DELIVER = servings.getFunction('addDeliverable').selector
const SETTLE = servings.getFunction('settleFees').selector
const SUBMIT = IFlow__factory.createInterface().getFunction('submit(((uint256,bytes,(bytes32,uint256)[]),address))').selector

const simulates = (selector: string) => (call: RpcCall) => /^eth_(call|estimateGas)$/.test(call.method) && String(call.params[0].data).startsWith(selector)
const sends = (selector: string) => (call: RpcCall) => call.method === 'eth_sendRawTransaction' && Transaction.from(call.params[0]).data.startsWith(selector)

interface Instant {
  name: string
  at: (call: RpcCall) => boolean
  /** The call reaches the chain; its answer is lost. */
  answered?: true
}

const INSTANTS: Instant[] = [
  { name: 'the model is encrypted and not stored', at: simulates(SUBMIT) },
  { name: 'storing the model is paid and nobody heard of it', at: sends(SUBMIT), answered: true },
  { name: 'the model is stored and not delivered', at: simulates(DELIVER) },
  { name: 'the deliverable is sent and nobody heard of it', at: sends(DELIVER), answered: true },
  { name: 'the user has acknowledged and nothing is settled', at: simulates(SETTLE) },
  { name: 'the settlement is sent and nobody heard of it', at: sends(SETTLE), answered: true },
]

describe('tuning keeper that is killed', function () {
  this.timeout(2 * WITHIN_MS)
  let network: Network
  let folder: string
  let dataDir: DataDir
  let url: string
  let keeper: ChildProcess | undefined

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-tuning-kill-'))
    network = await startNetwork({ storage: { kv: false }, compute: { providers: 0 }, dataDir: folder })
    const [port] = await freePorts(1)
    url = `http://127.0.0.1:${port}`
  })
  after(async () => {
    await network?.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  beforeEach(async () => {
    dataDir = await newDataDir()
  })
  afterEach(async () => {
    await kill()
    dataDir.remove()
  })

  /** Starts the keeper as an operator does, and waits until it is ready. */
  async function start(rpcUrl: string): Promise<void> {
    const config = {
      rpcUrl,
      serving: network.contracts.FineTuningServing!,
      registry: network.contracts.TeeSignerRegistry!,
      simulatedTee: join(folder, 'tee', 'pki.json'),
      indexer: network.indexer,
      autoRegister: 'true',
      pricePerToken: '1000',
      pollMs: '50',
      checkMs: '100',
      port: new URL(url).port,
      dataDir: dataDir.path,
    }
    const flags = Object.entries(config).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, value])
    keeper = spawn(process.execPath, ['--import', join(root, 'scripts/ts.mjs'), join(root, 'keepers/compute/tuning/main.ts'), ...flags], {
      cwd: root,
      env: { PATH: process.env.PATH, PRIVATE_KEY: network.accounts[ACCOUNTS.computeTuning]!.privateKey, LOG_LEVEL: process.env.TEST_LOG ?? 'fatal' },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    await eventually(
      'the keeper is ready',
      () =>
        fetch(`${url}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      WITHIN_MS,
    )
  }

  async function kill(): Promise<void> {
    if (keeper?.exitCode !== null || keeper.signalCode !== null) return
    const ended = once(keeper, 'exit')
    keeper.kill('SIGKILL')
    await ended
  }

  const provider = () => network.accounts[ACCOUNTS.computeTuning]!.address
  const servingAs = (user: TuningClient) => IFineTuningServing__factory.connect(network.contracts.FineTuningServing!, user.wallet)
  const balance = async (user: TuningClient) => (await servingAs(user).getAccount(user.wallet.address, provider())).balance
  const sent = () => network.provider.getTransactionCount(provider())

  let people = 6
  /** Another user for each test, with money for the provider, which must be registered. */
  async function newUser(): Promise<TuningClient> {
    const user = new TuningClient(url, network.wallet(people++))
    const { ledger } = network.computeAs(user.wallet)
    await (await ledger.depositFund({ value: parseEther('5') })).wait()
    await (await ledger.transferFund(provider(), await serviceName(ledger, servingAs(user)), parseEther('2'))).wait()
    return user
  }

  const reaches = (user: TuningClient, id: string, ...states: string[]) =>
    eventually(
      `task ${id} is ${states.join(' or ')}`,
      async () => {
        const task = await user.task(id).catch(() => undefined)
        if (task?.progress === 'Failed') throw new Error(task.failure)
        return task && states.includes(task.progress) && task
      },
      WITHIN_MS,
    )

  async function acknowledge(user: TuningClient, id: string): Promise<void> {
    await (await servingAs(user).acknowledgeDeliverable(provider(), id)).wait()
  }

  /** Sees a task through: paid, stored, delivered and settled once, and its model opens. */
  async function finishes(user: TuningClient, id: string, before: { balance: bigint; sent: number }): Promise<void> {
    await reaches(user, id, 'Delivered', 'UserAcknowledged', 'Finished')
    const serving = servingAs(user)
    if (!(await serving.getDeliverable(user.wallet.address, provider(), id)).acknowledged) await acknowledge(user, id)
    const { fee, modelRootHash, fileHash } = await reaches(user, id, 'Finished')
    expect(before.balance - (await balance(user))).to.equal(BigInt(fee))
    // Stored, delivered, settled.
    expect(await sent()).to.equal(before.sent + 3)
    expect(await serving.getDeliverables(user.wallet.address, provider())).to.have.length(1)
    const { bytes } = await downloadBytes(modelRootHash, { indexer: network.indexer })
    expect(keccak256(bytes)).to.equal(fileHash)
    expect(decodeModel(await user.open(bytes, serving, provider(), id)).header.answers).to.have.length(4)
  }

  it('given a kill -9 while it trains, when it is started again, then it goes on from its checkpoint and is paid once', async () => {
    await start(network.rpcUrl)
    const user = await newUser()
    const before = { balance: await balance(user), sent: await sent() }
    const id = await user.begin(LONG)
    await eventually('it has a checkpoint', async () => existsSync(join(dataDir.path, 'tasks', 'work', id, 'checkpoint')), WITHIN_MS)
    await kill()
    await start(network.rpcUrl)
    await finishes(user, id, before)
    expect(await user.log(id)).to.include('Resumed at step')
  })

  it('given a kill -9 at every instant that something was paid or is about to be, one after the other, then nothing is paid twice and the model opens', async () => {
    let user!: TuningClient
    let task!: { id: string; before: { balance: bigint; sent: number } }
    let acknowledged: Promise<void> | undefined
    for (const { name, at, answered } of INSTANTS) {
      const gate = await startGate(network.rpcUrl, at, answered === true)
      await start(gate.url)
      const ended = once(keeper!, 'exit')
      if (!acknowledged) {
        user = await newUser()
        const before = { balance: await balance(user), sent: await sent() }
        task = { id: await user.begin(SHORT), before }
        acknowledged = eventually(
          'it is delivered',
          async () => (await servingAs(user).getDeliverables(user.wallet.address, provider())).length > 0,
          WITHIN_MS,
        ).then(() => acknowledge(user, task.id))
      }
      await Promise.race([gate.closed, acknowledged.then(() => gate.closed), ended.then(() => Promise.reject(new Error(`it ended before ${name}`)))])
      await kill()
      await gate.stop()
    }
    await start(network.rpcUrl)
    await finishes(user, task.id, task.before)
  })
})
