// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { JsonRpcProvider, Wallet } from 'ethers'
import type { DevnetFile } from '../../devnet/devnet-file.ts'
import { freePorts } from '../../devnet/ports.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** `npm start -- …` without npm. */
class Start {
  readonly #process: ChildProcess
  readonly #file: string
  output = ''

  constructor(folder: string, ...flags: string[]) {
    this.#file = join(folder, 'devnet.json')
    this.#process = spawn(process.execPath, ['--import', './scripts/ts.mjs', 'devnet/main.ts', '--no-tour', '--dir', folder, ...flags], { cwd: ROOT })
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.on('data', (chunk) => {
        this.output += chunk
      })
  }

  /** The network's file, once it is there. */
  async up(): Promise<DevnetFile> {
    for (;;) {
      assert.equal(this.#process.exitCode, null, this.output)
      if (existsSync(this.#file)) return JSON.parse(readFileSync(this.#file, 'utf8')) as DevnetFile
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async exit(signal?: NodeJS.Signals): Promise<number | null> {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) return exitCode
    if (signal) this.#process.kill(signal)
    const [code] = await once(this.#process, 'exit')
    return code
  }
}

describe('devnet: npm start', function () {
  this.timeout(240_000)
  let folder: string
  let portBase: string
  let running: Start[]

  const start = (...flags: string[]) => {
    const started = new Start(folder, '--port-base', portBase, ...flags)
    running.push(started)
    return started
  }
  const connect = (file: DevnetFile) => new JsonRpcProvider(file.chain.rpcUrl, undefined, { cacheTimeout: -1 })

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-start-'))
    // The last port is the base plus less than a hundred.
    portBase = String(Math.min((await freePorts(1))[0]!, 65_000))
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
    const provider = connect(file)
    for (const address of Object.values(file.contracts)) assert.notEqual(await provider.getCode(address), '0x')
    for (const url of Object.values(file.services).flat()) assert.equal((await fetch(`${url}/readyz`)).status, 200, url)
    assert.equal(await provider.getTransactionCount(file.chain.accounts[0]!.address), 0, 'account 0 is kept for the compute contracts')

    const user = new Wallet(file.chain.accounts[6]!.privateKey, provider)
    const receipt = await (await user.sendTransaction({ to: user.address })).wait()
    provider.destroy()
    const stopping = Date.now()
    assert.equal(await first.exit('SIGINT'), 0, first.output)
    assert.ok(Date.now() - stopping < 10_000)
    assert.equal(existsSync(join(folder, 'devnet.json')), false)

    const second = start()
    const again = await second.up()
    assert.deepEqual(again, file)
    const back = connect(again)
    assert.equal((await back.getBlock(receipt!.blockNumber))!.hash, receipt!.blockHash)
    back.destroy()
    assert.match(second.output, /ready in [\d.]+ s/)
    assert.equal(await second.exit('SIGTERM'), 0)
  })

  it('comes back after kill -9 of everything, and forgets it all with --reset', async () => {
    const first = start()
    const file = await first.up()
    const provider = connect(file)
    const hash = (await provider.getBlock(5))!.hash
    provider.destroy()
    await first.exit('SIGKILL')
    assert.ok(existsSync(join(folder, 'devnet.json')), 'nobody was there to remove it')
    await orphansGone(file)

    const second = start()
    const back = connect(await second.up())
    assert.equal((await back.getBlock(5))!.hash, hash)
    back.destroy()
    await second.exit('SIGINT')

    const third = connect(await start('--reset').up())
    assert.notEqual((await third.getBlock(5))!.hash, hash)
    third.destroy()
  })

  it('says so when a port is taken, when the folder is in use, and when a flag is wrong', async () => {
    const first = start()
    await first.up()
    const sameFolder = start()
    assert.equal(await sameFolder.exit(), 1)
    assert.match(sameFolder.output, /in use by process \d+.*--dir/s)

    const otherFolder = new Start(join(folder, 'other'), '--port-base', portBase)
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
    const first = start()
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
