import { setImmediate as yieldToOthers } from 'node:timers/promises'
import type { Kysely, Transaction } from 'kysely'
import { batchDigest, itemsHash, itemsOf, treeOf, unpackItem } from '../../../../protocol/compute/batch.ts'
import { domainSeparator, inferenceDomain, type Receipt, receiptHash } from '../../../../protocol/compute/receipt.ts'
import type { IInferenceServing, IReceiptDisputes } from '../../../../typechain-types/index.ts'
import type { Chain } from '../../../runtime/chain.ts'
import type { Follower, LogRange } from '../../../runtime/follow.ts'
import type { Log } from '../../../runtime/log.ts'
import { Reverted } from '../../../runtime/revert.ts'
import type { Sender } from '../../../runtime/sender.ts'
import type { Receipts, Signing } from '../signing.ts'
import type { Spend } from '../spend.ts'
import type { Answer, Tables } from '../tables.ts'
import { type Batch, Batches, type Effect, type Settled } from './batches.ts'
import { Challenges } from './challenges.ts'
import type { SettlementConfig } from './config.ts'
import type { SettlementMetrics } from './metrics.ts'
import { Planner } from './plan.ts'

/** Batches of one round; the next round goes on. */
const MAX_BATCHES = 20
/** A batch whose nonce the chain has passed for this many blocks, without its event, will never be settled. */
const FINAL_BLOCKS = 64
/** Leaves hashed between two looks at the sockets. */
const HASHED_AT_ONCE = 32

export interface SettlementOptions {
  db: Kysely<Tables>
  chain: Chain
  sender: Sender
  serving: IInferenceServing
  /** Its address. */
  inference: string
  /** Where users challenge batches; without it nobody answers them. */
  disputes: { contract: IReceiptDisputes; address: string } | undefined
  provider: string
  receipts: Receipts
  signing: Signing
  spend: Spend
  config: SettlementConfig
  /** Events are read up to here. */
  follower: () => Pick<Follower, 'position' | 'reached'> | undefined
  /** Blocks by which it stays behind the chain. */
  confirmations: number
  metrics: SettlementMetrics
  log: Log
}

/**
 * Turns answers into earnings. Each step is written down before it is taken: answers go into a batch, the batch is signed and stored, then sent; the
 * chain's event, and nothing else, says that it is settled. Killed at any instant, it goes on where it was: a batch that is on record is sent
 * as it is, however often, as the chain takes a nonce once.
 */
export class Settlement {
  readonly #options: SettlementOptions
  readonly #batches: Batches
  readonly #challenges: Challenges | undefined
  readonly #separator: string
  readonly #planner: Planner
  /** Users whose debt has to be read again. */
  readonly #touched = new Set<string>()
  #refreshing: Promise<void> = Promise.resolve()
  /** Nonces of pending batches that the chain has passed, and the block at which that was seen. */
  readonly #overtakenSince = new Map<number, number>()
  #trouble: string | undefined

  constructor(options: SettlementOptions) {
    this.#options = options
    this.#batches = new Batches(options.db)
    this.#planner = new Planner({ ...options, batches: this.#batches, lost: (effects) => this.#lose(effects) })
    const { disputes } = options
    this.#challenges = disputes && new Challenges({ ...options, batches: this.#batches, disputes: disputes.contract, address: disputes.address })
    this.#separator = domainSeparator(inferenceDomain(options.chain.chainId, options.inference))
  }

  /** Why nothing can be settled now, or undefined. */
  problem(): string | undefined {
    return this.#trouble
  }

  // ---- what the chain says

  async apply(trx: Transaction<Tables>, range: LogRange): Promise<void> {
    const { serving, provider, log } = this.#options
    const { logs, toBlock } = range
    this.#refresh()
    await this.#challenges?.apply(trx, range)
    const effects: Effect[] = []
    for (const one of logs) {
      const event = serving.interface.parseLog(one)
      if (event?.args.provider !== provider) continue
      if (event.args.user !== undefined) this.#planner.forget(event.args.user)
      if (event.name !== 'BatchSettled') continue
      const { nonce, requestsHash, items, charged, outcomes } = event.args
      for (const item of items) this.#planner.forget(unpackItem(item).user)
      const settled: Settled = {
        nonce: Number(nonce),
        root: requestsHash,
        items: [...items],
        charged: [...charged],
        outcomes,
        blockNumber: one.blockNumber,
        txHash: one.transactionHash,
      }
      const known = await this.#batches.settle(trx, settled)
      if (known) effects.push(...known)
      else
        log.error(
          { nonce: settled.nonce, transaction: settled.txHash },
          'a batch of this provider was settled that is not on record: is there another process, or were tables restored?',
        )
    }
    if (effects.length === 0) return
    for (const { user } of effects) this.#touched.add(user)
    this.#options
      .follower()
      ?.reached(toBlock)
      .then(
        () => this.#tell(effects),
        () => {}, // stopping
      )
  }

  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    this.#refresh()
    this.#planner.forgetAll()
    this.#overtakenSince.clear()
    await this.#challenges?.rollback(trx, toBlock)
    const users = await this.#batches.rollback(trx, toBlock)
    for (const user of users) this.#touched.add(user)
    if (users.length > 0) this.#options.log.warn({ toBlock, users: users.length }, 'a reorganisation undid settlements: they are sent again')
  }

  /** Answers that can't be charged any more. */
  #lose(effects: readonly Effect[]): void {
    for (const { user } of effects) this.#touched.add(user)
    this.#tell(effects)
  }

  #tell(effects: readonly Effect[]): void {
    const { metrics, log } = this.#options
    for (const { user, lost, outcome } of effects) {
      metrics.settled(outcome, lost)
      if (lost > 0n) log.error({ user, wei: lost.toString(), outcome }, 'the chain charged less than the answers cost: the rest is lost')
    }
    this.#refresh()
  }

  /** Reads again what users owe whom the chain has charged. Harmless whenever it happens: what it reads was committed. */
  #refresh(): void {
    const users = [...this.#touched]
    this.#touched.clear()
    if (users.length === 0) return
    this.#refreshing = this.#refreshing
      .then(() => this.#options.spend.refresh(users))
      .catch((error) => {
        for (const user of users) this.#touched.add(user)
        this.#options.log.warn({ err: error }, 'what users owe could not be read: it is tried again')
      })
  }

  // ---- what is to be done

  /** Sends what is pending, then settles what is due. */
  async round(): Promise<void> {
    const { config, chain, log } = this.#options
    this.#refresh()
    if (!config.settleDryRun) await this.#challenges?.answer((await chain.head()).timestamp)
    try {
      if (!(await this.#sendPending())) return
      for (let made = 0; made < MAX_BATCHES; made++) {
        const plan = await this.#planner.next()
        if (!plan) break
        if (config.settleDryRun) {
          log.info({ users: plan.due.users.length, answers: plan.answers.length, reason: plan.due.reason }, 'would settle, but this is a dry run')
          break
        }
        await this.#send(await this.#sign(plan.answers))
      }
      await this.#withdraw()
      this.#trouble = undefined
    } catch (error) {
      if (!(error instanceof Reverted)) throw error
      this.#trouble = `the chain refuses to settle: ${error.error}`
      log.error({ err: error, advice: ADVICE[error.error] }, 'the chain refuses to settle; nothing is lost, it is tried again')
    }
  }

  /** Whether there is nothing pending any more. */
  async #sendPending(): Promise<boolean> {
    const { serving, provider, config, log } = this.#options
    for (const batch of await this.#batches.pending()) {
      if (Number(await serving.lastNonce(provider)) < batch.nonce) {
        if (config.settleDryRun) return false
        await this.#send(batch)
      }
      // The chain has passed its nonce: with this batch, as its event will tell, or by another one.
      if (await this.#isSettled(batch)) continue
      if (!(await this.#isOvertaken(batch))) return false
      log.error({ nonce: batch.nonce }, 'a batch was overtaken and can never be settled: its answers go into another one')
      await this.#batches.dissolve(batch.nonce)
    }
    return true
  }

  /** Whether its event is applied, when everything is that can be. */
  async #isSettled({ nonce }: Batch): Promise<boolean> {
    const { chain, follower, confirmations } = this.#options
    await follower()?.reached((await chain.head()).number - confirmations)
    return !(await this.#batches.pending()).some((batch) => batch.nonce === nonce)
  }

  /** Whether the chain has passed its nonce for good: long ago, and its event is not among those of that time. */
  async #isOvertaken({ nonce }: Batch): Promise<boolean> {
    const { chain, follower } = this.#options
    const head = (await chain.head()).number
    const since = this.#overtakenSince.get(nonce) ?? head
    this.#overtakenSince.set(nonce, since)
    return head - since >= FINAL_BLOCKS && (follower()?.position() ?? 0) >= since
  }

  /** Puts answers into a batch, signs it and writes it down. */
  async #sign(answers: readonly Answer[]): Promise<Batch> {
    const { serving, provider, receipts, signing } = this.#options
    const leaves: string[] = []
    const contents: Receipt[] = []
    for (const [i, answer] of answers.entries()) {
      if (i % HASHED_AT_ONCE === 0) await yieldToOthers()
      const receipt = receipts.of(answer)
      contents.push(receipt)
      leaves.push(receiptHash(receipt))
    }
    const items = itemsOf(contents)
    const nonce = Math.max(await this.#batches.lastNonce(), Number(await serving.lastNonce(provider))) + 1
    const root = treeOf(leaves).root
    const batch = {
      nonce,
      signer: signing.address,
      root,
      items: JSON.stringify(items),
      signature: this.#signature(nonce, root, items),
      created_at: Math.floor(Date.now() / 1000),
    }
    await this.#batches.record(
      batch,
      answers.map(({ id }) => id),
    )
    return { ...batch, state: 'signed', tx_hash: null, block_number: null, charged: null, outcomes: null }
  }

  #signature(nonce: number, root: string, items: readonly string[]): string {
    const { provider, signing } = this.#options
    const digest = batchDigest(this.#separator, { provider, nonce, requestsHash: root, itemsHash: itemsHash(items) })
    return signing.key.sign(digest).serialized
  }

  /** Sends a batch and waits until its event is applied. */
  async #send(batch: Batch): Promise<void> {
    const { signing, log, metrics, chain, follower, confirmations } = this.#options
    try {
      const receipt = await this.#broadcast(batch)
      await this.#batches.sent(batch.nonce, receipt.hash)
      await follower()?.reached((await chain.head()).number - confirmations)
      metrics.batch('settled')
      log.info({ nonce: batch.nonce, items: JSON.parse(batch.items).length, gas: receipt.gasUsed.toString(), transaction: receipt.hash }, 'settled')
    } catch (error) {
      metrics.batch('refused')
      if (!(error instanceof Reverted)) throw error
      // Somebody else sent it: that settles it as well.
      if (error.error === 'NonceNotNew') return
      if (error.error !== 'SignerNotAttested' || batch.signer === signing.address) throw error
      const signature = this.#signature(batch.nonce, batch.root, JSON.parse(batch.items))
      await this.#batches.resign(batch.nonce, signing.address, signature)
      log.warn({ nonce: batch.nonce, signer: batch.signer }, 'the key that signed a batch no longer counts: the present one signs the same batch')
      await this.#send({ ...batch, signer: signing.address, signature })
    }
  }

  #broadcast({ nonce, root, items, signature, signer }: Batch) {
    const { serving, sender, inference, provider } = this.#options
    const data = serving.interface.encodeFunctionData('settleBatch', [provider, nonce, root, JSON.parse(items), signature])
    return sender.send({ key: `settle ${nonce} signed by ${signer}`, to: inference, data })
  }

  async #withdraw(): Promise<void> {
    const { serving, sender, inference, provider, config, log } = this.#options
    if (config.settleDryRun) return
    const earned = await serving.earningsOf(provider)
    if (earned < config.withdrawAbove) return
    const to = config.withdrawTo ?? provider
    const data = serving.interface.encodeFunctionData('withdrawEarnings', [to])
    // Earnings grow by batches only: one withdrawal after each at most.
    const { hash } = await sender.send({ key: `withdraw after batch ${await serving.lastNonce(provider)}`, to: inference, data })
    log.info({ wei: earned.toString(), to, transaction: hash }, 'earnings withdrawn')
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  SignerNotAttested: 'the registry does not attest the key that signs: see the registration of this provider',
  InsufficientStake: 'bond the missing stake: what is settled without it nobody would answer for',
  ServiceNotExist: 'register the service again: its users can be charged only while it has one',
}
