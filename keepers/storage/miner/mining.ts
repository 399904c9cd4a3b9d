import { setTimeout as sleep } from 'node:timers/promises'
import { keccak256 } from 'ethers'
import type { Kernel } from '../../../codec/keccak/index.ts'
import type { Shard } from '../../../protocol/storage/shard.ts'
import type { Flow, PoraMine } from '../../../typechain-types/index.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Miners } from './miners.ts'
import type { Sealer } from './sealer.ts'
import { miningTask, sameWork, type Work, type WorkerContext, workOf } from './work.ts'

export interface MiningOptions {
  kernel: Kernel
  chain: Chain
  mine: PoraMine
  flow: Flow
  sender: Sender
  minerId: string
  shard: Shard
  sealer: Sealer
  miners: Miners
  openEpochs: boolean
  log: Log
  signal: AbortSignal
}

const REPORT_MS = 60_000
/** Digest of an epoch that nobody can mine: keccak256 of nothing. */
const NO_DIGEST = keccak256('0x')
const STOP_MS = 2000

/** Looks at every new block what there is to mine and to seal, and has it done. */
export class Mining {
  readonly #options: MiningOptions
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined
  #work: Work | undefined
  #taskId = 0
  #block = ''
  /** Sectors whose seals have a context. */
  #sealable = 0
  /** The epoch that was last to be opened. */
  #opened: string | undefined
  #problem: string | undefined = 'the chain has not been looked at yet'

  constructor(options: MiningOptions) {
    this.#options = options
  }

  start(): void {
    const signal = AbortSignal.any([this.#stop.signal, this.#options.signal])
    this.#loop = Promise.all([this.#follow(signal), this.#report(signal)]).then(() => {})
  }

  /** Waits for the look in progress, though not for an endpoint that hangs: nothing is lost by leaving it. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.race([this.#loop, sleep(STOP_MS, undefined, { ref: false })])
  }

  problem(): string | undefined {
    return this.#problem
  }

  workOf(taskId: number): Work | undefined {
    return taskId === this.#taskId ? this.#work : undefined
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { chain, sealer, log } = this.#options
    while (!signal.aborted) {
      try {
        const { hash } = await chain.head()
        if (hash !== this.#block) await this.#look()
        this.#block = hash
        sealer.plan(this.#sealable)
        this.#problem = undefined
      } catch (error) {
        if (signal.aborted) return
        const problem = shortMessage(error)
        if (problem !== this.#problem) log.warn({ reason: problem }, 'the work could not be looked up')
        this.#problem = problem
      }
      await sleep(chain.pollMs, undefined, { signal }).catch(() => {})
    }
  }

  async #look(): Promise<void> {
    const { kernel, mine, flow, minerId, shard, miners, log } = this.#options
    const context = await mine.computeWorkerContext.staticCall(minerId)
    if (shard.numShard > context.maxShards) throw new Error(`answers may split the log in ${context.maxShards} shards, not ${shard.numShard}: use a larger one`)
    const work = workOf(kernel, minerId, shard, context)
    if (!sameWork(work, this.#work)) {
      this.#work = work
      this.#taskId++
      miners.setTask(work && miningTask(this.#taskId, work))
      log.debug({ epoch: Number(context.context.epoch), target: String(work?.target) }, work ? 'new work' : 'nothing to mine now')
    }
    const closed = await flow.epochStartPosition()
    this.#sealable = Number(closed)
    if (closed < context.context.flowLength) this.#open(context)
  }

  /**
   * New data can be sealed, and so be mined, only once an epoch was opened over them on chain; the context we are told is what it would be.
   * Nothing waits for the transaction: another miner's may come first.
   */
  #open({ context }: WorkerContext): void {
    const { flow, sender, openEpochs, log } = this.#options
    const key = `epoch ${context.epoch}`
    if (!openEpochs || context.digest === NO_DIGEST || key === this.#opened) return
    this.#opened = key
    const send = async () => {
      await sender.send({ key, to: await flow.getAddress(), data: flow.interface.encodeFunctionData('makeContext') })
      log.info({ epoch: Number(context.epoch), sectors: Number(context.flowLength) }, 'an epoch was opened')
    }
    send().catch((error: unknown) => {
      this.#opened = undefined
      log.debug({ err: error }, 'an epoch was not opened')
    })
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { miners, sealer, log } = this.#options
    let before = await miners.nonces()
    for (;;) {
      await sleep(REPORT_MS, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      const now = await miners.nonces()
      log.info(
        {
          noncesPerSecond: Math.round((now - before) / (REPORT_MS / 1000)),
          sealingMBPerSecond: Math.round((await sealer.rate()) / 1e6),
          toSeal: sealer.pending,
        },
        'mining',
      )
      before = now
    }
  }
}
