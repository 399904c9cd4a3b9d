import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { freePorts } from '../../../devnet/ports.ts'
import { StreamDataBuilder } from '../../../protocol/storage/streams.ts'
import { KvClient } from '../../../sdk/storage/kv-client.ts'
import { type Network, startNetwork } from '../../support/network.ts'
import { type KvUnderTest, put, startKv, submitOnly } from './keeper-under-test.ts'
import { text } from './streams-under-test.ts'

const key = text('k')
let streams = 0
/** A stream that no other test has written to. */
const freshStream = (): string => `0x${(++streams).toString(16).padStart(64, '0')}`
const write = (stream: string, value: string, version?: bigint): StreamDataBuilder => new StreamDataBuilder(version).set(stream, key, text(value))

describe('the KV keeper on a network', function () {
  this.timeout(120_000)
  let network: Network
  let folder: string
  const running: KvUnderTest[] = []
  const start = async (settings: object = {}, dataDir?: string): Promise<KvUnderTest> => {
    const kv = await startKv(network, settings, dataDir)
    running.push(kv)
    return kv
  }
  const stop = async (kv: KvUnderTest): Promise<void> => {
    running.splice(running.indexOf(kv), 1)
    await kv.stop()
  }
  const textAt = async (kv: { client: KvClient }, stream: string): Promise<string | undefined> => {
    const found = await kv.client.get(stream, key)
    return found && Buffer.from(found.data).toString()
  }

  before(async () => {
    network = await startNetwork({ storage: { nodes: 1, indexer: true, kv: false, miner: false } })
    folder = await mkdtemp(join(tmpdir(), 'perigee-kv-'))
  })
  afterEach(async () => {
    for (const kv of [...running]) await stop(kv)
  })
  after(async () => {
    await network.stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('replays what was uploaded, in the name of the account that sent the transaction', async () => {
    const stream = freshStream()
    const kv = await start({ nodes: undefined, indexer: network.indexer })
    const seq = await put(network, 6, write(stream, 'one'))
    expect(await kv.resultOf(seq)).to.equal('Commit')
    expect(await textAt(kv, stream)).to.equal('one')
    expect(await kv.client.isAdmin(network.accounts[6]!.address, stream)).to.equal(true)
    expect(await kv.client.isAdmin(network.accounts[7]!.address, stream)).to.equal(false)
    expect(await kv.keeper.ready()).to.equal(undefined)
  })

  it('is ready, and reports metrics, over HTTP', async () => {
    const kv = await start()
    const seq = await put(network, 6, write(freshStream(), 'one'))
    await kv.resultOf(seq)
    expect((await fetch(`${kv.url}/readyz`)).status).to.equal(200)
    const metrics = await (await fetch(`${kv.url}/metrics`)).text()
    expect(metrics).to.match(new RegExp(`kv_applied_seq\\{keeper="storage/kv"\\} ${seq + 1}`))
    expect(metrics).to.match(/kv_submissions_total\{result="Commit".*\} [1-9]/)
  })

  it('started again, goes on from where it was', async () => {
    const stream = freshStream()
    const at = join(folder, 'restart')
    const kv = await start({}, at)
    await kv.resultOf(await put(network, 6, write(stream, 'one')))
    await stop(kv)
    const missed = await put(network, 6, write(stream, 'two'))

    const again = await start({}, at)
    expect(await again.resultOf(missed)).to.equal('Commit')
    expect(await textAt(again, stream)).to.equal('two')
    expect(Buffer.from((await again.client.get(stream, key, { version: missed - 1 }))!.data).toString()).to.equal('one')
    // Only what it had not decided before was decided now.
    const metrics = await (await fetch(`${again.url}/metrics`)).text()
    expect(metrics).to.match(/kv_submissions_total\{result="Commit".*\} 1\n/)
  })

  it('killed at any moment, it comes to the same state as one that was not', async () => {
    const stream = freshStream()
    const [port] = await freePorts(1)
    const at = join(folder, 'killed')
    const client = new KvClient(`http://127.0.0.1:${port}`)
    const spawnKeeper = (): ChildProcess =>
      spawn(process.execPath, ['--import', './scripts/ts.mjs', 'keepers/storage/kv/main.ts'], {
        env: {
          ...process.env,
          RPC_URL: network.rpcUrl,
          POLL_MS: '50',
          FLOW: network.contracts.Flow,
          NODES: network.nodes.join(),
          PORT: String(port),
          DATA_DIR: at,
          LOG_LEVEL: 'fatal',
        },
        stdio: 'ignore',
      })
    const exited = (child: ChildProcess) => new Promise((resolve) => child.once('exit', resolve))
    let child = spawnKeeper()
    let last = 0
    try {
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 4; i++) last = await put(network, 6, write(stream, `${round}.${i}`))
        // Killed somewhere between start and the last decision: wherever the machine happens to be.
        await sleep(400 * round)
        child.kill('SIGKILL')
        await exited(child)
        child = spawnKeeper()
      }
      while ((await client.transactionResult(last, { retries: 100 })) === undefined) await sleep(50)
      const reference = await start()
      await reference.resultOf(last)
      for (let seq = 0; seq <= last; seq++) {
        expect(await client.transactionResult(seq), `submission ${seq}`).to.equal(await reference.client.transactionResult(seq))
        const options = { version: seq }
        expect(await client.get(stream, key, options), `version ${seq}`).to.deep.equal(await reference.client.get(stream, key, options))
      }
    } finally {
      child.kill('SIGKILL')
      await exited(child)
    }
  })

  it('data that nobody has hold up their stream for the time set, and are taken when they come late', async () => {
    const stream = freshStream()
    const kv = await start({ dataWaitSeconds: 1 })
    const withheld = write(stream, 'withheld').control('GRANT_WRITER_ROLE', stream, { account: network.accounts[7]!.address })
    const missing = await submitOnly(network, 6, withheld)
    const behind = await put(network, 6, write(stream, 'behind'))
    const conflicting = await put(network, 6, write(stream, 'if unchanged', BigInt(missing - 1)))
    const byWriter = await put(network, 7, write(stream, 'by the writer'))
    expect(await kv.resultOf(missing)).to.equal('DownloadFailed')
    expect(await kv.resultOf(behind)).to.equal('Commit')
    expect(await kv.resultOf(conflicting)).to.equal('VersionConfliction')
    expect(await kv.resultOf(byWriter)).to.equal('SenderNoWritePermission')

    expect(await put(network, 6, withheld)).to.equal(missing) // the same submission, its data now
    while ((await kv.client.transactionResult(missing)) !== 'Commit') await sleep(50)
    expect(await kv.resultOf(byWriter)).to.equal('Commit')
    expect(await textAt(kv, stream)).to.equal('by the writer')
    expect(Buffer.from((await kv.client.get(stream, key, { version: missing }))!.data).toString()).to.equal('withheld')
  })

  it('a storage network that does not answer is no reason to give data up', async () => {
    const stream = freshStream()
    const [nowhere] = await freePorts(1)
    const at = join(folder, 'unreachable')
    const seq = await put(network, 6, write(stream, 'one'))
    const kv = await start({ nodes: [`http://127.0.0.1:${nowhere}`], dataWaitSeconds: 0 }, at)
    while (!(await (await fetch(`${kv.url}/metrics`)).text()).includes('kv_downloads_total{outcome="unreachable"')) await sleep(20)
    expect(await kv.client.transactionResult(seq)).to.equal(undefined)
    while (!/^submission \d+ waits for its data: the storage network cannot be reached$/.test((await kv.keeper.ready()) ?? '')) await sleep(20)
    await stop(kv)

    const again = await start({ dataWaitSeconds: 0 }, at)
    expect(await again.resultOf(seq)).to.equal('Commit')
  })

  it('a reorganisation takes back what its blocks had written', async () => {
    const stream = freshStream()
    const kv = await start()
    const kept = await put(network, 6, write(stream, 'kept'))
    await kv.resultOf(kept)
    const snapshot = await network.chain.request('evm_snapshot', [])
    const undone = await put(network, 6, write(stream, 'undone'))
    expect(await kv.resultOf(undone)).to.equal('Commit')
    expect(await textAt(kv, stream)).to.equal('undone')

    await network.chain.request('evm_revert', [snapshot])
    await network.chain.request('hardhat_mine', ['0x3'])
    while ((await kv.client.transactionResult(undone)) !== undefined) await sleep(20)
    expect(await textAt(kv, stream)).to.equal('kept')
    const other = await put(network, 7, write(freshStream(), 'other'))
    expect(other).to.equal(undone)
    expect(await kv.resultOf(other)).to.equal('Commit')
    expect(await textAt(kv, stream)).to.equal('kept')
  })
})
