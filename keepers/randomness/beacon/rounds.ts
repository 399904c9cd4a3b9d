import { setTimeout as sleep } from 'node:timers/promises'
import { ZeroHash } from 'ethers'
import type { Registry } from 'prom-client'
import { submission } from '../../../protocol/randomness/drand.ts'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import type { IDrand } from '../../../typechain-types/index.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge } from '../../runtime/metrics.ts'
import { Reverted } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Relays } from './relays.ts'

export interface RoundsOptions {
  chain: Chain
  drand: IDrand
  /** Its address. */
  address: string
  consumers: readonly string[]
  relays: Relays
  sender: Sender
  log: Log
  metrics: Registry
  signal: AbortSignal
}

/** Relays have a round some seconds after it was signed: before that nothing is wrong. */
const GRACE_S = 10
/** What does not work is tried ever more seldom, up to this. */
const LONGEST_PAUSE_MS = 30_000
const STOP_MS = 4000

/** Brings the rounds that consumers wait for, and no others. What is waited for is asked of the chain each time: nothing has to be remembered, or undone by a reorganisation. */
export class Rounds {
  readonly #options: RoundsOptions
  readonly #stop = new AbortController()
  readonly #brought
  readonly #overdue
  #loop: Promise<void> | undefined
  #pauseMs: number
  #problem: string | undefined = 'the chain has not been looked at yet'

  constructor(options: RoundsOptions) {
    this.#options = options
    this.#pauseMs = options.chain.pollMs
    const { metrics } = options
    this.#brought = counter(metrics, { name: 'rounds_brought_total', help: 'Rounds brought on chain' })
    this.#overdue = gauge(metrics, { name: 'round_overdue_seconds', help: 'How long a consumer has waited for a round since it was signed; 0 if none does' })
  }

  start(): void {
    this.#loop = this.#follow(AbortSignal.any([this.#stop.signal, this.#options.signal]))
  }

  /** A transaction on its way is waited for a little; later, the next sender of this key takes it up. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.race([this.#loop, sleep(STOP_MS, undefined, { ref: false })])
  }

  problem(): string | undefined {
    return this.#problem
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { chain, log } = this.#options
    while (!signal.aborted) {
      try {
        await this.#bringAwaited(signal)
        this.#problem = undefined
        this.#pauseMs = chain.pollMs
      } catch (error) {
        if (signal.aborted) return
        const problem = error instanceof PerigeeError ? reasonOf(error) : shortMessage(error)
        if (problem !== this.#problem) log.warn({ reason: problem }, 'rounds that are waited for could not be brought')
        this.#problem = problem
        this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS)
      }
      await sleep(this.#pauseMs, undefined, { signal }).catch(() => {})
    }
  }

  async #bringAwaited(signal: AbortSignal): Promise<void> {
    const due = await this.#due()
    this.#overdue.set(Math.max(0, ...due.map(({ seconds }) => seconds)))
    const failures: unknown[] = []
    for (const { round, seconds } of due) {
      try {
        await this.#bring(round, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (seconds < GRACE_S && error instanceof PerigeeError) this.#options.log.debug({ round, reason: reasonOf(error) }, 'a round is not there yet')
        else failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  /** Rounds that are waited for and signed by now, and for how many seconds. */
  async #due(): Promise<{ round: bigint; seconds: number }[]> {
    const { chain, drand, consumers } = this.#options
    const awaited = new Set(await Promise.all(consumers.map((consumer) => drand.awaitedBy(consumer))))
    awaited.delete(0n)
    if (awaited.size === 0) return []
    // A chain that nobody uses has no new blocks, and a local one may be ahead of its time.
    const now = Math.max(Date.now() / 1000, (await chain.head()).timestamp)
    const rounds = await Promise.all(
      [...awaited].map(async (round) => {
        const [signedAt, randomness] = await Promise.all([drand.timeOf(round), drand.randomnessOf(round)])
        return { round, seconds: now - Number(signedAt), isMissing: randomness === ZeroHash }
      }),
    )
    return rounds.filter(({ seconds, isMissing }) => seconds >= 0 && isMissing)
  }

  async #bring(round: bigint, signal: AbortSignal): Promise<void> {
    const { drand, address, relays, sender, log } = this.#options
    const signature = await relays.signatureOf(round, signal)
    try {
      const { hash } = await sender.send({
        key: `round ${round}`,
        to: address,
        data: drand.interface.encodeFunctionData('submit', submission(round, signature)),
      })
      this.#brought.inc()
      log.info({ round, hash }, 'a round was brought')
    } catch (error) {
      // Somebody was faster.
      if (!(error instanceof Reverted && error.error === 'RoundKnown')) throw error
    }
  }
}
