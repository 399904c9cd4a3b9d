import { setTimeout as sleep } from 'node:timers/promises'
import { batchTree, NO_BLOB } from '../../../protocol/da/batch-tree.ts'
import type { EpochReader } from '../../../sdk/da/epochs.ts'
import { reasonOf } from '../../../sdk/errors.ts'
import type { IDACertificates } from '../../../typechain-types/index.ts'
import type { Chain } from '../../runtime/chain.ts'
import type { Log } from '../../runtime/log.ts'
import { Reverted } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Batches, NewBatch } from './batches.ts'
import { type Choice, chooseBatch, MOST_UNDERWAY, sealingTime } from './batching.ts'
import type { Certificates } from './certificates.ts'
import { type Dispersal, NotEnough } from './dispersal.ts'
import type { DisperserMetrics } from './metrics.ts'
import type { Pipeline } from './pipeline.ts'
import type { Signing } from './signing.ts'

type Signed = Pick<NewBatch, 'root' | 'epoch' | 'call'>

export interface CertifierOptions {
  chain: Chain
  /** Seconds for which signers keep what is certified. */
  retention: number
  epochs: Pick<EpochReader, 'current'>
  signing: Signing
  batches: Batches
  contract: IDACertificates
  /** Its address. */
  address: string
  certificates: Certificates
  sender: Sender
  pipeline: () => Pipeline
  config: {
    /** How long a blob waits for company, in ms, and how many go together. */
    batchMs: number
    batchBlobs: number
  }
  metrics: DisperserMetrics
  signal: AbortSignal
  log: Log
}

/** What the sender says of a transaction that was confirmed and is gone. */
const GONE = /was confirmed as .* does not know/
const FIRST_WAIT_MS = 500
const MOST_WAIT_MS = 30_000

/**
 * Puts blobs that are stored into batches, has those signed, and sends their certificates, one transaction each. A batch is on record before it is sent:
 * what is on record is sent until the chain has it, or says that it never will.
 */
export class Certifier {
  readonly #options: CertifierOptions
  #ready: Dispersal[] = []
  #underway = 0
  #sealedAt = 0
  #timer: NodeJS.Timeout | undefined
  readonly #sending = new Set<string>()
  /** How often the transaction of a batch was undone for good. */
  readonly #again = new Map<string, number>()

  constructor(options: CertifierOptions) {
    this.#options = options
  }

  get ready(): number {
    return this.#ready.length
  }

  get underway(): number {
    return this.#sending.size
  }

  add(dispersal: Dispersal): void {
    this.#ready.push(dispersal)
    this.#schedule()
  }

  /** Sends what is on record and not certified: left by an earlier process, or undone by a reorganisation. */
  async resume(): Promise<void> {
    for (const { root, epoch, call } of await this.#options.batches.uncertified()) void this.#send({ root, epoch, call })
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    const { config, signal } = this.#options
    const [oldest] = this.#ready
    if (!oldest || this.#underway >= MOST_UNDERWAY || signal.aborted) return
    clearTimeout(this.#timer)
    const queue = { ready: this.#ready.length, oldestAt: oldest.readyAt, underway: this.#underway, sealedAt: this.#sealedAt }
    const wait = sealingTime(queue, config) - Date.now()
    if (wait > 0) this.#timer = setTimeout(() => this.#flush(), wait)
    else this.#flush()
  }

  #flush(): void {
    const [oldest] = this.#ready
    if (!oldest || this.#underway >= MOST_UNDERWAY) return
    const choice = chooseBatch(this.#ready, oldest.inEpoch, this.#options.config.batchBlobs)
    this.#ready = this.#ready.filter((dispersal) => !choice.blobs.includes(dispersal))
    this.#underway++
    this.#sealedAt = Date.now()
    void this.#certify(choice).finally(() => {
      this.#underway--
      this.#schedule()
    })
    this.#schedule()
  }

  async #certify(choice: Choice<Dispersal>): Promise<void> {
    const { pipeline, log } = this.#options
    const batch = await this.#sign(choice).catch(async (error) => {
      if (!(error instanceof NotEnough)) log.warn({ err: error }, 'a batch could not be signed')
      for (const dispersal of choice.blobs) await pipeline().failed(dispersal, error)
    })
    if (batch) await this.#send(batch)
  }

  async #sign({ blobs, members }: Choice<Dispersal>): Promise<NewBatch | undefined> {
    const { signing, batches, epochs, metrics } = this.#options
    const { inEpoch } = blobs[0]!
    const { epoch } = inEpoch
    const current = await epochs.current()
    if (current.epoch > epoch + 1) throw new Error(`epoch ${epoch} is closed: the rows are dealt anew`)
    const fresh = await this.#freshOrJoined(blobs)
    if (!fresh) return undefined
    const { root, leaves } = fresh
    const signedIn = metrics.stage('sign')
    const call = await signing.sign(inEpoch, root, leaves, members)
    signedIn()
    const batch = { root, epoch, blobIds: leaves, call }
    await batches.create(batch, [...Array<string[]>(leaves.length - blobs.length).fill([]), ...this.#requestsOf(blobs)])
    for (const dispersal of blobs) this.#options.pipeline().batched(dispersal)
    return batch
  }

  /** Of each blob, and from now on none is added. */
  #requestsOf(blobs: readonly Dispersal[]): string[][] {
    return blobs.map((dispersal) =>
      this.#options
        .pipeline()
        .sealed(dispersal)
        .map(({ id }) => id),
    )
  }

  /**
   * A batch is certified once. Where the very same blobs were one before, they have the certificate that it got, as long as the data is kept for
   * a good while yet: they join it, and there is nothing to sign. Later they are a batch with a zero leaf more in front, which has another root.
   */
  async #freshOrJoined(blobs: readonly Dispersal[]): Promise<{ root: string; leaves: string[] } | undefined> {
    const { batches, contract, retention, chain } = this.#options
    const leaves = blobs.map(({ blobId }) => blobId)
    for (;;) {
      const { root } = batchTree(leaves)
      const known = await batches.find(root)
      const { epoch, certifiedAt } = await contract.certificateOf(root)
      if (!known && epoch === 0n) return { root, leaves }
      if (epoch === 0n || Number(certifiedAt) + retention / 2 >= (await chain.head()).timestamp) {
        if (!known) await batches.create({ root, epoch: Number(epoch), blobIds: leaves, call: '0x' }, [])
        await this.#join(root, leaves.length - blobs.length, blobs, epoch > 0n)
        return undefined
      }
      leaves.unshift(NO_BLOB)
    }
  }

  /** Their requests are in a batch that is on record; `first`: the leaf of the first blob. */
  async #join(root: string, first: number, blobs: readonly Dispersal[], certified: boolean): Promise<void> {
    const { batches, certificates, pipeline } = this.#options
    for (const [at, ids] of this.#requestsOf(blobs).entries()) await batches.join(root, first + at, ids, certified)
    for (const dispersal of blobs) pipeline().batched(dispersal)
    if (certified) await certificates.find(root)
  }

  /** Resolves once it is certified, or never will be. */
  async #send(batch: Signed): Promise<void> {
    const { signal, metrics, log } = this.#options
    if (this.#sending.has(batch.root)) return
    this.#sending.add(batch.root)
    const certifiedIn = metrics.stage('certify')
    try {
      for (let wait = FIRST_WAIT_MS; !signal.aborted && !(await this.#sent(batch)); wait = Math.min(2 * wait, MOST_WAIT_MS)) {
        await sleep(wait, undefined, { signal })
      }
      certifiedIn()
    } catch (error) {
      // It is on record, and sent again by the upkeep.
      if (!signal.aborted) log.error({ err: error, root: batch.root }, 'a certificate could not be dealt with: trying again')
    } finally {
      this.#sending.delete(batch.root)
    }
  }

  /** Whether it has come to an end. */
  async #sent({ root, epoch, call }: Signed): Promise<boolean> {
    const { sender, address, certificates, batches, pipeline, signal, log } = this.#options
    const again = this.#again.get(root) ?? 0
    try {
      const receipt = await sender.send({ key: `certify ${root} in ${epoch}${again ? `, again ${again}` : ''}`, to: address, data: call })
      await certificates.take(root, receipt)
      return true
    } catch (error) {
      if (signal.aborted) return true
      if (!(error instanceof Reverted)) {
        // A reorganisation undid it, and its nonce went to another transaction: it takes a new one. The chain takes the certificate once in any case.
        if (GONE.test(reasonOf(error))) this.#again.set(root, again + 1)
        log.warn({ root, reason: reasonOf(error) }, 'a certificate could not be sent: trying again')
        return false
      }
      if (error.error === 'AlreadyCertified') return certificates.find(root)
      log.warn({ root, error: error.error }, 'the chain refuses a certificate: its blobs are stored and signed anew')
      pipeline().reopen(await batches.dissolve(root, `the chain refused the certificate: ${error.message}`))
      return true
    }
  }
}
