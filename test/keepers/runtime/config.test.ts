import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { encryptKeystoreJsonSync, Wallet } from 'ethers'
import { z } from 'zod'
import { address, ConfigError, commonFields, configHelp, keyFields, loadConfig, maskUrl, printableConfig } from '../../../keepers/runtime/config.ts'
import { openWallet } from '../../../keepers/runtime/wallet.ts'

const KEY = `0x${'42'.repeat(32)}`

const schema = z.object({
  ...commonFields('test/keeper', 4000),
  ...keyFields,
  flow: address().describe('address of the Flow contract'),
  nodes: z.array(z.url()).default([]).describe('storage nodes'),
  reward: z.bigint().default(5n).describe('wei per answer'),
  mine: z.boolean().default(false),
})

const FLOW = '0x5FbDB2315678afecb367f032d93F642f64180aa3'

describe('the configuration of a keeper', () => {
  let folder: string

  const load = (argv: string[], env: Record<string, string> = {}) => loadConfig('test/keeper', schema, { argv, env })
  const problems = (argv: string[], env: Record<string, string> = {}): readonly string[] => {
    try {
      load(argv, env)
    } catch (error) {
      if (error instanceof ConfigError) return error.problems
      throw error
    }
    return []
  }
  const file = (content: string): string => {
    const path = join(folder, 'config.json')
    writeFileSync(path, content)
    return path
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-config-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('has defaults', () => {
    expect(load(['--flow', FLOW])).to.deep.equal({
      rpcUrl: 'http://127.0.0.1:8545',
      pollMs: 1000,
      dataDir: '.perigee/test/keeper',
      host: '127.0.0.1',
      port: 4000,
      logLevel: 'info',
      flow: FLOW,
      nodes: [],
      reward: 5n,
      mine: false,
    })
  })

  it('reads a flag before the environment, and that before the file', () => {
    const path = file(JSON.stringify({ port: 1, host: 'file', pollMs: 111, flow: FLOW }))
    const config = load(['--config', path, '--port', '3'], { PORT: '2', HOST: 'env' })
    expect(config).to.include({ port: 3, host: 'env', pollMs: 111 })
  })

  it('reads numbers, truth, lists, big integers and addresses from text', () => {
    const config = load(['--flow', FLOW.toLowerCase(), '--nodes', 'http://a:1, http://b:2', '--mine', 'true', '--reward=1000000000000000000000'])
    expect(config).to.deep.include({ flow: FLOW, nodes: ['http://a:1', 'http://b:2'], mine: true, reward: 10n ** 21n })
  })

  it('names everything that is wrong at once: key, value, where it came from, what was expected', () => {
    const path = file(JSON.stringify({ pollms: 5, logLevel: 'loud' }))
    const found = problems(['stray', '--config', path, '--port', 'http', '--colour', 'red'], { RPC_URL: 'ftp://x', FLOW: '0x12' })
    expect(found.join('\n')).to.equal(
      [
        'stray is not a flag of this keeper: see --help',
        '--colour is not a flag of this keeper: see --help',
        `pollms in ${path} is not a key of this keeper: see --help`,
        'rpcUrl is "ftp://x" (from RPC_URL): Invalid URL (JSON-RPC endpoint of the chain)',
        'port is "http" (from --port): Invalid input: expected number, received string (port to listen on; 0 takes a free one)',
        `logLevel is "loud" (from ${path}): Invalid option: expected one of "trace"|"debug"|"info"|"warn"|"error"|"fatal"|"silent" (least severe level that is logged)`,
        'flow is "0x12" (from FLOW): expected a 20-byte hex address (address of the Flow contract)',
      ].join('\n'),
    )
  })

  it('says how to set what is missing', () => {
    expect(problems([])).to.deep.equal([
      'flow is missing: set --flow or FLOW; Invalid input: expected string, received undefined (address of the Flow contract)',
    ])
  })

  it('refuses a mistyped checksum of an address', () => {
    expect(problems(['--flow', FLOW.replace('5Fb', '5fb')])[0]).to.match(/expected a 20-byte hex address/)
  })

  it('refuses a file that is not there, not JSON, or not an object', () => {
    expect(problems(['--flow', FLOW, '--config', join(folder, 'none')])[0]).to.match(/none: ENOENT/)
    expect(problems(['--flow', FLOW, '--config', file('{')])[0]).to.match(/JSON/)
    expect(problems(['--flow', FLOW, '--config', file('[1]')])[0]).to.match(/expected a JSON object/)
  })

  it('takes secrets from the environment only, and never repeats one', () => {
    expect(load(['--flow', FLOW], { PRIVATE_KEY: KEY }).privateKey).to.equal(KEY)
    const path = file(JSON.stringify({ privateKey: KEY }))
    const found = problems(['--flow', FLOW, '--config', path, '--private-key', KEY], { PRIVATE_KEY: '0x1234' })
    expect(found).to.deep.equal([
      '--private-key is a secret: set it in the environment as PRIVATE_KEY',
      `privateKey in ${path} is a secret: set it in the environment as PRIVATE_KEY`,
      'privateKey is a secret (from PRIVATE_KEY): expected 32 bytes in hex (private key to sign with)',
    ])
    const config = load(['--flow', FLOW, '--database-url', 'postgres://me:secret@db/x'], { PRIVATE_KEY: KEY })
    const shown = JSON.stringify(printableConfig(schema, config), (_, value) => (typeof value === 'bigint' ? String(value) : value))
    expect(shown).to.not.include(KEY).and.not.include('secret')
    expect(shown).to.include('postgres://me:***@db/x')
  })

  it('explains every key in its help', () => {
    const help = configHelp('test/keeper', schema)
    expect(help).to.match(/--rpc-url <value> +JSON-RPC endpoint of the chain \(env RPC_URL, default "http:\/\/127.0.0.1:8545"\)/)
    expect(help).to.match(/--flow <value> +address of the Flow contract \(env FLOW\)/)
    expect(help).to.include('PRIVATE_KEY').and.not.include('--private-key')
  })

  it('masks the password of a URL and nothing else', () => {
    expect(maskUrl('redis://:pw@h:1/2')).to.equal('redis://:***@h:1/2')
    expect(maskUrl('http://h:1/x?y=z')).to.equal('http://h:1/x?y=z')
    expect(maskUrl('plain text')).to.equal('plain text')
  })

  describe('its key', () => {
    const refusal = async (config: Parameters<typeof openWallet>[0]): Promise<string> =>
      openWallet(config).then(
        () => 'opened',
        (error: ConfigError) => error.problems[0]!,
      )

    it('is PRIVATE_KEY, with or without 0x', async () => {
      expect((await openWallet({ privateKey: KEY })).privateKey).to.equal(KEY)
      expect((await openWallet({ privateKey: KEY.slice(2) })).privateKey).to.equal(KEY)
    })

    it('or an encrypted keystore', async () => {
      const path = file(encryptKeystoreJsonSync(new Wallet(KEY), 'a password', { scrypt: { N: 1024 } }))
      expect((await openWallet({ keystore: path, keystorePassword: 'a password' })).privateKey).to.equal(KEY)
      expect(await refusal({ keystore: path, keystorePassword: 'another' })).to.match(/config.json could not be opened: .*password/)
      expect(await refusal({ keystore: path })).to.match(/KEYSTORE_PASSWORD/)
      expect(await refusal({ keystore: join(folder, 'none'), keystorePassword: 'x' })).to.match(/ENOENT/)
    })

    it('and not neither or both', async () => {
      expect(await refusal({})).to.equal('no key to sign with: set exactly one of PRIVATE_KEY and --keystore')
      expect(await refusal({ privateKey: KEY, keystore: 'x' })).to.equal('two keys to sign with: set exactly one of PRIVATE_KEY and --keystore')
    })
  })
})
