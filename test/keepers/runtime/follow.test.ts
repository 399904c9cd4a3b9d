import { expect } from 'chai'
import { Registry } from 'prom-client'
import { type Chain, createChain } from '../../../keepers/runtime/chain.ts'
import { type Database, openDatabase, openPostgres, type Postgres } from '../../../keepers/runtime/database.ts'
import { type Follower, type FollowOptions, followLogs } from '../../../keepers/runtime/follow.ts'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { eventually, rememberingLog } from './quiet.ts'
import { deploy, EMITTER, emit, startTestChain, type TestChain } from './test-chain.ts'

const WEEK_OF_SECONDS = 604_800

describe('following the logs of a contract', () => {
  let dataDir: DataDir
  let postgres: Postgres
  let database: Database
  let chain: TestChain
  let emitter: string
  let stops: (() => Promise<unknown>)[]
  let schemas = 0
  const { log, lines } = rememberingLog()

  const words = async (from = database): Promise<number[]> => {
    const rows = await from.selectFrom('word').select('word').orderBy('block').execute()
    return rows.map(({ word }) => word)
  }

  const connect = async (): Promise<Chain> => {
    const connected = await createChain({ rpcUrl: chain.rpcUrl, pollMs: 20, log })
    stops.push(async () => connected.close())
    return connected
  }

  const follow = async (more: Partial<FollowOptions> = {}): Promise<Follower & { stop(): Promise<void> }> => {
    const controller = new AbortController()
    const follower = await followLogs({
      chain: more.chain ?? (await connect()),
      database,
      name: 'words',
      address: emitter,
      fromBlock: 1,
      confirmations: 0,
      async apply(trx, { logs }) {
        for (const { blockNumber, topics } of logs)
          await trx
            .insertInto('word')
            .values({ block: blockNumber, word: Number(topics[0]) })
            .execute()
      },
      async rollback(trx, toBlock) {
        await trx.deleteFrom('word').where('block', '>', toBlock).execute()
      },
      log,
      metrics: new Registry(),
      signal: controller.signal,
      ...more,
    })
    const stop = async () => {
      controller.abort()
      await follower.done
    }
    stops.push(() => stop().catch(() => {}))
    return Object.assign(follower, { stop })
  }

  const head = async () => Number(await chain.rpc('eth_blockNumber'))

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
    emitter = await deploy(chain, EMITTER)
    database = await openDatabase(postgres, `follow_${schemas++}`, {
      '001': {
        up: (db) =>
          db.schema
            .createTable('word')
            .addColumn('block', 'int8', (column) => column.primaryKey())
            .addColumn('word', 'int8')
            .execute(),
      },
    })
  })
  afterEach(async () => {
    for (const stop of stops.reverse()) await stop()
    await database.destroy()
    await chain.stop()
  })

  it('applies each log once, in order, as the chain grows', async () => {
    await emit(chain, emitter, 1)
    await emit(chain, emitter, 2)
    const follower = await follow()
    await follower.reached(await head())
    expect(await words()).to.deep.equal([1, 2])
    await emit(chain, emitter, 3)
    await follower.reached(await head())
    expect(await words()).to.deep.equal([1, 2, 3])
    expect(follower.problem()).to.equal(undefined)
  })

  it('stays behind the head by the confirmations asked for', async () => {
    const follower = await follow({ confirmations: 3 })
    await emit(chain, emitter, 1)
    const block = await head()
    await chain.rpc('hardhat_mine', ['0x2'])
    await eventually('the follower is two blocks behind the log', () => follower.position() === block - 1)
    expect(await words()).to.deep.equal([])
    await chain.rpc('evm_mine')
    await follower.reached(block)
    expect(await words()).to.deep.equal([1])
  })

  it('reads past a week of idle blocks with a few requests', async () => {
    await chain.rpc('hardhat_mine', [`0x${WEEK_OF_SECONDS.toString(16)}`])
    await emit(chain, emitter, 7)
    chain.calls.clear()
    const follower = await follow()
    await follower.reached(await head())
    expect(await words()).to.deep.equal([7])
    expect(chain.calls.get('eth_getLogs')).to.be.below(100)
    expect([...chain.calls.values()].reduce((a, b) => a + b)).to.be.below(400)
  })

  it('asks for fewer blocks when the endpoint refuses a range, and for more again afterwards', async () => {
    chain.limitRange(7)
    for (let word = 1; word <= 3; word++) {
      await chain.rpc('hardhat_mine', ['0x14'])
      await emit(chain, emitter, word)
    }
    const follower = await follow()
    await follower.reached(await head())
    expect(await words()).to.deep.equal([1, 2, 3])
    chain.limitRange(Number.POSITIVE_INFINITY)
    await chain.rpc('hardhat_mine', ['0x3e8'])
    chain.calls.clear()
    await follower.reached(await head())
    expect(chain.calls.get('eth_getLogs')).to.be.below(15)
  })

  it('undoes three reorganised blocks and applies those that replace them', async () => {
    await emit(chain, emitter, 1)
    const snapshot = await chain.rpc('evm_snapshot')
    const follower = await follow()
    for (const word of [2, 3, 4]) {
      await emit(chain, emitter, word)
      await follower.reached(await head())
    }
    expect(await words()).to.deep.equal([1, 2, 3, 4])
    await chain.rpc('evm_revert', [snapshot])
    for (const word of [5, 6, 7, 8]) await emit(chain, emitter, word)
    await eventually('the new blocks are applied', async () => (await words()).join() === '1,5,6,7,8')
    expect(lines.map(({ message }) => message)).to.include('the chain was reorganised: rolled back')
  })

  it('notices a reorganisation to a shorter chain', async () => {
    await emit(chain, emitter, 1)
    const snapshot = await chain.rpc('evm_snapshot')
    await emit(chain, emitter, 2)
    await emit(chain, emitter, 3)
    const follower = await follow()
    await follower.reached(await head())
    await chain.rpc('evm_revert', [snapshot])
    await eventually('the undone logs are gone', async () => (await words()).join() === '1' || (await words()).length === 0)
    await follower.reached(await head())
    expect(await words()).to.deep.equal([1])
  })

  it('notices a reorganisation that happened while it was not running', async () => {
    await emit(chain, emitter, 1)
    const snapshot = await chain.rpc('evm_snapshot')
    const first = await follow()
    await first.reached(await head())
    await emit(chain, emitter, 2)
    await first.reached(await head())
    await first.stop()
    await chain.rpc('evm_revert', [snapshot])
    for (const word of [3, 4]) await emit(chain, emitter, word)
    await follow()
    await eventually('the new blocks are applied', async () => (await words()).join() === '1,3,4')
  })

  it('goes on from its cursor, applying nothing twice and asking for nothing before it', async () => {
    await emit(chain, emitter, 1)
    const first = await follow()
    await first.reached(await head())
    await first.stop()
    await emit(chain, emitter, 2)
    const from: number[] = []
    const second = await follow({
      async apply(trx, { fromBlock, logs }) {
        from.push(fromBlock)
        for (const { blockNumber, topics } of logs)
          await trx
            .insertInto('word')
            .values({ block: blockNumber, word: Number(topics[0]) })
            .execute()
      },
    })
    const last = await head()
    await second.reached(last)
    expect(from).to.deep.equal([last])
    expect(await words()).to.deep.equal([1, 2])
  })

  it('moves the cursor only together with what was stored: a failed apply is repeated whole', async () => {
    await emit(chain, emitter, 1)
    let failures = 2
    const follower = await follow({
      async apply(trx, { logs }) {
        for (const { blockNumber, topics } of logs)
          await trx
            .insertInto('word')
            .values({ block: blockNumber, word: Number(topics[0]) })
            .execute()
        if (failures-- > 0) throw new Error('the disk is full')
      },
    })
    await eventually('the failure shows', () => follower.problem() === 'the disk is full')
    await follower.reached(await head())
    expect(await words()).to.deep.equal([1])
  })

  it('says that the endpoint is away, and goes on when it is back', async () => {
    const follower = await follow()
    await follower.reached(await head())
    await chain.down()
    await eventually('the outage shows', () => follower.problem() !== undefined)
    expect(follower.problem()).to.match(/ECONNREFUSED|socket hang up|connect/i)
    await chain.up()
    await emit(chain, emitter, 1)
    await follower.reached(await head())
    expect(await words()).to.deep.equal([1])
    expect(follower.problem()).to.equal(undefined)
    const warnings = lines.filter(({ level }) => level === 'warn')
    expect(warnings).to.have.length(1)
  })

  it('waits for an endpoint that is not there yet', async () => {
    await chain.down()
    const following = follow()
    await new Promise((resolve) => setTimeout(resolve, 300))
    await chain.up()
    await (await following).reached(await head())
  })

  it('starts afresh when the local chain was made anew', async () => {
    await emit(chain, emitter, 1)
    const first = await follow()
    await first.reached(await head())
    await first.stop()
    await chain.replace()
    emitter = await deploy(chain, EMITTER)
    await emit(chain, emitter, 9)
    const second = await follow()
    await second.reached(await head())
    expect(await words()).to.deep.equal([9])
  })

  it('starts afresh when the local chain is made anew under it', async () => {
    await emit(chain, emitter, 1)
    const follower = await follow()
    await follower.reached(await head())
    await chain.replace()
    await deploy(chain, EMITTER)
    await emit(chain, emitter, 9)
    await eventually('the new chain is applied', async () => (await words()).join() === '9')
    expect(follower.problem()).to.equal(undefined)
  })

  it('refuses another chain than the one it has followed, except locally', async () => {
    await chain.stop()
    chain = await startTestChain({ chainId: 16661 })
    emitter = await deploy(chain, EMITTER)
    await emit(chain, emitter, 1)
    const first = await follow()
    await first.reached(await head())
    await first.stop()
    await chain.replace()
    const refusal = await follow().catch((error: Error) => error)
    expect(String(refusal)).to.match(/genesis 0x[0-9a-f]{64}.*check rpcUrl/)
    expect(await words()).to.deep.equal([1])
  })

  it('gives the time of each block that holds a log when asked to', async () => {
    await emit(chain, emitter, 1)
    const block = await chain.rpc('eth_getBlockByNumber', ['latest', false])
    await chain.rpc('hardhat_mine', ['0x5'])
    const times = new Map<number, number | undefined>()
    const follower = await follow({
      timestamps: true,
      async apply(_, { blocks, logs }) {
        for (const { blockNumber } of logs) times.set(blockNumber, blocks.get(blockNumber)?.timestamp)
      },
    })
    await follower.reached(await head())
    expect([...times]).to.deep.equal([[Number(block.number), Number(block.timestamp)]])
  })
})
