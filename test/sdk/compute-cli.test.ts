import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import OpenAI from 'openai'
import { type Network, startNetwork } from '../support/network.ts'

const launcher = fileURLToPath(new URL('../../sdk/cli/perigee.mjs', import.meta.url))

describe('perigee compute', function () {
  this.timeout(120_000)
  let network: Network
  let provider: string

  interface Run {
    code: number | null
    out: string
    err: string
  }

  async function perigee(args: string[], env: Record<string, string> = {}): Promise<Run> {
    const { PATH } = process.env
    const { folder } = network
    const child = spawn(process.execPath, [launcher, 'compute', ...args], {
      cwd: folder,
      env: { PATH, HOME: folder, PERIGEE_NETWORK: join(folder, 'devnet.json'), ...env },
    })
    child.stdin.end()
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
    return { code, out, err }
  }

  /** Runs a command that succeeds, and returns its JSON. */
  async function json(args: string[], env?: Record<string, string>): Promise<any> {
    const { code, out, err } = await perigee([...args, '--json'], env)
    assert.equal(code, 0, out + err)
    return JSON.parse(out)
  }

  before(async () => {
    network = await startNetwork({ storage: false, compute: { providers: 1 } })
    provider = network.providers[0]!.address
    const { rpcUrl, accounts, contracts, folder } = network
    writeFileSync(join(folder, 'devnet.json'), JSON.stringify({ chain: { rpcUrl, chainId: 31337, accounts }, contracts, services: {} }))
  })
  after(() => network?.stop())

  it('lists providers', async () => {
    const [only] = await json(['providers'])
    assert.equal(only.address, provider)
    assert.equal(only.acknowledged, true)
    assert.match((await perigee(['providers'])).out, new RegExp(provider))
  })

  it('says what to do when there is no money, and deposits it', async () => {
    const { code, err } = await perigee(['chat', 'Anything.'])
    assert.equal(code, 6)
    assert.match(err, /perigee compute deposit/)
    const { total, accounts } = await json(['deposit', '5', '--provider', provider])
    assert.equal(total, '5000000000000000000')
    assert.equal(accounts[0].balance, '5000000000000000000')
    assert.equal((await perigee(['deposit', 'much'])).code, 2)
    assert.deepEqual((await json(['balance'])).accounts, accounts)
  })

  it('asks, verifies, and verifies again from what it stored, down to the quote', async () => {
    const { id, content, verdict, receipt } = await json(['chat', 'One thing is said. Another is said. Summarise.'])
    assert.ok(content)
    assert.equal(verdict.ok, true)
    assert.equal((await json(['verify', id])).ok, true)
    const { ok, checks } = await json(['verify', receipt, '--quote'])
    assert.equal(ok, true, JSON.stringify(checks))
    assert.ok(checks.length > verdict.checks.length + 10, 'the quote has checks of its own')
    const told = await perigee(['verify', id])
    assert.match(told.out, /✔ response: /)
    assert.match(told.out, /simulated/, 'and it says what the evidence is')
  })

  it('does not believe an answer that was changed afterwards', async () => {
    const { receipt } = await json(['chat', 'One thing is said. Another is said.'])
    const stored = JSON.parse(readFileSync(receipt, 'utf8'))
    const forged = join(network.folder, 'forged.json')
    writeFileSync(forged, JSON.stringify({ ...stored, responseHash: `0x${'00'.repeat(32)}` }))
    const { code, out } = await perigee(['verify', forged])
    assert.equal(code, 4)
    assert.match(out, /✘ response: /)
    assert.equal((await perigee(['verify', 'nothing-of-this-name'])).code, 3)
  })

  it('makes an API key for any OpenAI client, and revokes it', async () => {
    const { apiKey, baseURL, model } = await json(['key', 'create', provider, '--id', '2', '--cap', '1', '--expires-at', '2099-01-01'])
    const openai = new OpenAI({ apiKey, baseURL, maxRetries: 0 })
    const ask = () => openai.chat.completions.create({ model, messages: [{ role: 'user', content: 'One. Two.' }] })
    assert.ok((await ask()).choices[0]!.message.content)
    await json(['key', 'revoke', provider, '--id', '2'])
    await assert.rejects(ask(), (error: { status?: number }) => error.status === 401)
    assert.equal((await perigee(['key', 'create', provider, '--id', '255'])).code, 2)
  })

  it("shows a provider's money, and takes the user's home as far as it is free", async () => {
    const { bonded } = await json(['provider', 'show', '--account', provider])
    assert.equal(bonded, '100000000000000000000')
    const { withdrawn, waiting } = await json(['refund'])
    assert.equal(withdrawn, '0')
    assert.equal(waiting[0].provider, provider)
    assert.match((await perigee(['refund'])).out, /asked back, to be collected from 20/)
  })

  it('lets a provider leave: its service ends, its stake waits', async () => {
    const key = { PRIVATE_KEY: network.providers[0]!.wallet.privateKey }
    const { bonded, unbonding, unbondsAt } = await json(['provider', 'leave'], key)
    assert.deepEqual([bonded, unbonding], ['0', '100000000000000000000'])
    assert.ok(unbondsAt > Date.now() / 1000 + 13 * 86_400)
    assert.equal((await perigee(['provider', 'collect'], key)).code, 6, 'too early')
    assert.deepEqual(await json(['providers']), [])
  })
})
