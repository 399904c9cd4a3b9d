import { setTimeout as sleep } from 'node:timers/promises'
import type { Registry } from 'prom-client'
import type { ISamplingRewards } from '../../../typechain-types/index.ts'
import { type BlockRef, type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { counter } from '../../runtime/metrics.ts'
import type { HeldBlobs } from './held-blobs.ts'
import type { Round } from './round.ts'
import type { SignerReader } from './signer-reader.ts'

export interface RoundsOptions {
  chain: Chain
  rewards: ISamplingRewards
  /** Blocks of a round. */
  roundBlocks: number
  /** Seconds after its certificate in which a blob is rewarded. */
  retention: number
  held: HeldBlobs
  readers: readonly SignerReader[]
  log: Log
  metrics: Registry
  signal: AbortSignal
}

const STOP_MS = 4000

/** Looks at every new block which round it is, and has all signers play it. */
export class Rounds {
  readonly #options: RoundsOptions
  readonly #stop = new AbortController()
  readonly #played
  readonly #underway = new Set<Promise<void>>()
  #loop: Promise<void> | undefined
  #block = ''
  #seed = ''
  #current = new AbortController()
  #problem: string | undefined = 'the chain has not been looked at yet'

  constructor(options: RoundsOptions) {
    this.#options = options
    this.#played = counter(options.metrics, { name: 'rounds_total', help: 'Rounds by how reading ended', labelNames: ['outcome'] })
  }

  start(): void {
    const signal = AbortSignal.any([this.#stop.signal, this.#options.signal])
    this.#loop = this.#follow(signal)
  }

  /** Ends reading. An answer on its way is waited for a little; later, the next sender of this key takes it up. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#current.abort()
    await Promise.race([Promise.allSettled([this.#loop, ...this.#underway]), sleep(STOP_MS, undefined, { ref: false })])
  }

  problem(): string | undefined {
    return this.#problem
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { chain, log } = this.#options
    while (!signal.aborted) {
      try {
        const head = await chain.head()
        if (head.hash !== this.#block) await this.#look(head)
        this.#block = head.hash
        this.#problem = undefined
      } catch (error) {
        if (signal.aborted) return
        const problem = shortMessage(error)
        if (problem !== this.#problem) log.warn({ reason: problem }, 'the round could not be looked up')
        this.#problem = problem
      }
      await sleep(chain.pollMs, undefined, { signal }).catch(() => {})
    }
  }

  /** A round that has another seed, by a reorganisation, is another one. */
  async #look({ number: blockTag, timestamp }: BlockRef): Promise<void> {
    const { rewards, roundBlocks, retention, held } = this.#options
    const { number, seed, target } = await rewards.round({ blockTag })
    if (seed === this.#seed) return
    await held.forgetBefore(timestamp - retention)
    this.#current.abort()
    this.#current = new AbortController()
    this.#seed = seed
    const round: Round = { number: Number(number), seed, target, lastBlock: (Number(number) + 1) * roundBlocks }
    const play = this.#play(round, this.#current)
    this.#underway.add(play)
    void play.finally(() => this.#underway.delete(play))
  }

  async #play(round: Round, over: AbortController): Promise<void> {
    const { readers, log } = this.#options
    log.debug({ round: round.number, target: round.target.toString() }, 'a round begins')
    const plays = await Promise.allSettled(readers.map((reader) => reader.play(round, over.signal, () => over.abort())))
    if (!over.signal.aborted)
      for (const play of plays) if (play.status === 'rejected') log.error({ err: play.reason, round: round.number }, 'a round could not be played')
    this.#played.inc({ outcome: over.signal.aborted ? 'cut' : plays.every(({ status }) => status === 'fulfilled') ? 'complete' : 'failed' })
  }
}
