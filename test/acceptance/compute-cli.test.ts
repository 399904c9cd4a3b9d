import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import OpenAI from 'openai'
import { freePorts } from '../../devnet/ports.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { until } from '../support/until.ts'

const CLI = fileURLToPath(new URL('../../node_modules/@0gfoundation/0g-compute-ts-sdk/cli.commonjs/cli/index.js', import.meta.url))

/** The command line of npm @0gfoundation/0g-compute-ts-sdk 0.9.0, unmodified and without a flag for any contract. */
describe('compute: the public command line', function () {
  this.timeout(180_000)
  let network: Network
  let home: string
  let provider: string

  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'perigee-cli-home-'))
    network = await startNetwork({ storage: false, compute: { providers: 1 } })
    provider = network.providers[0]!.address
    mkdirSync(join(home, '.0g-compute-cli'))
    writeFileSync(
      join(home, '.0g-compute-cli', 'config.json'),
      JSON.stringify({ privateKey: network.accounts[7]!.privateKey, rpcEndpoint: network.rpcUrl, network: 'local' }),
    )
  })
  after(async () => {
    await network?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  function start(...args: string[]): ChildProcess {
    const { PATH } = process.env
    return spawn(process.execPath, [CLI, ...args], {
      cwd: home,
      env: { PATH, HOME: home, RPC_ENDPOINT: network.rpcUrl, NO_COLOR: '1', NO_UPDATE_NOTIFIER: '1' },
    })
  }

  /** Runs a command that succeeds and gives what it printed. */
  async function cli(...args: string[]): Promise<string> {
    const child = start(...args)
    child.stdin!.end()
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [out, err, code] = await Promise.all([text(child.stdout!), text(child.stderr!), exit])
    assert.equal(code, 0, `${args.join(' ')}\n${out}\n${err}`)
    return out
  }

  it('lists the provider', async () => {
    const out = await cli('inference', 'list-providers')
    assert.ok(out.includes(provider), out)
    assert.match(out, /TeeML/)
  })

  it('opens an account, adds to it, funds the provider and acknowledges it', async () => {
    await cli('add-account', '--amount', '4')
    await cli('deposit', '--amount', '4')
    await cli('transfer-fund', '--provider', provider, '--amount', '4', '--service', 'inference')
    await cli('inference', 'acknowledge-provider', '--provider', provider)
    assert.match(await cli('get-account'), /8\.0/)
    assert.match(await cli('get-sub-account', '--provider', provider, '--service', 'inference'), /4\.0/)
  })

  it('makes an API key for an OpenAI client, and revokes it', async () => {
    const out = await cli('inference', 'get-secret', '--provider', provider, '--token-id', '3', '--duration', '0')
    const [apiKey] = out.match(/app-sk-[A-Za-z0-9+/=]+/) ?? assert.fail(out)
    const { url } = network.providers[0]!
    const openai = new OpenAI({ baseURL: `${url}/v1/proxy`, apiKey, maxRetries: 0 })
    const [model] = (await openai.models.list()).data
    const ask = () => openai.chat.completions.create({ model: model!.id, messages: [{ role: 'user', content: 'One. Two. Three.' }] })
    assert.ok((await ask()).choices[0]!.message.content)
    await cli('inference', 'revoke-token', '--provider', provider, '--token-id', '3')
    await until(
      () =>
        ask().then(
          () => undefined,
          (error) => error.status === 401 || undefined,
        ),
      'the key is refused',
    )
  })

  it('says which models there are, and verifies the service', async () => {
    assert.match(await cli('inference', 'get-models', '--provider', provider), /perigee/)
    assert.match(await cli('inference', 'verify', '--provider', provider, '--output-dir', home), /match|passed|✓/i)
  })

  it('serves a local OpenAI endpoint that pays for what it passes on', async () => {
    const [port] = await freePorts(1)
    const serving = start('inference', 'serve', '--provider', provider, '--host', '127.0.0.1', '--port', String(port))
    try {
      const openai = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'none', maxRetries: 0 })
      const stream = await until(
        () =>
          openai.chat.completions
            .create({ model: 'perigee-extractive-summariser', stream: true, messages: [{ role: 'user', content: 'One thing is said. Another is said.' }] })
            .catch((error) => (error instanceof OpenAI.APIConnectionError ? undefined : Promise.reject(error))),
        'the endpoint listens',
      )
      let said = ''
      for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? ''
      assert.ok(said.length > 0)
    } finally {
      serving.kill('SIGKILL')
    }
  })

  it('asks money back', async () => {
    await cli('retrieve-fund', '--service', 'inference', '--provider', provider)
    const { inference } = network.compute
    const { balance, pendingRefund } = await inference.getAccount(network.accounts[7]!.address, provider)
    assert.equal(pendingRefund, balance)
  })
})
