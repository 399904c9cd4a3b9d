import { setTimeout as sleep } from 'node:timers/promises'
import { formatEther, type Interface, keccak256, Transaction, type TransactionReceipt, type TransactionRequest, type Wallet } from 'ethers'
import PQueue from 'p-queue'
import type { Registry } from 'prom-client'
import { type Chain, shortMessage } from './chain.ts'
import type { Database } from './database.ts'
import { cappedFees, currentFees, type Fees, feeCeiling, replacementFees } from './fees.ts'
import type { Log } from './log.ts'
import { counter, gauge, histogram, SECONDS } from './metrics.ts'
import { Outbox, type Outgoing } from './outbox.ts'
import { decodeRevert, isRevert, Reverted } from './revert.ts'

export interface SendRequest {
  /** Names the intent ("answer epoch 7"): sent once however often it is asked for, also across restarts. */
  key: string
  to: string
  data: string
  /** wei */
  value?: bigint
}

/** Sends the transactions of one key, one nonce after the other. There must be only one sender per key. */
export interface Sender {
  readonly address: string
  /**
   * Simulates, signs, broadcasts and waits for the confirmations. A reverted key may be sent again, a confirmed one answers with its receipt.
   * @throws Reverted in simulation (nothing was sent) or on chain; InsufficientFunds
   */
  send(request: SendRequest): Promise<TransactionReceipt>
  /** Why sending does not work now, or undefined. */
  problem(): string | undefined
  /** Stops waiting; what is pending is taken up by the next sender of this key. */
  close(): Promise<void>
}

export class InsufficientFunds extends Error {
  override readonly name = 'InsufficientFunds'

  constructor(address: string, balance: bigint, needed: bigint) {
    super(`${address} has ${formatEther(balance)} and needs up to ${formatEther(needed)}: fund it`)
  }
}

export interface SenderOptions {
  chain: Chain
  wallet: Wallet
  database: Database
  /** Their custom errors are decoded. */
  interfaces: readonly Interface[]
  /** What an operator should do about a custom error, by its name. */
  advice?: Readonly<Record<string, string>>
  /** Custom errors that are an ordinary outcome, such as a lost race: logged, but not as errors. */
  expected?: readonly string[]
  /** Blocks that must hold the transaction or follow it; 1 is its own. */
  confirmations?: number
  /** A transaction not mined for this long is replaced by one that pays more, in ms. */
  stuckMs?: number
  /** Never pay more for a unit of gas, in wei. */
  maxFeePerGas?: bigint
  log: Log
  metrics: Registry
  signal: AbortSignal
}

/** How often a nonce may turn out to be taken before the key is given up for this time. */
const NONCE_ATTEMPTS = 5
/** Share of the estimate added for what changes between estimate and block: 1/5. */
const GAS_MARGIN = 5n
/** EIP-7825: a transaction with more is invalid, so the margin must not lift one over it. */
const GAS_CAP = 16_777_216n

export async function createSender(options: SenderOptions): Promise<Sender> {
  const sender = new TransactionSender(options)
  await sender.resume()
  return sender
}

class TransactionSender implements Sender {
  readonly address: string
  private readonly options: SenderOptions
  private readonly outbox: Outbox
  private readonly turns = new PQueue({ concurrency: 1 })
  private readonly stopping = new AbortController()
  private readonly underway = new Map<string, Promise<TransactionReceipt>>()
  private readonly complained = new Set<string>()
  private readonly outcomes
  private readonly duration
  private trouble: string | undefined

  constructor(options: SenderOptions) {
    this.options = options
    this.address = options.wallet.address
    const { chain, database, metrics, signal } = options
    this.outbox = new Outbox(database, `${chain.chainId}:${chain.genesisHash}`, this.address)
    this.outcomes = counter(metrics, { name: 'transactions_total', help: 'Transactions by how they ended', labelNames: ['outcome'] })
    this.duration = histogram(metrics, { name: 'transaction_duration_seconds', help: 'Time from signing to the last confirmation', buckets: SECONDS })
    const { address } = this
    gauge(metrics, {
      name: 'sender_balance_ether',
      help: 'What the sending account has',
      labelNames: ['address'],
      async collect() {
        const wei = await chain.provider.getBalance(address).catch(() => undefined)
        if (wei !== undefined) this.set({ address }, Number(formatEther(wei)))
      },
    })
    signal.addEventListener('abort', () => this.stopping.abort(), { once: true })
  }

  /** Takes up what an earlier process left pending; a gap in the nonces would block all that follows. */
  async resume(): Promise<void> {
    for (const outgoing of await this.outbox.pending()) {
      const receipt = this.enlist(outgoing.key, () => this.settle(outgoing))
      receipt.catch(() => {}) // reported where it happens; whoever sends this key again gets it too
    }
  }

  send(request: SendRequest): Promise<TransactionReceipt> {
    return this.underway.get(request.key) ?? this.enlist(request.key, () => this.sendOnce(request))
  }

  problem(): string | undefined {
    return this.trouble
  }

  async close(): Promise<void> {
    this.stopping.abort()
    await Promise.allSettled(this.underway.values())
  }

  private enlist(key: string, work: () => Promise<TransactionReceipt>): Promise<TransactionReceipt> {
    const receipt = work().finally(() => this.underway.delete(key))
    this.underway.set(key, receipt)
    return receipt
  }

  private async sendOnce(request: SendRequest): Promise<TransactionReceipt> {
    const known = await this.outbox.find(request.key)
    if (known?.state === 'confirmed') return this.confirmedBefore(known)
    return this.settle(known?.state === 'pending' ? known : await this.turns.add(() => this.launch(request)))
  }

  private async confirmedBefore(known: Outgoing): Promise<TransactionReceipt> {
    const { provider } = this.options.chain
    const receipt = await provider.getTransactionReceipt(known.hashes[0]!)
    if (receipt) return receipt
    if ((await provider.getTransactionCount(this.address, 'latest')) > known.nonce) {
      throw new Error(`${known.key} was confirmed as ${known.hashes[0]}, which the endpoint does not know: is it pruned, or on another fork?`)
    }
    // A reorganisation deeper than the confirmations undid it. The very same transaction goes out again, so that it can't be mined twice.
    const undone: Outgoing = { ...known, state: 'pending' }
    await this.outbox.save(undone)
    await this.broadcast(undone.raw[0]!)
    return this.settle(undone)
  }

  /** Signs with the next nonce and broadcasts. */
  private async launch({ key, to, data, value = 0n }: SendRequest): Promise<Outgoing> {
    const { chain, wallet } = this.options
    const call = { from: this.address, to, data, value }
    const gasLimit = await this.simulate(call)
    const fees = cappedFees(await currentFees(chain.provider), this.options.maxFeePerGas)
    await this.requireFunds(value + gasLimit * feeCeiling(fees))
    for (let attempt = 1; ; attempt++) {
      this.stopping.signal.throwIfAborted()
      const nonce = await this.nextNonce()
      const raw = await wallet.signTransaction({ chainId: chain.chainId, to, data, value, gasLimit, nonce, ...fees })
      const outgoing: Outgoing = { key, nonce, to, data, value, raw: [raw], hashes: [keccak256(raw)], state: 'pending' }
      await this.outbox.save(outgoing)
      const rejection = await this.broadcast(raw)
      if (rejection === undefined) {
        this.trouble = undefined
        return outgoing
      }
      await this.outbox.remove(key)
      if (rejection.code !== 'NONCE_EXPIRED' || attempt === NONCE_ATTEMPTS) throw this.complain(to, data, rejection)
      this.options.log.warn({ nonce }, 'a nonce was used by someone else: is the key shared?')
    }
  }

  /** A node that was restarted may have forgotten what is pending; the outbox has not. */
  private async nextNonce(): Promise<number> {
    const pending = await this.outbox.pending()
    const count = await this.options.chain.provider.getTransactionCount(this.address, 'pending')
    return Math.max(count, ...pending.map(({ nonce }) => nonce + 1))
  }

  /** Runs the call without sending it. Returns the gas to allow. */
  private async simulate(call: TransactionRequest): Promise<bigint> {
    const { chain, interfaces } = this.options
    try {
      await chain.provider.call(call)
      const estimate = await chain.provider.estimateGas(call)
      const limit = estimate + estimate / GAS_MARGIN
      return estimate <= GAS_CAP && limit > GAS_CAP ? GAS_CAP : limit
    } catch (error) {
      this.outcomes.inc({ outcome: 'refused' })
      throw this.complain(call.to as string, call.data as string, isRevert(error) ? decodeRevert(error, interfaces) : error)
    }
  }

  private async requireFunds(needed: bigint): Promise<void> {
    const balance = await this.options.chain.provider.getBalance(this.address)
    if (balance >= needed) return
    const error = new InsufficientFunds(this.address, balance, needed)
    this.trouble = error.message
    throw this.complain(this.address, '', error)
  }

  /** Returns why the node refused it for good; undefined when it is, or may be, on its way. */
  private async broadcast(raw: string): Promise<(Error & { code?: string }) | undefined> {
    const { provider } = this.options.chain
    try {
      await provider.broadcastTransaction(raw)
    } catch (error) {
      // Some nodes answer with an error for a transaction they have taken: known already, or mined at once and reverted.
      const taken = await provider.getTransaction(keccak256(raw)).catch(() => null)
      if (!taken && isAnswer(error)) return error as Error
    }
    return undefined
  }

  /** Waits until the transaction or one of its replacements is deep enough, replacing it when it is stuck. */
  private async settle(outgoing: Outgoing): Promise<TransactionReceipt> {
    const { chain, confirmations = 1, stuckMs = 60_000, log } = this.options
    const stop = this.duration.startTimer()
    let patience = Date.now() + stuckMs
    let usedSince: number | undefined
    for (;;) {
      try {
        const receipt = await this.findReceipt(outgoing)
        const head = await chain.head()
        this.trouble = undefined
        if (receipt && receipt.blockNumber + confirmations - 1 <= head.number) {
          stop()
          return await this.conclude(outgoing, receipt)
        }
        const used = !receipt && (await chain.provider.getTransactionCount(this.address, 'latest')) > outgoing.nonce
        if (!used) usedSince = undefined
        else if (usedSince === undefined) usedSince = head.number
        else if (head.number >= usedSince + confirmations - 1) return await this.sendAgain(outgoing)
        if (!receipt && !used && Date.now() > patience) {
          await this.replace(outgoing)
          patience = Date.now() + stuckMs
        }
      } catch (error) {
        if (error instanceof Reverted || this.stopping.signal.aborted) throw error
        this.trouble = `can't follow transaction ${outgoing.hashes.at(-1)}: ${shortMessage(error)}`
        log.debug({ err: error }, 'a transaction could not be looked up')
      }
      await sleep(chain.pollMs, undefined, { signal: this.stopping.signal })
    }
  }

  private async findReceipt({ hashes }: Outgoing): Promise<TransactionReceipt | undefined> {
    for (const hash of hashes.toReversed()) {
      const receipt = await this.options.chain.provider.getTransactionReceipt(hash)
      if (receipt) return receipt
    }
    return undefined
  }

  private async conclude(outgoing: Outgoing, receipt: TransactionReceipt): Promise<TransactionReceipt> {
    const { chain, interfaces, log } = this.options
    const succeeded = receipt.status !== 0
    const raw = outgoing.raw[outgoing.hashes.indexOf(receipt.hash)]!
    await this.outbox.save({ ...outgoing, hashes: [receipt.hash], raw: [raw], state: succeeded ? 'confirmed' : 'reverted' })
    this.outcomes.inc({ outcome: succeeded ? 'confirmed' : 'reverted' })
    if (succeeded) {
      this.complained.clear()
      log.debug({ key: outgoing.key, hash: receipt.hash, gasUsed: receipt.gasUsed }, 'a transaction was confirmed')
      return receipt
    }
    const { to, data, value } = outgoing
    const cause = await chain.provider.call({ from: this.address, to, data, value, blockTag: receipt.blockNumber }).catch((error: unknown) => error)
    throw this.complain(to, data, decodeRevert(cause, interfaces, receipt.hash))
  }

  /** The nonce went to a transaction that is not ours, so none of ours can ever be mined: the intent needs a new one. */
  private async sendAgain(lost: Outgoing): Promise<TransactionReceipt> {
    this.options.log.warn({ key: lost.key, nonce: lost.nonce }, 'a nonce was used by someone else: is the key shared?')
    return this.settle(await this.turns.add(() => this.launch(lost)))
  }

  /** Broadcasts the same transaction with higher fees, or again as it is when they would be too high. */
  private async replace(outgoing: Outgoing): Promise<void> {
    const { chain, wallet, log } = this.options
    const last = Transaction.from(outgoing.raw.at(-1)!)
    const old: Fees =
      last.type === 2 ? { type: 2, maxFeePerGas: last.maxFeePerGas!, maxPriorityFeePerGas: last.maxPriorityFeePerGas! } : { type: 0, gasPrice: last.gasPrice! }
    const fees = replacementFees(old, await currentFees(chain.provider))
    if (feeCeiling(fees) > (this.options.maxFeePerGas ?? feeCeiling(fees))) {
      log.warn({ key: outgoing.key, maxFeePerGas: this.options.maxFeePerGas }, 'a transaction is stuck and may not pay more: raise the limit')
      await this.broadcast(outgoing.raw.at(-1)!)
      return
    }
    const { to, data, value, gasLimit, nonce, chainId } = last
    const raw = await wallet.signTransaction({ chainId, to, data, value, gasLimit, nonce, ...fees })
    outgoing.raw.push(raw)
    outgoing.hashes.push(keccak256(raw))
    await this.outbox.save(outgoing)
    const rejection = await this.broadcast(raw)
    log.info({ key: outgoing.key, nonce, fee: feeCeiling(fees), rejection: rejection?.message }, 'a stuck transaction was replaced')
  }

  /** Logs an error the first time a call meets it since the last success, with what to do unless it is expected; returns it to be thrown. */
  private complain(to: string, data: string, error: unknown): unknown {
    const { advice, expected, log } = this.options
    const what = error instanceof Reverted ? error.error : (error as Error).name
    const id = `${to} ${data.slice(0, 10)} ${what}`
    const facts = error instanceof Reverted ? { to, error: error.error, args: error.args.map(String), hash: error.hash } : { to, reason: shortMessage(error) }
    if (this.complained.has(id)) log.debug(facts, 'a transaction was refused again')
    else if (expected?.includes(what)) log.info(facts, 'a transaction was refused, as is to be expected')
    else log.error({ ...facts, advice: advice?.[what] }, 'a transaction was refused')
    this.complained.add(id)
    return error
  }
}

/**
 * Whether the endpoint itself refused, so that the transaction is not on its way. Anything else (a broken connection, a provider closed
 * in the middle of the request) leaves that open: taking it for a refusal would send the intent a second time.
 */
function isAnswer(error: unknown): boolean {
  const { error: direct, info } = error as { error?: { code?: unknown }; info?: { error?: { code?: unknown } } }
  return typeof (direct ?? info?.error)?.code === 'number'
}
