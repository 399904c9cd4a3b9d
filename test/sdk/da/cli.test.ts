import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { parseEther } from 'ethers'
import { createRowCodec } from '../../../codec/rows/index.ts'
import { connectDa } from '../../../sdk/da/contracts.ts'
import { retrieveFromStorage } from '../../../sdk/da/persist.ts'
import { type Network, startNetwork } from '../../support/network.ts'
import { patternBytes } from '../../support/patterns.ts'

const launcher = fileURLToPath(new URL('../../../sdk/cli/perigee.mjs', import.meta.url))

describe('perigee da on a network of four signers', function () {
  this.timeout(120_000)
  const content = Buffer.from(patternBytes('p1', 100_001))
  let network: Network
  let folder: string
  let devnet: string
  let blob: string

  async function perigee(args: string[], { env = {}, input }: { env?: Record<string, string>; input?: Uint8Array } = {}) {
    const { PATH } = process.env
    const child = spawn(process.execPath, [launcher, 'da', ...args], { cwd: folder, env: { PATH, HOME: folder, PERIGEE_NETWORK: devnet, ...env } })
    child.stdin.end(input)
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
    return { code, out, err }
  }
  async function json(args: string[], options?: Parameters<typeof perigee>[1]): Promise<any> {
    const { code, out, err } = await perigee([...args, '--json'], options)
    assert.equal(code, 0, out + err)
    return JSON.parse(out)
  }
  async function failure(args: string[]): Promise<[number | null, string]> {
    const { code, out } = await perigee([...args, '--json'])
    return [code, JSON.parse(out).error.code]
  }

  before(async () => {
    network = await startNetwork({ storage: { nodes: 1, kv: false }, da: {} })
    folder = await mkdtemp(join(tmpdir(), 'perigee-da-'))
    devnet = join(folder, 'devnet.json')
    const { rpcUrl, accounts, contracts, indexer, disperser, retriever } = network
    const services = { storageIndexer: indexer, daDisperser: disperser, daRetriever: retriever.http }
    await writeFile(devnet, JSON.stringify({ chain: { rpcUrl, chainId: 31337, accounts }, contracts, services }))
    await writeFile(join(folder, 'file'), content)
    while ((await fetch(`${retriever.http}/readyz`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 50))
  })
  after(async () => {
    await network?.stop()
    if (folder) await rm(folder, { recursive: true })
  })

  it('publishes a file, stores it, and gives it back from signers and from storage; its status and its samples agree', async () => {
    const put = await perigee(['put', 'file', '--persist'])
    assert.equal(put.code, 0, put.err)
    const field = (name: string): string => new RegExp(`^${name} +(.*)$`, 'm').exec(put.out)![1]!
    const request = field('request')
    blob = field('blob')
    assert.match(put.err, /^dispersing$/m)
    assert.match(field('signed'), /^(100|75).00% of the stake$/)
    assert.equal(field('paid'), 'by the disperser')

    const get = await perigee(['get', blob, '-o', 'copy'])
    assert.equal(get.code, 0, get.err)
    assert.match(get.out, /verified/)
    assert.deepEqual(await readFile(join(folder, 'copy')), content)
    const stored = await json(['get', blob, '-o', 'copy', '--force', '--from-storage', field('storage')])
    assert.deepEqual([stored.size, await readFile(join(folder, 'copy'))], [content.length, content])

    const status = await json(['status', request])
    assert.deepEqual([status.state, status.blobId, status.blob.length, status.certificate.epoch > 0], ['CERTIFIED', blob, content.length, true])
    assert.match((await perigee(['verify', blob])).out, /^samples +(\d+) of \1 .*\nchance +2\^-4\d at most/m)
    // A file of storage is not taken for another blob.
    const codec = createRowCodec({ threads: 0 })
    const other = retrieveFromStorage({ codec }, `0x${'11'.repeat(32)}`, field('storage'), { indexer: network.indexer })
    await assert.rejects(other, { code: 'VERIFICATION_FAILED' })
    await codec.close()
  })

  it('pays for a blob from standard input with what was deposited, and writes it to standard output', async () => {
    const env = { PRIVATE_KEY: network.accounts[9]!.privateKey }
    const before = await json(['deposit', '1.5'], { env })
    assert.deepEqual([before.account, before.available], [network.accounts[9]!.address, String(parseEther('1.5'))])
    const { blobId, fee } = await json(['put', '-', '--pay'], { env, input: Buffer.from('x') })
    assert.ok(BigInt(fee) > 0n)
    const { out } = await perigee(['get', blobId, '-o', '-'])
    assert.equal(out, 'x')
    // The disperser redeems the promise by and by.
    const { payments } = connectDa(network.contracts, network.provider)
    while ((await payments.balanceOf(before.account)).available === parseEther('1.5')) await new Promise((resolve) => setTimeout(resolve, 100))
    const after = await json(['balance', '--account', before.account])
    assert.equal(BigInt(after.available), parseEther('1.5') - BigInt(fee))
  })

  it('a blob outlives half of the signers and no more, and each failure has its exit code', async () => {
    for (const i of [0, 1]) await network.stopKeeper(`da/signer/${i}`)
    const { faults } = await json(['get', blob, '-o', 'late'])
    assert.deepEqual(await readFile(join(folder, 'late')), content)
    assert.ok(faults.length > 0)
    await network.stopKeeper('da/signer/2')
    await network.stopKeeper('da/disperser')
    const outcomes = [
      ['get', blob, '-o', 'later'],
      ['put', 'file'],
      ['put', 'missing'],
    ].map(failure)
    assert.deepEqual(await Promise.all(outcomes), [
      [1, 'FAILED'],
      [5, 'NETWORK'],
      [3, 'NOT_FOUND'],
    ])
  })
})
