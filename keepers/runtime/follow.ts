import { setTimeout as sleep } from 'node:timers/promises'
import type { Log as ChainLog, Filter } from 'ethers'
import type { Transaction as DatabaseTransaction } from 'kysely'
import PQueue from 'p-queue'
import type { Registry } from 'prom-client'
import { type BlockRef, type Chain, shortMessage } from './chain.ts'
import { Cursor } from './cursor.ts'
import type { Database } from './database.ts'
import type { Log } from './log.ts'
import { gauge } from './metrics.ts'

/** Logs of a range of blocks, in chain order. */
export interface LogRange {
  fromBlock: number
  toBlock: number
  logs: ChainLog[]
  /** The blocks that hold the logs, with their times if asked for, and always the last of the range. */
  blocks: ReadonlyMap<number, { number: number; hash: string; timestamp?: number }>
}

export interface FollowOptions {
  chain: Chain
  database: Database
  /** Names the cursor; a keeper may follow several things. */
  name: string
  address: string | string[]
  topics?: Filter['topics']
  /** First block that can hold a log: where the contract was deployed. */
  fromBlock: number
  /** Blocks to stay behind the head; 0 reads up to the head and relies on rollback alone. */
  confirmations: number
  /** Most blocks asked for at once; halved by itself while the endpoint refuses, doubled again when it does not. */
  maxRange?: number
  /** Fetch the time of each block that holds a log. */
  timestamps?: boolean
  /** Stores what the logs mean, in the transaction that moves the cursor. No I/O but the database. */
  apply(trx: DatabaseTransaction<any>, range: LogRange): Promise<void>
  /** Undoes everything stored from blocks after `toBlock`, which may be −1, in the transaction that moves the cursor back. */
  rollback(trx: DatabaseTransaction<any>, toBlock: number): Promise<void>
  log: Log
  metrics: Registry
  signal: AbortSignal
}

export interface Follower {
  /** The last block applied; fromBlock − 1 before the first. */
  position(): number
  /** Why what is stored may be behind the chain, or undefined when it is not. */
  problem(): string | undefined
  /** Resolves when everything up to `block` is applied, at once when it is already; rejects when following ends before. */
  reached(block: number): Promise<void>
  /** Resolves after the signal; rejects when following is impossible: the cursor belongs to another chain. */
  readonly done: Promise<void>
}

/** The id of local chains, which start afresh: there another genesis is no reason to stop. */
const LOCAL_CHAIN_ID = 31337
const MAX_BACKOFF_MS = 10_000
/** Of several nodes behind one address some lag: a head below the cursor is believed when it is seen this often in a row. */
const LOOKS_BEHIND = 3

/**
 * Reads the logs of contracts from the cursor on, range by range, and goes on as the chain grows; undoes what a reorganisation undid.
 * @throws when the cursor belongs to a chain with another genesis, except on 31337, where everything is rolled back
 */
export async function followLogs(options: FollowOptions): Promise<Follower> {
  const follower = new LogFollower(options)
  await follower.load()
  follower.run()
  return follower
}

class OtherChain extends Error {
  override readonly name = 'OtherChain'
}

/** A follower that was at the head this recently is not behind: the blocks since are just being read. */
const LAG_MS = 5000

class LogFollower implements Follower {
  done: Promise<void> = Promise.resolve()
  private readonly options: FollowOptions
  private readonly cursor: Cursor
  private readonly maxRange: number
  private range: number
  private target = Number.POSITIVE_INFINITY
  private caughtUpAt = Number.NEGATIVE_INFINITY
  private behind = 0
  private trouble: string | undefined = 'not started'
  private readonly waiters = new Map<() => void, number>()

  constructor(options: FollowOptions) {
    this.options = options
    const { database, name, chain, fromBlock, maxRange = 10_000, metrics } = options
    this.cursor = new Cursor(database, name, chain.genesisHash, fromBlock - 1)
    this.maxRange = maxRange
    this.range = maxRange
    const position = gauge(metrics, { name: 'chain_position_block', help: 'Last block applied', labelNames: ['follower'] })
    this.cursor.onMove = (number) => position.set({ follower: name }, number)
  }

  position(): number {
    return this.cursor.number
  }

  problem(): string | undefined {
    if (this.trouble !== undefined) return this.trouble
    const behind = this.target - this.cursor.number
    if (Date.now() - this.caughtUpAt < LAG_MS) return undefined
    return behind > 0 ? `${this.options.name} has ${behind} blocks to read` : undefined
  }

  async reached(block: number): Promise<void> {
    if (this.cursor.number >= block) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.waiters.set(resolve, block)
    const stopped = this.done.then(() => {
      throw new Error(`${this.options.name} stopped at block ${this.cursor.number}, before ${block}`)
    })
    await Promise.race([promise, stopped])
  }

  async load(): Promise<void> {
    const { name } = this.options
    await this.cursor.load()
    if (this.cursor.foreign) await this.startAfresh(`${name} was following a chain with genesis ${this.cursor.foreign}`)
  }

  run(): void {
    this.done = this.loop()
    this.done.catch((error: Error) => {
      this.trouble = error.message
      this.options.log.fatal({ err: error, follower: this.options.name }, 'following the chain is impossible')
    })
  }

  private async loop(): Promise<void> {
    const { chain, signal, log, name } = this.options
    let failures = 0
    while (!signal.aborted) {
      let pause = chain.pollMs
      try {
        if (await this.step()) pause = 0
        if (failures > 0) log.info({ follower: name, failures }, 'following the chain again')
        failures = 0
        this.trouble = undefined
        this.wake()
      } catch (error) {
        if (error instanceof OtherChain) throw error
        if (signal.aborted) return
        this.trouble = shortMessage(error)
        if (failures++ === 0) log.warn({ err: error, follower: name }, 'following the chain is interrupted')
        pause = Math.min(chain.pollMs * 2 ** Math.min(failures, 10), MAX_BACKOFF_MS)
      }
      if (pause > 0) await sleep(pause, undefined, { signal }).catch(() => {})
    }
  }

  /** Applies one range, or rolls back. Returns whether there may be more to do at once. */
  private async step(): Promise<boolean> {
    const { chain, confirmations } = this.options
    const head = await chain.head()
    this.target = head.number - confirmations
    if (this.cursor.hash === head.hash) return this.caughtUp()
    if (head.number < this.cursor.number && ++this.behind < LOOKS_BEHIND) return false
    this.behind = 0
    if (!(await this.isOnChain(head))) {
      await this.rollBack()
      return true
    }
    if (this.cursor.number >= this.target) return this.caughtUp()
    const last = Math.min(this.target, this.cursor.number + this.range)
    const end = last === head.number ? head : await this.blockAt(last)
    const logs = await this.fetchLogs(this.cursor.number + 1, end.number)
    // The logs were read at some instant between two looks at the last block: unchanged, and the cursor's block still below it, they belong to it.
    if (!logs || (await this.blockAt(end.number)).hash !== end.hash || !(await this.isOnChain(end))) return true
    await this.apply(end, logs)
    return true
  }

  private caughtUp(): false {
    this.caughtUpAt = Date.now()
    return false
  }

  /** Whether the cursor's block is an ancestor of `later`, itself just seen on the chain. */
  private async isOnChain(later: BlockRef): Promise<boolean> {
    const { number, hash } = this.cursor
    if (hash === undefined) return true
    if (later.number <= number) return later.number === number && later.hash === hash
    if (later.number === number + 1) return later.parentHash === hash
    return (await this.options.chain.block(number))?.hash === hash
  }

  private async blockAt(number: number): Promise<BlockRef> {
    const block = await this.options.chain.block(number)
    // Several nodes behind one address need not agree on the head.
    if (!block) throw new Error(`the endpoint does not know block ${number} any more`)
    return block
  }

  /** Undefined when the endpoint refused the range; the next one is smaller. */
  private async fetchLogs(fromBlock: number, toBlock: number): Promise<ChainLog[] | undefined> {
    const { chain, address, topics, log, name } = this.options
    try {
      const logs = await chain.provider.getLogs({ address, ...(topics ? { topics } : {}), fromBlock, toBlock })
      this.range = Math.min(this.range * 2, this.maxRange)
      return logs.sort((a, b) => a.blockNumber - b.blockNumber || a.index - b.index)
    } catch (error) {
      const blocks = toBlock - fromBlock + 1
      if (blocks === 1 || !mayBeTooMuch(error)) throw error
      this.range = Math.ceil(blocks / 2)
      log.debug({ follower: name, blocks, reason: shortMessage(error) }, 'the endpoint refused a range of blocks')
      return undefined
    }
  }

  private async apply(end: BlockRef, logs: ChainLog[]): Promise<void> {
    const { database, apply } = this.options
    const fromBlock = this.cursor.number + 1
    const blocks = await this.blocksOf(logs, end)
    await database.transaction().execute(async (trx) => {
      await apply(trx, { fromBlock, toBlock: end.number, logs, blocks })
      await this.cursor.advance(trx, end)
    })
    this.cursor.moveTo(end.number, end.hash)
    this.wake()
  }

  private async blocksOf(logs: ChainLog[], end: BlockRef): Promise<LogRange['blocks']> {
    const blocks = new Map<number, { number: number; hash: string; timestamp?: number }>()
    for (const { blockNumber, blockHash } of logs) blocks.set(blockNumber, { number: blockNumber, hash: blockHash })
    if (this.options.timestamps) {
      const requests = new PQueue({ concurrency: 16 })
      await requests.addAll(
        [...blocks.keys()].filter((number) => number !== end.number).map((number) => async () => blocks.set(number, await this.blockAt(number))),
      )
    }
    return blocks.set(end.number, end)
  }

  /** Goes back to the newest checkpoint that is still on the chain. */
  private async rollBack(): Promise<void> {
    const { chain, log, name } = this.options
    const genesis = await chain.block(0)
    if (genesis?.hash !== chain.genesisHash) return this.startAfresh(`the endpoint now serves a chain with genesis ${genesis?.hash}`, genesis?.hash)
    for (const checkpoint of await this.cursor.checkpoints()) {
      if (checkpoint.number >= this.cursor.number) continue
      if ((await chain.block(checkpoint.number))?.hash !== checkpoint.hash) continue
      return this.moveBack(checkpoint.number, checkpoint.hash)
    }
    log.warn({ follower: name, from: this.cursor.number }, 'no block read so far is still on the chain: reading everything again')
    await this.moveBack(this.cursor.start, undefined)
  }

  private async moveBack(number: number, hash: string | undefined): Promise<void> {
    const { database, rollback, log, name } = this.options
    const from = this.cursor.number
    await database.transaction().execute(async (trx) => {
      await rollback(trx, number)
      await this.cursor.retreat(trx, number, hash)
    })
    this.cursor.moveTo(number, hash)
    log.info({ follower: name, from, to: number }, 'the chain was reorganised: rolled back')
  }

  private async startAfresh(what: string, genesis = this.options.chain.genesisHash): Promise<void> {
    const { chain, database, rollback, log, name } = this.options
    if (chain.chainId !== LOCAL_CHAIN_ID) {
      throw new OtherChain(`${what}, but chain ${chain.chainId} at the endpoint has ${genesis}: check rpcUrl, or give this chain a dataDir of its own`)
    }
    log.warn({ follower: name }, `${what}: starting afresh on the local chain`)
    await database.transaction().execute(async (trx) => {
      await rollback(trx, -1)
      await this.cursor.reset(trx, genesis)
    })
    this.cursor.moveTo(this.cursor.start, undefined)
  }

  private wake(): void {
    for (const [resolve, block] of this.waiters) {
      if (this.cursor.number < block) continue
      this.waiters.delete(resolve)
      resolve()
    }
  }
}

/** An endpoint that answers with an error, or not in time, may do better with fewer blocks; one that is away will not. */
function mayBeTooMuch(error: unknown): boolean {
  const { code, response } = error as { code?: string; response?: { statusCode: number } }
  if (code === 'SERVER_ERROR') return response !== undefined && [400, 413, 422].includes(response.statusCode)
  return code !== undefined && !/^(NETWORK_ERROR|CANCELLED|E[A-Z]+)$/.test(code)
}
