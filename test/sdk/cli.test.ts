import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { encryptKeystoreJson, Wallet } from 'ethers'
import { FileTree } from '../../protocol/storage/merkle.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'

const launcher = fileURLToPath(new URL('../../sdk/cli/perigee.mjs', import.meta.url))

describe('perigee command line', function () {
  this.timeout(120_000)
  const content = Buffer.from(patternBytes('p2', 600_000))
  const { root } = FileTree.fromBytes(content)
  const key = '5e'.repeat(32)
  let network: Network
  let folder: string
  let devnet: string

  interface Run {
    code: number | null
    out: string
    err: string
  }

  async function perigee(args: string[], { env = {}, input }: { env?: Record<string, string>; input?: Uint8Array } = {}): Promise<Run> {
    const { PATH } = process.env
    const child = spawn(process.execPath, [launcher, ...args], { cwd: folder, env: { PATH, HOME: folder, PERIGEE_NETWORK: devnet, ...env } })
    child.stdin.end(input)
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
    return { code, out, err }
  }

  /** Runs a command that succeeds, and returns its JSON. */
  async function json(args: string[], options?: Parameters<typeof perigee>[1]): Promise<any> {
    const { code, out, err } = await perigee([...args, '--json'], options)
    assert.equal(code, 0, out + err)
    return JSON.parse(out)
  }

  /** Runs a command that fails, and returns its exit code and error. */
  async function failure(args: string[], options?: Parameters<typeof perigee>[1]): Promise<[number | null, string]> {
    const { code, out } = await perigee([...args, '--json'], options)
    return [code, JSON.parse(out).error.code]
  }

  before(async function () {
    this.timeout(120_000)
    network = await startNetwork({ storage: { kv: false } })
    folder = await mkdtemp(join(tmpdir(), 'perigee-cli-'))
    devnet = join(folder, 'devnet.json')
    const { rpcUrl, accounts, contracts, indexer, nodes } = network
    await writeFile(
      devnet,
      JSON.stringify({ chain: { rpcUrl, chainId: 31337, accounts }, contracts, services: { storageIndexer: indexer, storageNodes: nodes } }),
    )
    await writeFile(join(folder, 'file'), content)
  })
  after(async () => {
    await network?.stop()
    if (folder) await rm(folder, { recursive: true })
  })

  it('puts a file with a development account and says so, stores receipts, and gets it back', async () => {
    const put = await perigee(['storage', 'put', 'file'])
    assert.equal(put.code, 0, put.err)
    assert.match(put.err, /Using development account 0x/)
    assert.match(put.out, new RegExp(`^root +${root}$`, 'm'))
    const receipts = JSON.parse(await readFile(/^receipts +(.*)$/m.exec(put.out)![1]!, 'utf8'))
    assert.equal(receipts.length, 2)
    const get = await perigee(['storage', 'get', root, 'copy'])
    assert.equal(get.code, 0, get.err)
    assert.match(get.out, /verified/)
    assert.deepEqual(await readFile(join(folder, 'copy')), content)
  })

  it('pays with PRIVATE_KEY or a keystore, and lists the submissions of that account', async () => {
    const [mine, other] = [network.accounts[9]!, network.accounts[10]!]
    await writeFile(join(folder, 'keystore.json'), await encryptKeystoreJson(other, 'open sesame', { scrypt: { N: 1024 } }))
    const first = await json(['storage', 'put', '-'], { env: { PRIVATE_KEY: mine.privateKey }, input: Buffer.from('one') })
    const second = await json(['storage', 'put', '-', '--keystore', 'keystore.json'], { env: { KEYSTORE_PASSWORD: 'open sesame' }, input: Buffer.from('two') })
    const list = await json(['storage', 'ls'], { env: { PRIVATE_KEY: mine.privateKey } })
    assert.deepEqual(
      list.map(({ root, sender, size, state }: Record<string, unknown>) => ({ root, sender, size, state })),
      [{ root: first.root, sender: mine.address, size: 3, state: 'finalized' }],
    )
    const all = await json(['storage', 'ls', '--all', '--limit', '2'])
    assert.deepEqual(
      all.map(({ seq }: { seq: number }) => seq),
      [second.seq, first.seq],
    )
    assert.deepEqual(await failure(['storage', 'put', 'file', '--keystore', 'keystore.json'], { env: { KEYSTORE_PASSWORD: 'wrong' } }), [2, 'USAGE'])
    const leaky = await perigee(['storage', 'put', 'file'], { env: { PRIVATE_KEY: `${mine.privateKey}00` } })
    assert.equal(leaky.code, 2)
    assert.ok(!(leaky.out + leaky.err).includes(mine.privateKey.slice(2)), 'a key is never printed')
  })

  it('shows a file: size, lease, holders', async () => {
    await json(['storage', 'put', 'file'])
    const info = await json(['storage', 'info', root])
    assert.equal(info.size, content.length)
    assert.equal(info.nodes.length, 2)
    assert.ok(info.paidUntil > Date.now() / 1000)
    assert.equal(info.receipt.root, root)
  })

  it('computes roots, verifies files against them, and verifies what nodes serve', async () => {
    await json(['storage', 'put', 'file'])
    assert.equal((await perigee(['storage', 'root', 'file'])).out, `${root}\n`)
    assert.equal((await json(['storage', 'verify', root, 'file'])).ok, true)
    await writeFile(join(folder, 'other'), content.subarray(1))
    assert.deepEqual(await failure(['storage', 'verify', root, 'other']), [4, 'VERIFICATION_FAILED'])
    const audit = await json(['storage', 'verify', root])
    assert.deepEqual(
      audit.nodes.map(({ ok }: { ok: boolean }) => ok),
      [true, true],
    )
  })

  it('encrypts with a key from the environment or a file, and tells a wrong key', async () => {
    const { root } = await json(['storage', 'put', 'file', '--encrypt'], { env: { ENCRYPTION_KEY: key } })
    await writeFile(join(folder, 'key'), `0x${key}\n`)
    await json(['storage', 'get', root, 'plain', '--decrypt', '--key-file', 'key'])
    assert.deepEqual(await readFile(join(folder, 'plain')), content)
    assert.deepEqual(await failure(['storage', 'get', root, 'plain2', '--decrypt'], { env: { ENCRYPTION_KEY: '00'.repeat(32) } }), [4, 'VERIFICATION_FAILED'])
    const reader = Wallet.createRandom()
    const { root: sealed } = await json(['storage', 'put', 'file', '--encrypt-to', reader.signingKey.compressedPublicKey])
    await json(['storage', 'get', sealed, 'unsealed', '--decrypt'], { env: { PRIVATE_KEY: reader.privateKey } })
    assert.deepEqual(await readFile(join(folder, 'unsealed')), content)
  })

  it('tells by its exit code what went wrong', async () => {
    const nowhere = 'http://127.0.0.1:9'
    assert.equal((await perigee(['storage', 'put'])).code, 2)
    assert.equal((await perigee(['storage', 'frobnicate'])).code, 2)
    assert.deepEqual(await failure(['storage', 'put', 'missing']), [3, 'NOT_FOUND'])
    assert.deepEqual(await failure(['storage', 'get', `0x${'ab'.repeat(32)}`, 'x']), [3, 'NOT_FOUND'])
    assert.deepEqual(await failure(['storage', 'get', root, 'file']), [2, 'USAGE'])
    assert.deepEqual(await failure(['storage', 'put', 'file', '--node', nowhere]), [5, 'NETWORK'])
    assert.deepEqual(await failure(['storage', 'put', '-'], { env: { PRIVATE_KEY: Wallet.createRandom().privateKey }, input: Buffer.from('poor') }), [
      6,
      'CHAIN',
    ])
    assert.deepEqual(await failure(['keeper', 'no/such']), [2, 'USAGE'])
    assert.deepEqual(await failure(['storage', 'ls'], { env: { PERIGEE_NETWORK: join(folder, 'gone.json') } }), [2, 'USAGE'])
  })

  it('reports on every service of the local network, and fails when one is down', async () => {
    const { services } = await json(['devnet', 'status'])
    assert.deepEqual(
      services.map(({ service, ok }: { service: string; ok: boolean }) => [service, ok]),
      [
        ['chain', true],
        ['storageIndexer', true],
        ['storageNodes', true],
        ['storageNodes', true],
      ],
    )
    const broken = join(folder, 'broken.json')
    const described = JSON.parse(await readFile(devnet, 'utf8'))
    await writeFile(broken, JSON.stringify({ ...described, services: { kv: 'http://127.0.0.1:9' } }))
    assert.equal((await perigee(['devnet', 'status', '--network', broken])).code, 5)
  })
})
