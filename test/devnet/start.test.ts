import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DevnetFile } from '../../devnet/devnet-file.ts'
import { freePortBase } from '../../devnet/ports.ts'
import { Start, urlsOf } from './start-process.ts'

describe('devnet: npm start', function () {
  this.timeout(240_000)
  let folder: string
  let portBase: string
  let running: Start[]

  const start = (...flags: string[]) => {
    const started = new Start(folder, '--no-tour', '--port-base', portBase, ...flags)
    running.push(started)
    return started
  }
  const call = async (file: DevnetFile, method: string, ...params: unknown[]) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const { result, error } = (await (await fetch(file.chain.rpcUrl, { method: 'POST', body })).json()) as { result: any; error?: unknown }
    assert.equal(error, undefined)
    return result
  }
  const blockHash = async (file: DevnetFile, number: number) => (await call(file, 'eth_getBlockByNumber', `0x${number.toString(16)}`, false)).hash

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-start-'))
    portBase = String(await freePortBase())
    running = []
  })
  afterEach(async () => {
    for (const started of running) await started.exit('SIGKILL')
    // Their children notice by themselves, and let go of the folder.
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
  })

  it('writes devnet.json when everything answers, removes it at Ctrl-C, and comes back with the same chain', async () => {
    const first = start()
    const file = await first.up()
    assert.deepEqual(Object.keys(file), ['chain', 'contracts', 'services'])
    assert.equal(file.chain.chainId, 31337)
    assert.equal(file.chain.rpcUrl, `http://127.0.0.1:${portBase}`)
    for (const address of Object.values(file.contracts)) assert.notEqual(await call(file, 'eth_getCode', address, 'latest'), '0x')
    for (const url of urlsOf(file.services)) assert.deepEqual(await (await fetch(`${url}/readyz`)).json(), { status: 'ready' }, url)
    assert.equal(await call(file, 'eth_getTransactionCount', file.chain.accounts[0]!.address, 'latest'), '0xd', 'account 0 made the compute contracts, no more')
    assert.equal(file.contracts.LedgerManager, '0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0', 'where the public compute client expects it')

    const user = file.chain.accounts[6]!.address
    const hash = await call(file, 'eth_sendTransaction', { from: user, to: user })
    const receipt = await call(file, 'eth_getTransactionReceipt', hash)
    const stopping = Date.now()
    assert.equal(await first.exit('SIGINT'), 0, first.output)
    assert.ok(Date.now() - stopping < 10_000)
    assert.equal(existsSync(join(folder, 'devnet.json')), false)

    const second = start()
    const again = await second.up()
    assert.deepEqual(again, file)
    assert.deepEqual(await call(again, 'eth_getTransactionReceipt', hash), receipt)
    assert.match(second.output, /ready in [\d.]+ s/)
    assert.equal(await second.exit('SIGTERM'), 0)
  })

  it('comes back after kill -9 of everything, and forgets it all with --reset', async () => {
    const first = start('--only', 'storage')
    const file = await first.up()
    const hash = await blockHash(file, 5)
    await first.exit('SIGKILL')
    assert.ok(existsSync(join(folder, 'devnet.json')), 'nobody was there to remove it')
    await orphansGone(file)

    const second = start('--only', 'storage')
    assert.equal(await blockHash(await second.up(), 5), hash)
    await second.exit('SIGINT')

    assert.notEqual(await blockHash(await start('--only', 'storage', '--reset').up(), 5), hash)
  })

  it('says so when a port is taken, when the folder is in use, and when a flag is wrong', async () => {
    const first = start('--only', 'storage')
    await first.up()
    const sameFolder = start('--only', 'storage')
    assert.equal(await sameFolder.exit(), 1)
    assert.match(sameFolder.output, /in use by process \d+.*--dir/s)

    const otherFolder = new Start(join(folder, 'other'), '--no-tour', '--port-base', portBase)
    running.push(otherFolder)
    assert.equal(await otherFolder.exit(), 1)
    assert.match(otherFolder.output, new RegExp(`ports in use: ${portBase} \\(chain\\).*--port-base`))

    for (const [flags, message] of [
      [['--only', 'storage,weather'], /no module "weather"; known: storage/],
      [['--port-base', '65536'], /Expected a port/],
      [['--block-time', 'x'], /Expected a whole number/],
      [['--nope'], /unknown option/],
    ] as const) {
      const wrong = start(...flags)
      assert.notEqual(await wrong.exit(), 0)
      assert.match(wrong.output, message)
    }
    assert.ok(existsSync(join(folder, 'devnet.json')), 'the first one is still up')
  })

  it('stops everything and shows the log when a process dies', async () => {
    const first = start('--only', 'storage')
    const file = await first.up()
    const { pid } = JSON.parse(readFileSync(join(folder, 'logs', 'chain.log'), 'utf8').split('\n')[0]!)
    process.kill(pid, 'SIGKILL')
    assert.equal(await first.exit(), 1)
    assert.match(first.output, /the chain process ended unexpectedly \(SIGKILL\)[\s\S]*chain is up/)
    assert.equal(existsSync(join(folder, 'devnet.json')), false)
    await assert.rejects(fetch(file.chain.rpcUrl))
  })

  /** Children stop when their parent is gone; until then their ports are taken. */
  async function orphansGone(file: DevnetFile) {
    for (const url of [file.chain.rpcUrl, ...Object.values(file.services).flat()])
      while (
        await fetch(url).then(
          () => true,
          () => false,
        )
      )
        await new Promise((resolve) => setTimeout(resolve, 50))
  }
})
