import PQueue from 'p-queue'
import { Evm, quantity } from './evm.ts'
import { type Call, type Entry, Journal } from './journal.ts'

export interface BlockchainOptions {
  /** File that makes the chain survive a restart; without it the chain lives in memory only. */
  journal?: string
  chainId: number
  hardfork: string
  /** Seconds between idle blocks; 0 mines a block only for a transaction. */
  blockTime: number
  /** Told, once, when idle blocks can't be mined any more. */
  onFailure: (error: Error) => void
}

const MINING = new Set(['eth_sendTransaction', 'eth_sendRawTransaction', 'evm_mine', 'hardhat_mine'])
/** Of the two families of methods that change a development chain, those that only read. */
const READING = new Set(['hardhat_getAutomine', 'hardhat_metadata', 'hardhat_setLoggingEnabled'])

/**
 * After so many seconds without a change, idle blocks come so many at a time, with the numbers and times they would have had one by one. Such a
 * round is reserved by the EVM instead of built, and a week of them is replayed within a second.
 */
const QUIET = [
  { after: 1800, round: 300 },
  { after: 120, round: 30 },
]
/** More blocks than this are never mined one by one. */
const MOST_SINGLE_BLOCKS = 30

class InvalidParams extends Error {
  readonly code = -32602
}
class Unsupported extends Error {
  readonly code = -32004
}

/**
 * A development chain: the EVM, its clock, and the journal of what changed it.
 *
 * Every block's timestamp is set here and journaled, never taken from the EVM's own clock, which is what makes a replay exact. The clock is the
 * wall clock plus whatever time travel added. Calls that change the chain run one at a time; a call is journaled after it succeeded and before
 * it is answered. Snapshots and reverts are journaled and replayed like any other change.
 */
export class Blockchain {
  readonly #evm: Evm
  readonly #journal: Journal | undefined
  readonly #blockTime: number
  readonly #writes = new PQueue({ concurrency: 1 })
  readonly #snapshots = new Map<string, { ahead: number; next: number | undefined }>()
  /** Seconds the chain's clock is ahead of the wall clock. */
  #ahead = 0
  /** Timestamp asked for by evm_setNextBlockTimestamp. Idle blocks wait for the block that takes it. */
  #next: number | undefined
  #changedAt = 0
  #timer: NodeJS.Timeout | undefined
  #failure: Error | undefined

  private constructor(evm: Evm, journal: Journal | undefined, blockTime: number) {
    this.#evm = evm
    this.#journal = journal
    this.#blockTime = blockTime
  }

  static async open({ journal: path, chainId, hardfork, blockTime, onFailure }: BlockchainOptions): Promise<Blockchain> {
    // Whole seconds: blocks have no finer time.
    const fresh = { genesisTime: new Date(Math.floor(Date.now() / 1000) * 1000).toISOString(), chainId, hardfork }
    const { journal, entries } = path ? Journal.open(path, fresh) : { journal: undefined, entries: [] }
    try {
      if (journal && journal.header.chainId !== chainId) throw new Error(`${path} is of chain id ${journal.header.chainId}, not ${chainId}`)
      const chain = new Blockchain(await Evm.create(journal?.header ?? fresh), journal, blockTime)
      for (const [i, entry] of entries.entries()) await chain.#replay(entry, `${path}, line ${i + 2}`)
      chain.#stayActive()
      // The gap since the last block is filled before anyone can ask.
      await chain.#mineIdle(chain.#now())
      if (blockTime > 0) chain.#timer = setInterval(() => void chain.#exclusive(() => chain.#tick()).catch((error: Error) => onFailure(error)), 1000)
      return chain
    } catch (error) {
      journal?.close()
      throw error
    }
  }

  get blockNumber(): number {
    return this.#evm.head.number
  }

  /** Answers a JSON-RPC call. Throws errors that carry `code` and, for a revert, `data`. */
  async request(method: string, params: unknown[]): Promise<unknown> {
    if (method === 'hardhat_reset') throw new Unsupported('hardhat_reset would drop the journal: stop the network and start it with --reset')
    if (method === 'evm_setIntervalMining') throw new Unsupported('the block time is fixed when the chain starts (--block-time)')
    if (MINING.has(method)) return this.#exclusive(() => this.#mine(method, params))
    if (/^(evm|hardhat)_/.test(method) && !READING.has(method)) return this.#exclusive(() => this.#change({ call: method, params }))
    return this.#evm.request(method, params)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writes.onIdle()
    this.#journal?.close()
    await this.#evm.close()
  }

  /** Runs a change after those before it. Once the journal has failed, what is in memory would not come back: no more changes are taken. */
  #exclusive<T>(change: () => Promise<T>): Promise<T> {
    return this.#writes.add(async () => {
      if (this.#failure) throw this.#failure
      return change()
    })
  }

  #log(write: (journal: Journal) => void): void {
    try {
      if (this.#journal) write(this.#journal)
    } catch (error) {
      clearInterval(this.#timer)
      this.#failure = new Error(`the chain takes no more changes, its journal could not be written: ${(error as Error).message}`)
      throw this.#failure
    }
  }

  #now(): number {
    return Math.floor(Date.now() / 1000) + this.#ahead
  }

  async #mine(method: string, params: unknown[]): Promise<unknown> {
    this.#stayActive()
    if (this.#next === undefined) await this.#mineIdle(this.#now() - this.#blockTime)
    const time = this.#next ?? Math.max(this.#now(), this.#evm.head.time)
    const call = withExplicitTime(method, params, time)
    const asked = this.#next !== undefined || call.time !== time
    let answer: { result: unknown } | { error: unknown }
    try {
      answer = { result: await this.#evm.apply(call) }
    } catch (error) {
      answer = { error }
    }
    // With automining off a transaction only joins the pool; a refused one changes nothing and is forgotten.
    const moved = await this.#evm.refresh()
    if (moved) call.head = shortHash(this.#evm.head.hash)
    if (moved || 'result' in answer) this.#record(call, moved, asked)
    if ('error' in answer) throw answer.error
    return answer.result
  }

  #record(call: Call, moved: boolean, asked: boolean): void {
    const before = this.#ahead
    if (moved) this.#followHead(asked)
    this.#log((journal) => journal.append(call, ...(this.#ahead === before ? [] : [{ clock: this.#ahead }])))
  }

  /** A block at a time that was asked for sets the clock; one that is ahead of the clock (hardhat_mine) moves it forward. */
  #followHead(asked: boolean): void {
    const lead = this.#evm.head.time - this.#now()
    if (asked || lead > 0) this.#ahead += lead
    this.#next = undefined
  }

  /** Calls that change state or time but make no block. */
  async #change(call: Call): Promise<unknown> {
    const before = this.#ahead
    const result = await this.#evm.apply(call)
    if (call.call === 'evm_increaseTime') this.#ahead += Number(call.params[0])
    await this.#remember(call, result)
    if (call.call === 'evm_revert' && result !== true) return result
    this.#log((journal) => journal.append(call, ...(this.#ahead === before ? [] : [{ clock: this.#ahead }])))
    return result
  }

  async #remember({ call, params }: Call, result: unknown): Promise<void> {
    if (call === 'evm_setNextBlockTimestamp') this.#next = Number(params[0])
    if (call === 'evm_snapshot') this.#snapshots.set(String(result), { ahead: this.#ahead, next: this.#next })
    if (call === 'evm_revert' && result === true) {
      const then = this.#snapshots.get(quantity(Number(params[0])))
      this.#ahead = then?.ahead ?? this.#ahead
      this.#next = then?.next
      await this.#evm.refresh()
    }
  }

  async #tick(): Promise<void> {
    if (this.#next !== undefined) return
    const now = this.#now()
    const head = this.#evm.head.time
    const unchanged = (Date.now() - this.#changedAt) / 1000
    const round = (QUIET.find(({ after }) => unchanged >= after)?.round ?? 0) * this.#blockTime
    // Rounds of exactly the same size make one line of the journal; a longer gap (the machine slept) is filled at once.
    if (round === 0 || now >= head + 2 * round) await this.#mineIdle(now)
    else if (now >= head + round) await this.#mineIdle(head + round)
  }

  #stayActive(): void {
    this.#changedAt = Date.now()
  }

  /** Mines the idle blocks that are due up to `until`, one by one when they are few (which is how a live chain makes them), else as one round. */
  async #mineIdle(until: number): Promise<void> {
    const every = this.#blockTime
    const due = every === 0 ? 0 : Math.max(0, Math.floor((until - this.#evm.head.time) / every))
    const rounds = due < MOST_SINGLE_BLOCKS ? due : 1
    for (let i = 0; i < rounds; i++) {
      const round = { time: this.#evm.head.time + every, every, blocks: due / rounds }
      await this.#evm.idle({ ...round, times: 1 })
      this.#log((journal) => journal.idle(round))
    }
  }

  async #replay(entry: Entry, where: string): Promise<void> {
    if ('clock' in entry) this.#ahead = entry.clock
    else if ('times' in entry) await this.#evm.idle(entry)
    else {
      // A transaction that was mined and failed answers with an error each time.
      const result = await this.#evm.apply(entry).catch(() => undefined)
      await this.#remember(entry, result)
      if (await this.#evm.refresh()) this.#next = undefined
      if (entry.head !== undefined && shortHash(this.#evm.head.hash) !== entry.head)
        throw new Error(
          `${where} replays to block ${this.#evm.head.hash}, not ${entry.head}…: it was written by another version of the EVM; start afresh with --reset`,
        )
    }
  }
}

/** evm_mine may carry its timestamp as parameter; hardhat_mine's defaults are spelled out. */
function withExplicitTime(call: string, params: unknown[], time: number): Call {
  if (call === 'evm_mine') return { call, params: [], time: params[0] == null ? time : integer(params[0], 'timestamp') }
  if (call === 'hardhat_mine') {
    const [blocks = 1, every = 1] = params
    return { call, params: [quantity(integer(blocks, 'number of blocks')), quantity(integer(every, 'interval'))], time }
  }
  return { call, params, time }
}

function integer(value: unknown, what: string): number {
  const number = typeof value === 'string' || typeof value === 'number' ? Number(value) : Number.NaN
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidParams(`${what}: expected a whole number, got ${JSON.stringify(value)}`)
  return number
}

function shortHash(hash: string): string {
  return hash.slice(0, 10)
}
