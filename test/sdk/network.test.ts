import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findNetwork, PerigeeError, PRESETS } from '../../sdk/index.ts'

describe('sdk: finding the network', () => {
  const devnet = {
    chain: { rpcUrl: 'http://127.0.0.1:1', chainId: 31337 },
    contracts: { Flow: `0x${'1'.repeat(40)}` },
    services: { storageIndexer: 'http://127.0.0.1:2', later: 7 },
  }
  let folder: string
  const code = (expected: string) => (error: unknown) => error instanceof PerigeeError && error.code === expected

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-network-'))
    mkdirSync(join(folder, '.devnet'))
    mkdirSync(join(folder, 'a', 'b'), { recursive: true })
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const write = (content: unknown): string => {
    const file = join(folder, '.devnet', 'devnet.json')
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
    return file
  }

  it('reads the devnet.json of a folder above, services it does not know included', () => {
    const file = write(devnet)
    const network = findNetwork({ cwd: join(folder, 'a', 'b'), env: {} })
    assert.deepEqual(network, { name: 'local', file, ...devnet, chain: { ...devnet.chain, accounts: [] } })
  })

  it('prefers a flag to the environment, and both to the folder', () => {
    const file = write(devnet)
    const env = { PERIGEE_NETWORK: '0g-testnet' }
    assert.equal(findNetwork({ cwd: folder, env }).chain.chainId, 16602)
    assert.equal(findNetwork({ cwd: folder, env, network: '0g-mainnet' }).chain.chainId, 16661)
    assert.equal(findNetwork({ cwd: tmpdir(), env, network: file }).name, 'local')
  })

  it('lets URLs replace what the network says, and needs no network with them', () => {
    write(devnet)
    const replaced = findNetwork({ cwd: folder, env: {}, nodes: ['http://n'] })
    assert.deepEqual([replaced.chain.rpcUrl, replaced.services.storageIndexer, replaced.services.storageNodes], [devnet.chain.rpcUrl, undefined, ['http://n']])
    const bare = findNetwork({ cwd: '/', env: {}, rpcUrl: 'http://r', indexer: 'http://i' })
    assert.deepEqual([bare.chain.rpcUrl, bare.services.storageIndexer, bare.contracts], ['http://r', 'http://i', {}])
  })

  it('says what is wrong: none there, an unknown name, a file that is something else', () => {
    assert.throws(() => findNetwork({ cwd: folder, env: {} }), code('NOT_FOUND'))
    assert.throws(() => findNetwork({ cwd: folder, env: {}, network: 'local' }), code('NOT_FOUND'))
    assert.throws(
      () => findNetwork({ cwd: folder, env: {}, network: 'mars' }),
      (error: PerigeeError) => error.code === 'USAGE' && Object.keys(PRESETS).every((name) => error.message.includes(name)),
    )
    write('{')
    assert.throws(() => findNetwork({ cwd: folder, env: {} }), code('USAGE'))
    write({ ...devnet, contracts: { Flow: 'nonsense' } })
    assert.throws(
      () => findNetwork({ cwd: folder, env: {} }),
      (error: PerigeeError) => error.code === 'USAGE' && error.message.includes('contracts.Flow: not an address'),
    )
  })
})
