import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { JsonRpcProvider } from 'ethers'
import { connect } from '../../deploy/networks.ts'
import { PROFILES } from '../../deploy/profiles.ts'
import { type Chain, startChain } from '../../devnet/chain.ts'
import { StorageMarket__factory } from '../../typechain-types/index.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const NOTICE = 7n * 24n * 3600n

interface Run {
  code: number
  output: string
}

describe('tasks, as an operator runs them', function () {
  this.timeout(120_000)
  let folder: string
  let chain: Chain
  let provider: JsonRpcProvider

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-tasks-'))
    chain = await startChain()
    provider = connect(chain.url)
  })
  after(async () => {
    provider.destroy()
    await chain.stop()
    rmSync(folder, { recursive: true })
  })

  /** `npx hardhat <task> …` */
  const hardhat = (...args: string[]) =>
    new Promise<Run>((resolve) => {
      // Only what an operator's shell has: where CI variables are set, Hardhat adds its stack traces to every error.
      const { PATH, HOME, TMPDIR } = process.env
      const env = { PATH, HOME, TMPDIR, DEVNET_RPC_URL: chain.url, HARDHAT_DISABLE_TELEMETRY: 'true', NO_COLOR: '1' }
      const child = execFile(process.execPath, ['node_modules/hardhat/dist/src/cli.js', ...args], { cwd: ROOT, env }, (_, out, err) =>
        resolve({ code: child.exitCode ?? -1, output: out + err }),
      )
    })
  const onChain = (...args: string[]) => hardhat(...args, '--network', 'devnet', '--book', folder)
  const book = () => readFileSync(join(folder, '31337.json'), 'utf8')
  const contracts = () => (JSON.parse(book()) as { contracts: Record<string, string> }).contracts
  const market = () => StorageMarket__factory.connect(contracts().StorageMarket!, provider)

  it('schedule-price wants a deployment first', async () => {
    const { code, output } = await onChain('schedule-price', '7')
    assert.equal(code, 1, output)
    assert.match(output, /StorageMarket is not in the address book of chain 31337 .*: deploy it first/)
    assert.doesNotMatch(output, /\n\s+at /, 'no stack trace')
  })

  it('deploy refuses a profile that does not exist, and names those that do', async () => {
    const { code, output } = await onChain('deploy', '--profile', 'huge')
    assert.equal(code, 1, output)
    assert.match(output, /no profile "huge"; known: local, small, mainnet/)
    assert.equal(await provider.getBlockNumber(), 0)
  })

  it('deploy refuses a source of randomness that it does not know, and names those it does', async () => {
    const { code, output } = await onChain('deploy', '--profile', 'small', '--randomness', 'dice')
    assert.equal(code, 1, output)
    assert.match(output, /no randomness "dice"; known: prevrandao, evmnet/)
    assert.equal(await provider.getBlockNumber(), 0)
  })

  it('deploy of the small profile says what it does and where it is; a second run changes nothing', async () => {
    const first = await onChain('deploy', '--profile', 'small')
    assert.equal(first.code, 0, first.output)
    assert.match(first.output, /deploy Flow/)
    for (const [name, address] of Object.entries(contracts())) {
      assert.notEqual(await provider.getCode(address), '0x', name)
      assert.equal(first.output.includes(address), !name.endsWith('.implementation'), name)
    }
    assert.equal(await market().pricePerSector(), PROFILES.small!.storage!.pricePerSector)
    assert.equal(await provider.getTransactionCount(chain.accounts[0]!.address), 0, 'account 0 is kept for the compute contracts')

    const before = { block: await provider.getBlockNumber(), book: book() }
    const second = await onChain('deploy', '--profile', 'small')
    assert.equal(second.code, 0, second.output)
    assert.deepEqual({ block: await provider.getBlockNumber(), book: book() }, before)
    assert.doesNotMatch(second.output, /deploy |grant |let /)
    for (const address of [contracts().Flow!, contracts().StorageMarket!]) assert.ok(second.output.includes(address))
  })

  it('deploy without a network rehearses: it leaves no book', async () => {
    const before = book()
    const rehearsal = await hardhat('deploy', '--profile', 'small', '--book', folder)
    assert.equal(rehearsal.code, 0, rehearsal.output)
    assert.match(rehearsal.output, /deploy Flow/)
    assert.equal(book(), before)
  })

  it('deploy takes the randomness it is told to, and no other afterwards', async () => {
    const rehearsal = await hardhat('deploy', '--profile', 'small', '--randomness', 'evmnet', '--book', folder)
    assert.equal(rehearsal.code, 0, rehearsal.output)
    assert.match(rehearsal.output, /deploy Randomness/)
    const { code, output } = await onChain('deploy', '--profile', 'small', '--randomness', 'evmnet')
    assert.equal(code, 1, output)
    assert.match(output, /the seeds of this deployment come from prevrandao/)
  })

  it('schedule-price --proposal sends nothing and prints the call that a timelock would make', async () => {
    const block = await provider.getBlockNumber()
    const { code, output } = await onChain('schedule-price', '123', '--proposal')
    assert.equal(code, 0, output)
    assert.equal(await provider.getBlockNumber(), block)
    const { target, value, data } = JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1))
    assert.deepEqual({ target, value }, { target: contracts().StorageMarket, value: '0' })
    assert.equal(data, market().interface.encodeFunctionData('schedulePrice', [123n]))
    const [governor, anybody] = [chain.accounts[1]!.address, chain.accounts[6]!.address]
    await provider.call({ from: governor, to: target, data })
    await assert.rejects(provider.call({ from: anybody, to: target, data }), /revert/)
  })

  it('schedule-price schedules it, and says from when it is due', async () => {
    const { code, output } = await onChain('schedule-price', '456')
    assert.equal(code, 0, output)
    const [next, effectiveAt] = await market().scheduledPrice()
    assert.equal(next, 456n)
    const { timestamp } = (await provider.getBlock('latest'))!
    assert.ok(effectiveAt >= BigInt(timestamp) + NOTICE, 'uploaders have notice')
    const current = PROFILES.small!.storage!.pricePerSector
    assert.equal(await market().pricePerSector(), current)
    assert.ok(output.includes(`456 wei per sector from ${new Date(Number(effectiveAt) * 1000).toISOString()}; now ${current}`), output)

    const wrong = await onChain('schedule-price', '1e18')
    assert.equal(wrong.code, 1)
    assert.match(wrong.output, /the price must be a whole number of wei, got "1e18"/)
  })

  it('schedule-price tells why the market refuses a price', async () => {
    const { code, output } = await onChain('schedule-price', (1n << 96n).toString())
    assert.equal(code, 1, output)
    assert.match(output, /PriceTooHigh/)
    assert.doesNotMatch(output, /\n\s+at /, 'no stack trace')
    assert.equal((await market().scheduledPrice()).price, 456n)
  })

  it('sizes lists every contract that is deployed, the largest first, all within the limit', async () => {
    const { code, output } = await hardhat('sizes')
    assert.equal(code, 0, output)
    const sizes = [...output.matchAll(/^ *(\d+) +(\d+) % {2}contracts\/\S+:(\w+)$/gm)].map(([, bytes, , name]) => ({ bytes: Number(bytes), name }))
    for (const [name, address] of Object.entries(contracts())) {
      if (!name.endsWith('.implementation')) continue
      const deployed = ((await provider.getCode(address)).length - 2) / 2
      assert.equal(sizes.find((size) => `${size.name}.implementation` === name)?.bytes, deployed, name)
    }
    assert.deepEqual(
      sizes,
      sizes.toSorted((a, b) => b.bytes - a.bytes),
    )
    assert.ok(sizes.every(({ bytes }) => bytes <= 24_576))
  })
})
