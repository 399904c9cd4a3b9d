import { expect } from 'chai'
import { FeeData, Interface, parseEther, toBeHex, Wallet } from 'ethers'
import { Registry } from 'prom-client'
import { createChain } from '../../../keepers/runtime/chain.ts'
import { type Database, openDatabase, openPostgres, type Postgres } from '../../../keepers/runtime/database.ts'
import { Reverted } from '../../../keepers/runtime/revert.ts'
import { createSender, InsufficientFunds, type Sender, type SenderOptions } from '../../../keepers/runtime/sender.ts'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { eventually, rememberingLog } from './quiet.ts'
import { deploy, EMITTER, EXPIRING, REVERTER, startTestChain, type TestChain } from './test-chain.ts'

const errors = new Interface(['error TooEarly(uint256 block, uint256 opens)', 'error Paused()'])
const TOO_EARLY = errors.encodeErrorResult('TooEarly', [7, 12])
const WORD = `0x${'11'.repeat(32)}`

describe('sending transactions', () => {
  let dataDir: DataDir
  let postgres: Postgres
  let database: Database
  let chain: TestChain
  let wallet: Wallet
  let stops: (() => Promise<unknown>)[]
  let schemas = 0
  const { log, lines } = rememberingLog()

  const open = async (more: Partial<SenderOptions> = {}): Promise<Sender> => {
    const connected = await createChain({ rpcUrl: chain.rpcUrl, pollMs: 20, log })
    const sender = await createSender({
      chain: connected,
      wallet,
      database,
      interfaces: [errors],
      advice: { TooEarly: 'wait for the block it opens at' },
      log,
      metrics: new Registry(),
      signal: new AbortController().signal,
      ...more,
    })
    stops.push(async () => {
      await sender.close()
      connected.close()
    })
    return sender
  }

  const nonce = async () => Number(await chain.rpc('eth_getTransactionCount', [wallet.address, 'latest']))
  const inPool = async () =>
    (await chain.rpc('eth_getBlockByNumber', ['pending', true])).transactions as { hash: string; maxFeePerGas: string; nonce: string }[]
  const complaints = () => lines.filter(({ level }) => level === 'error')

  before(async function () {
    this.timeout(60_000)
    dataDir = await newDataDir()
    postgres = await openPostgres({ dataDir: dataDir.path, log })
  })
  after(async () => {
    await postgres.close()
    dataDir.remove()
  })

  beforeEach(async () => {
    lines.length = 0
    stops = []
    chain = await startTestChain()
    wallet = new Wallet(Wallet.createRandom().privateKey)
    await chain.rpc('hardhat_setBalance', [wallet.address, `0x${parseEther('10').toString(16)}`])
    database = await openDatabase(postgres, `send_${schemas++}`, {})
  })
  afterEach(async () => {
    for (const stop of stops.reverse()) await stop()
    await database.destroy()
    await chain.stop()
  })

  it('gives concurrent transactions consecutive nonces', async () => {
    const to = await deploy(chain, EMITTER)
    const sender = await open()
    const receipts = await Promise.all(Array.from({ length: 20 }, (_, i) => sender.send({ key: `emit ${i}`, to, data: WORD })))
    expect(new Set(receipts.map(({ hash }) => hash)).size).to.equal(20)
    expect(await nonce()).to.equal(20)
  })

  it('sends a key once, however often it is asked for, now or after a restart', async () => {
    const to = await deploy(chain, EMITTER)
    const sender = await open()
    const [first, second] = await Promise.all([sender.send({ key: 'a', to, data: WORD }), sender.send({ key: 'a', to, data: WORD })])
    expect(second.hash).to.equal(first.hash)
    const third = await (await open()).send({ key: 'a', to, data: WORD })
    expect(third.hash).to.equal(first.hash)
    expect(await nonce()).to.equal(1)
  })

  it('takes up a transaction that was signed but not broadcast before a crash', async () => {
    const to = await deploy(chain, EMITTER)
    const first = await open()
    // The node goes away in the instant of the broadcast: whether it has the transaction is unknown.
    const connected = await createChain({ rpcUrl: chain.rpcUrl, pollMs: 20, log })
    connected.provider.broadcastTransaction = async () => {
      throw Object.assign(new Error('connection reset'), { code: 'ECONNRESET' })
    }
    await first.close()
    const crashing = await open({ chain: connected })
    const outcome = crashing.send({ key: 'a', to, data: WORD }).catch((error: Error) => error)
    await eventually('it is signed', async () => (await database.selectFrom('sent_transaction').selectAll().execute()).length === 1)
    await crashing.close()
    await outcome
    expect(await nonce()).to.equal(0)
    const receipt = await (await open({ stuckMs: 50 })).send({ key: 'a', to, data: WORD })
    expect(receipt.status).to.equal(1)
    expect(await nonce()).to.equal(1)
  })

  it('refuses a call that would revert before it costs anything, and says why once', async () => {
    const to = await deploy(chain, REVERTER)
    const sender = await open()
    for (let i = 0; i < 3; i++) {
      const error = await sender.send({ key: 'a', to, data: TOO_EARLY }).catch((error: unknown) => error)
      expect(error).to.be.instanceOf(Reverted)
      expect((error as Reverted).error).to.equal('TooEarly')
      expect((error as Reverted).args).to.deep.equal([7n, 12n])
    }
    expect(await nonce()).to.equal(0)
    expect(complaints()).to.have.length(1)
    expect(complaints()[0]!.facts).to.include({ error: 'TooEarly', advice: 'wait for the block it opens at' })
  })

  it('does not call an expected refusal an error', async () => {
    const to = await deploy(chain, REVERTER)
    const sender = await open({ expected: ['TooEarly'] })
    const refusal = (data: string) => sender.send({ key: 'a', to, data }).catch((error: unknown) => (error as Reverted).error)
    expect(await refusal(TOO_EARLY)).to.equal('TooEarly')
    expect(await refusal(TOO_EARLY)).to.equal('TooEarly')
    expect(await refusal(errors.encodeErrorResult('Paused', []))).to.equal('Paused')
    expect(complaints().map(({ facts }) => facts.error)).to.deep.equal(['Paused'])
    expect(lines.filter(({ level, facts }) => level === 'info' && facts.error === 'TooEarly')).to.have.length(1)
  })

  it('reports a revert that only happens on chain, decoded, with its hash', async () => {
    const to = await deploy(chain, EXPIRING)
    await chain.rpc('evm_setAutomine', [false])
    const { timestamp } = await chain.rpc('eth_getBlockByNumber', ['latest', false])
    const expiry = Number(timestamp) + 1000
    const sender = await open()
    const data = toBeHex(expiry, 32) + errors.encodeErrorResult('Paused', []).slice(2)
    const outcome = sender.send({ key: 'a', to, data }).catch((error: unknown) => error)
    await eventually('it is in the pool', async () => (await inPool()).length === 1)
    await chain.rpc('evm_setNextBlockTimestamp', [expiry])
    await chain.rpc('evm_mine')
    const reason = (await outcome) as Reverted
    expect(reason).to.be.instanceOf(Reverted)
    expect(reason.error).to.equal('Paused')
    expect(reason.hash).to.match(/^0x[0-9a-f]{64}$/)
    expect(complaints()).to.have.length(1)
  })

  it('replaces a stuck transaction by one that pays more, of the same nonce', async () => {
    const to = await deploy(chain, EMITTER)
    await chain.rpc('evm_setAutomine', [false])
    const sender = await open({ stuckMs: 150 })
    const sent = sender.send({ key: 'a', to, data: WORD })
    await eventually('it is in the pool', async () => (await inPool()).length === 1)
    const before = (await inPool())[0]!
    await eventually('it is replaced', async () => (await inPool())[0]!.hash !== before.hash)
    const after = (await inPool())[0]!
    expect(after.nonce).to.equal(before.nonce)
    expect(Number(after.maxFeePerGas)).to.be.at.least(Number(before.maxFeePerGas) * 1.125)
    await chain.rpc('evm_mine')
    expect((await sent).status).to.equal(1)
    expect(await nonce()).to.equal(1)
  })

  it('never pays more for gas than allowed', async () => {
    const to = await deploy(chain, EMITTER)
    await chain.rpc('evm_setAutomine', [false])
    const cap = 3_000_000_000n
    const sender = await open({ stuckMs: 50, maxFeePerGas: cap })
    const sent = sender.send({ key: 'a', to, data: WORD })
    await eventually('the limit is met', () => lines.some(({ message }) => message.includes('may not pay more')))
    for (const { maxFeePerGas } of await inPool()) expect(BigInt(maxFeePerGas) <= cap).to.equal(true)
    await chain.rpc('evm_mine')
    await sent
  })

  it('waits for the confirmations asked for', async () => {
    const to = await deploy(chain, EMITTER)
    const sender = await open({ confirmations: 3 })
    let settled = false
    const sent = sender.send({ key: 'a', to, data: WORD }).finally(() => {
      settled = true
    })
    await eventually('it is mined', async () => (await nonce()) === 1)
    await chain.rpc('evm_mine')
    chain.calls.clear()
    await eventually('the receipt was looked at again', () => (chain.calls.get('eth_getTransactionReceipt') ?? 0) > 2)
    expect(settled).to.equal(false)
    await chain.rpc('evm_mine')
    expect((await sent).status).to.equal(1)
  })

  it('sends again when a reorganisation undid the transaction and its nonce went elsewhere', async () => {
    const to = await deploy(chain, EMITTER)
    const snapshot = await chain.rpc('evm_snapshot')
    const sender = await open({ confirmations: 2 })
    const sent = sender.send({ key: 'a', to, data: WORD })
    await eventually('it is mined', async () => (await nonce()) === 1)
    await chain.rpc('evm_revert', [snapshot])
    const raw = await wallet.signTransaction({
      chainId: 31337,
      to,
      data: WORD,
      nonce: 0,
      gasLimit: 100_000,
      maxFeePerGas: 10n ** 10n,
      maxPriorityFeePerGas: 1n,
      type: 2,
    })
    await chain.rpc('eth_sendRawTransaction', [raw])
    await eventually('another transaction is sent', async () => {
      await chain.rpc('evm_mine')
      return (await nonce()) === 2
    })
    await chain.rpc('evm_mine')
    expect((await sent).status).to.equal(1)
  })

  it('sends the same transaction again when a reorganisation undid a confirmed one', async () => {
    const to = await deploy(chain, EMITTER)
    const snapshot = await chain.rpc('evm_snapshot')
    const sender = await open()
    const first = await sender.send({ key: 'a', to, data: WORD })
    await chain.rpc('evm_revert', [snapshot])
    await chain.rpc('evm_mine')
    const second = await sender.send({ key: 'a', to, data: WORD })
    expect(second.hash).to.equal(first.hash)
    expect(second.blockNumber).to.equal(first.blockNumber + 1)
    expect(await nonce()).to.equal(1)
  })

  it('says what an empty account needs, and works once it is funded', async () => {
    const to = await deploy(chain, EMITTER)
    await chain.rpc('hardhat_setBalance', [wallet.address, '0x0'])
    const sender = await open()
    const error = await sender.send({ key: 'a', to, data: WORD }).catch((error: Error) => error)
    expect(error).to.be.instanceOf(InsufficientFunds)
    expect((error as Error).message).to.match(new RegExp(`^${wallet.address} has 0\\.0 and needs up to 0\\.\\d+: fund it$`))
    expect(sender.problem()).to.equal((error as Error).message)
    await chain.rpc('hardhat_setBalance', [wallet.address, `0x${parseEther('1').toString(16)}`])
    expect((await sender.send({ key: 'a', to, data: WORD })).status).to.equal(1)
    expect(sender.problem()).to.equal(undefined)
  })

  it('bears an endpoint that goes away while it waits', async () => {
    const to = await deploy(chain, EMITTER)
    await chain.rpc('evm_setAutomine', [false])
    const sender = await open()
    const sent = sender.send({ key: 'a', to, data: WORD })
    await eventually('it is in the pool', async () => (await inPool()).length === 1)
    await chain.down()
    await eventually('the outage shows', () => sender.problem() !== undefined)
    await chain.rpc('evm_mine')
    await chain.up()
    expect((await sent).status).to.equal(1)
    expect(sender.problem()).to.equal(undefined)
  })

  it('pays a plain gas price on a chain without EIP-1559', async () => {
    const to = await deploy(chain, EMITTER)
    const connected = await createChain({ rpcUrl: chain.rpcUrl, pollMs: 20, log })
    const { getFeeData } = connected.provider
    connected.provider.getFeeData = async () => new FeeData((await getFeeData.call(connected.provider)).gasPrice)
    const receipt = await (await open({ chain: connected })).send({ key: 'a', to, data: WORD })
    expect((await chain.rpc('eth_getTransactionByHash', [receipt.hash])).type).to.equal('0x0')
  })
})
