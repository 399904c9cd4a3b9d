import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'chai'
import { parseEther } from 'ethers'
import { type Backend, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { InferenceServing__factory } from '../../../typechain-types/index.ts'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { type RpcCall, startGate } from './gate.ts'
import { INPUT_PRICE, type Market, OUTPUT_PRICE, startMarket } from './market.ts'
import { openProvider } from './provider.ts'
import type { VictimTask } from './victim.ts'

const log = createLog({ name: 'test', level: 'silent' })
const root = join(import.meta.dirname, '../../..')
const FEE = 100n * INPUT_PRICE + 10n * OUTPUT_PRICE
const BALANCE = parseEther('1')
const servings = InferenceServing__factory.createInterface()
const calls = (name: string, { method, params }: RpcCall) =>
  method === 'eth_call' && params[0].data?.startsWith(servings.getFunction(name as 'lockTime')!.selector)

interface Instant {
  name: string
  at: (call: RpcCall) => boolean
  /** The call reaches the chain; its answer is lost. */
  answered?: true
}

const INSTANTS: Instant[] = [
  { name: 'answers are journalled and in no batch', at: (call) => calls('lockTime', call) },
  { name: 'a batch is about to be written down', at: (call) => calls('lastNonce', call) },
  { name: 'the batch is written down and not sent', at: (call) => calls('settleBatch', call) },
  { name: 'the batch is signed as a transaction and not sent', at: ({ method }) => method === 'eth_sendRawTransaction' },
  { name: 'the batch is sent and nobody heard of it', at: ({ method }) => method === 'eth_sendRawTransaction', answered: true },
  { name: 'the batch is mined and its event not read', at: ({ method }) => method === 'eth_getTransactionReceipt' },
]

describe('settlement of a provider that is killed', function () {
  this.timeout(120_000)
  let market: Market
  let dataDir: DataDir
  let backend: Backend | undefined
  let victim: ChildProcess | undefined

  before(async () => {
    market = await startMarket()
    for (const user of market.users) await market.fund(user, BALANCE)
  })
  after(() => market.stop())
  beforeEach(async () => {
    dataDir = await newDataDir()
  })
  afterEach(async () => {
    if (victim?.exitCode === null && victim.signalCode === null) victim.kill('SIGKILL')
    await backend?.close()
    dataDir.remove()
  })

  for (const { name, at, answered } of INSTANTS) {
    it(`given a kill -9 when ${name}, when it is started again, then every answer is charged once`, async () => {
      const before = await Promise.all(market.users.map(market.balanceOf))
      const batches = (await market.batches()).length
      const gate = await startGate(market.chain.url, at, answered === true)
      const task: VictimTask = { setup: { ...market.setup, rpcUrl: gate.url }, dataDir: dataDir.path, users: market.users.map(({ address }) => address) }
      victim = spawn(process.execPath, ['--import', join(root, 'scripts/ts.mjs'), join(import.meta.dirname, 'victim.ts'), JSON.stringify(task)], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = once(victim, 'exit')
      const [first] = await Promise.race([once(victim.stdout!, 'data'), ended])
      expect(String(first)).to.contain('journalled')
      await Promise.race([gate.closed, ended.then(() => Promise.reject(new Error('it ended before it came there')))])
      victim.kill('SIGKILL')
      await ended
      await gate.stop()

      backend = await openBackend({ dataDir: dataDir.path, log })
      const provider = await openProvider(market.setup, { backend, log })
      try {
        await provider.settlement.round()
        expect(await provider.states()).to.deep.equal({ settled: 3 })
        expect(provider.spend.total()).to.equal(0n)
        expect(await Promise.all(market.users.map(market.balanceOf))).to.deep.equal(before.map((balance) => balance - FEE))
        expect(await market.batches()).to.have.length(batches + 1)
        await provider.settlement.round()
        expect(await market.batches()).to.have.length(batches + 1)
      } finally {
        await provider.stop()
      }
    })
  }
})
