import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JsonRpcProvider, Wallet } from 'ethers'
import { pino } from 'pino'
import { loadKernel } from '../../../codec/keccak/index.ts'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { type Chain, LOCAL_CHAIN_ID, startChain } from '../../../devnet/chain.ts'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { miner as definition } from '../../../keepers/storage/miner/keeper.ts'
import { Flow__factory, PoraMine__factory, StorageRewards__factory } from '../../../typechain-types/index.ts'
import { type LogNode, startLogNode } from '../../support/log-node.ts'
import { UniformLog } from '../../support/uniform-log.ts'

const kernel = loadKernel()
const data = Uint8Array.from({ length: 262_144 }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 24) | 1)
const log = pino({ level: process.env.LOG_LEVEL ?? 'silent' })
const BLOCKS_PER_EPOCH = 20

async function until<T>(what: string, probe: () => Promise<T | undefined | false> | T | undefined | false, withinMs = 60_000): Promise<T> {
  for (const end = Date.now() + withinMs; Date.now() < end; await sleep(20)) {
    const found = await probe()
    if (found) return found
  }
  throw new Error(`not within ${withinMs} ms: ${what}`)
}

describe('storage miner', function () {
  this.timeout(180_000)
  let folder: string
  let chain: Chain
  let provider: JsonRpcProvider
  let at: Readonly<Record<string, string>>
  let node: LogNode
  let uploaded: number

  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const me = () => chain.accounts[4]!
  const mine = () => PoraMine__factory.connect(at.PoraMine!, provider)
  const rewards = () => StorageRewards__factory.connect(at.StorageRewards!, provider)
  const flow = () => Flow__factory.connect(at.Flow!, wallet(6))
  const mineBlocks = (count: number) => chain.request('hardhat_mine', [`0x${count.toString(16)}`])
  const registrations = async () => (await mine().queryFilter(mine().filters.NewMinerId())).map(({ args }) => args)
  const earned = () => rewards().payments(me().address)

  /** Doubles the log until it has 2^height sectors; the node has them at once. */
  async function upload(height: number): Promise<void> {
    const grown = new UniformLog(kernel, data, height)
    const price = PROFILES.local!.storage!.pricePerSector
    for (; uploaded < height; uploaded++) {
      const sectors = 2n ** BigInt(uploaded)
      const submission = { length: sectors * 256n, tags: '0x', nodes: [{ root: grown.node(uploaded), height: uploaded }] }
      await (await flow()['submit((uint256,bytes,(bytes32,uint256)[]))'](submission, { value: sectors * price })).wait()
    }
    node.log = grown
  }

  const config = (more = {}) => ({
    rpcUrl: chain.url,
    pollMs: 20,
    dataDir: join(folder, 'miner'),
    port: 0,
    privateKey: me().privateKey,
    mine: at.PoraMine,
    nodeUrl: node.url,
    threads: 1,
    ...more,
  })

  before(async () => {
    chain = await startChain()
    provider = connect(chain.url)
    const local = PROFILES.local!
    const pora = { ...local.storage!.pora, difficulty: 2_000n, minDifficulty: 2_000n, targetMineBlocks: BigInt(BLOCKS_PER_EPOCH), targetSubmissions: 3n }
    const profile = { ...local, storage: { ...local.storage!, blocksPerEpoch: BigInt(BLOCKS_PER_EPOCH), pora } }
    at = await deploy({ signer: wallet(1), profile, book: AddressBook.open(LOCAL_CHAIN_ID) })
  })
  after(async () => {
    provider.destroy()
    await chain.stop()
  })

  // Every test has a chain of its own, as the deployment left it.
  let snapshot: unknown
  beforeEach(async () => {
    snapshot = await chain.request('evm_snapshot', [])
    folder = mkdtempSync(join(tmpdir(), 'perigee-miner-'))
    node = await startLogNode()
    uploaded = 10
  })
  afterEach(async () => {
    await node.stop()
    rmSync(folder, { recursive: true })
    await chain.request('evm_revert', [snapshot])
  })

  describe('in this process', () => {
    let backend: Backend
    let runtime: Runtime
    let keeper: Keeper | undefined
    let started = 0

    /** A miner that has never been before: its database starts empty. */
    async function start(more = {}): Promise<void> {
      runtime = createRuntime({ name: `storage/miner/${++started}`, backend, log })
      keeper = await definition.create(definition.schema.parse(config(more)), runtime)
      await keeper.start()
      await until('ready', async () => (await keeper!.ready()) === undefined)
    }
    const counts = async (metric: string) => (await runtime.metrics.getSingleMetric(metric)!.get()).values

    before(async () => {
      backend = await openBackend({ log })
    })
    after(async () => backend.close())
    afterEach(async () => {
      await keeper?.stop()
      await runtime.close()
    })

    it('registers, opens the epoch, seals, mines, and is paid for the first load that is uploaded', async () => {
      await start()
      assert.deepEqual(
        (await registrations()).map(({ beneficiary }) => beneficiary),
        [me().address],
      )
      assert.equal((await mine().currentSubmissions()) as bigint, 0n)
      await upload(11)
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      await until('the first reward', async () => (await earned()) > 0n)
      const [, first] = await mine().queryFilter(mine().filters.NewSubmission())
      assert.ok(!first || first.args.recallPosition >= 1024n, 'the first load of the log is padding')
      assert.ok((await counts('sealed_loads'))[0]!.value === 2)
      assert.ok((await counts('sealed_bytes_total'))[0]!.value === 2 * 262_144)
      await until('a report of nonces', async () => (await counts('nonces_total'))[0]!.value > 0)
    })

    it('goes on with the next epoch and with what the log has got since, without being restarted', async () => {
      await start()
      await upload(11)
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      const before = await until('a reward', () => earned())
      const epoch = await mine().lastMinedEpoch()
      await upload(13)
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      await until('an answer in a later epoch', async () => (await mine().lastMinedEpoch()) > epoch)
      assert.ok((await earned()) > before)
      await until('eight sealed loads', async () => (await counts('sealed_loads'))[0]!.value === 8)
    })

    it('waits for data that its node has not got yet', async () => {
      await start()
      await upload(11)
      const { log } = node
      node.log = undefined
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      await until('two loads asked for', () => node.asked.size === 2)
      assert.equal((await counts('sealed_loads'))[0]!.value, 0)
      node.log = log
      await until('both sealed', async () => {
        await mineBlocks(1)
        return (await counts('sealed_loads'))[0]!.value === 2
      })
    })

    it('sends nothing that costs more than it earns', async () => {
      await start({ margin: 1e9 })
      await upload(11)
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      await until('an answer that was not worth it', async () =>
        (await counts('answers_total')).some(({ labels, value }) => labels.outcome === 'unprofitable' && value > 0),
      )
      assert.equal(await earned(), 0n)
      assert.equal(await mine().currentSubmissions(), 0n)
    })

    it('withdraws what it has earned when it is enough', async () => {
      await start({ withdrawAbove: 1n })
      await upload(11)
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      await until('a withdrawal', async () => (await rewards().queryFilter(rewards().filters.PaymentWithdrawn(me().address))).length > 0)
    })

    it('seals again what a node lied about, before it pays for a wrong answer', async () => {
      await start()
      await upload(11)
      const truth = node.log!
      node.log = new UniformLog(kernel, data.slice().fill(7), 11)
      const lie = node.log
      const { root } = truth
      lie.root = () => root.call(truth)
      lie.proof = (position) => truth.proof(position)
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      await until('a faulty answer', async () => (await counts('answers_total')).some(({ labels, value }) => labels.outcome === 'faulty' && value > 0))
      assert.equal(await mine().currentSubmissions(), 0n)
      node.log = truth
      await until('the truth is paid for', async () => {
        await mineBlocks(1)
        return (await earned()) > 0n
      })
    })
  })

  describe('as a process', () => {
    let child: ChildProcess | undefined

    function spawnMiner(): ChildProcess {
      const { privateKey, ...flags } = config()
      const args = Object.entries(flags).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`, String(value)])
      const main = new URL('../../../keepers/storage/miner/main.ts', import.meta.url).pathname
      child = spawn(process.execPath, ['--import', './scripts/ts.mjs', main, ...args], {
        env: { ...process.env, PRIVATE_KEY: privateKey, LOG_LEVEL: 'info' },
        stdio: ['ignore', process.env.LOG_LEVEL ? 'inherit' : 'ignore', 'inherit'],
      })
      return child
    }
    const seals = () => {
      try {
        const found = readdirSync(join(folder, 'miner', 'seals'), { recursive: true, withFileTypes: true })
        return found.filter(({ name }) => name.endsWith('.seal')).map(({ parentPath, name }) => join(parentPath, name))
      } catch {
        return []
      }
    }

    afterEach(async () => {
      if (child && child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    })

    it('killed while sealing, it keeps its id and every whole seal, seals the rest and what was damaged, and is paid', async () => {
      await upload(16)
      node.delayMs = 150
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      const killed = spawnMiner()
      await until('some seals', () => seals().length >= 4)
      killed.kill('SIGKILL')
      await once(killed, 'exit')
      const kept = seals()
      assert.ok(kept.length < 64, 'it was killed before it was done')
      const [damaged, ...whole] = kept
      const bytes = readFileSync(damaged!)
      bytes[100_000]! ^= 1
      writeFileSync(damaged!, bytes)
      const times = whole.map((path) => statSync(path).mtimeMs)

      node.delayMs = 0
      const restarted = spawnMiner()
      await until('64 seals', () => seals().length === 64)
      await mineBlocks(BLOCKS_PER_EPOCH + 1)
      await until('a reward', async () => {
        await mineBlocks(1)
        return (await earned()) > 0n
      })
      assert.deepEqual(
        whole.map((path) => statSync(path).mtimeMs),
        times,
        'whole seals were not made again',
      )
      await until('the damaged one was made again', () => readFileSync(damaged!).compare(bytes) !== 0)
      assert.equal((await registrations()).length, 1)

      const asked = Date.now()
      restarted.kill('SIGTERM')
      const [code] = await once(restarted, 'exit')
      assert.equal(code, 0)
      assert.ok(Date.now() - asked < 10_000)
    })

    it('killed between sending its registration and the receipt, it does not register twice', async () => {
      await chain.request('evm_setAutomine', [false])
      try {
        const killed = spawnMiner()
        await until(
          'a transaction on its way',
          async () => (await provider.getTransactionCount(me().address, 'pending')) > (await provider.getTransactionCount(me().address)),
        )
        killed.kill('SIGKILL')
        await once(killed, 'exit')
        await mineBlocks(1)
      } finally {
        await chain.request('evm_setAutomine', [true])
      }
      spawnMiner()
      await upload(11)
      await until('a reward', async () => {
        await mineBlocks(1)
        return (await earned()) > 0n
      })
      assert.equal((await registrations()).length, 1)
    })
  })
})
