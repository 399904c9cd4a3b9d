import { getBytes, hexlify } from 'ethers'
import type { Kysely } from 'kysely'
import type { Registry } from 'prom-client'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import type { DaEpoch, EpochMember } from '../../../sdk/da/epochs.ts'
import { byWeight } from '../../../sdk/da/order.ts'
import type { DaReader } from '../../../sdk/da/reader.ts'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { gauge } from '../../runtime/metrics.ts'
import type { Batches } from './batches.ts'
import type { Membership } from './membership.ts'
import { Retries } from './retries.ts'
import type { BatchTable, Tables } from './schema.ts'

export interface MissedBatchesOptions {
  db: Kysely<Tables>
  batches: Batches
  membership: Membership
  account: string
  /** Milliseconds after which what failed is tried again, for the first time. */
  retryMs: number
  /** The chain's time, unix seconds, and the time of the oldest certificates that matter. */
  now: () => number
  oldest: () => number
  metrics: Registry
  log: Log
}

type Certified = Pick<BatchTable, 'root' | 'epoch'>

/** Seconds in which the rows of a blob, and the question for our signature, may still come from its disperser. */
const LATE_S = 60
/** Batches that nobody tells one after another, after which the rest waits for the next time: it is not for them alone. */
const FAILURES = 8
const MOST_RETRY_MS = 3_600_000
/** Members asked at once. */
const LANES = 4
/** Milliseconds for one of them to answer. */
const TIMEOUT = 5000

/** Batches that were certified without us, or that were lost with the disk: the chain has their roots, and other members which blobs are in them. */
export class MissedBatches {
  readonly #options: MissedBatchesOptions
  readonly #retries: Retries

  constructor(options: MissedBatchesOptions) {
    this.#options = options
    this.#retries = new Retries(options.retryMs, MOST_RETRY_MS)
    const list = () => this.#list()
    gauge(options.metrics, {
      name: 'da_signer_unknown_batches',
      help: 'Certified batches that this signer may have rows of, and does not know the blobs of',
      async collect() {
        // The endpoint may be away: then the last number stands.
        const missed = await list().catch(() => undefined)
        if (missed) this.set(missed.length)
      },
    })
  }

  /** Learns what can be learnt of those that were not certified just now. */
  async learnAll(reader: () => DaReader, signal: AbortSignal): Promise<void> {
    const missed = await this.#list()
    this.#retries.keep(new Set(missed.map(({ root }) => root)))
    let failures = 0
    for (const batch of missed) {
      if (failures === FAILURES || signal.aborted) return
      if (this.#retries.waits(batch.root)) continue
      try {
        await this.learn(reader(), batch, signal)
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        failures++
        if (this.#retries.failed(batch.root)) this.#options.log.warn({ reason: reasonOf(error) }, 'a certified batch is not known here: asking again')
      }
    }
  }

  /** Those of epochs that we are a member of, the latest first. */
  async #list(): Promise<Certified[]> {
    const { db, membership, now, oldest } = this.#options
    const unknown = db
      .selectFrom('batches')
      .where('seed', 'is', null)
      .where('certified_at', '>', oldest())
      .where('certified_at', '<', now() - LATE_S)
    const ours: number[] = []
    for (const { epoch } of await unknown.select('epoch').distinct().execute()) if (await membership.findPlace(epoch)) ours.push(epoch)
    if (ours.length === 0) return []
    return unknown.select(['root', 'epoch']).where('epoch', 'in', ours).orderBy('certified_at', 'desc').execute()
  }

  /** Asks members for the blobs of a batch, until they are those of its root. @throws PerigeeError NOT_FOUND when nobody tells */
  async learn(reader: DaReader, { root, epoch: number }: Certified, signal: AbortSignal): Promise<void> {
    const { db, batches, membership, account, log } = this.#options
    const known = await db.selectFrom('batches').select('seed').where('root', '=', root).where('epoch', '=', number).executeTakeFirst()
    if (known?.seed) return
    const epoch = await membership.epoch(number)
    const others = byWeight(
      epoch.members.filter((member) => member.account !== account),
      ({ weight }) => weight,
    )
    for (let at = 0; at < others.length; at += LANES) {
      const asked = others.slice(at, at + LANES).map((member) => this.#ask(reader, member, { root, epoch: number }, signal))
      const ids = await Promise.any(asked).catch(() => undefined)
      signal.throwIfAborted()
      if (!ids) continue
      await batches.keep(root, number, epoch.seed, ids)
      this.#retries.succeeded(root)
      log.info({ batch: root, epoch: number, blobs: ids.length }, 'a batch that was certified without this signer is known now')
      return
    }
    throw noneTells(root, epoch)
  }

  async #ask({ epochs, signerAt }: DaReader, member: EpochMember, { root, epoch }: Certified, signal: AbortSignal): Promise<string[]> {
    const url = await epochs.urlOf(member)
    try {
      const { blobIds } = await signerAt(url).getBatch({ batchRoot: getBytes(root), epoch }, { timeout: TIMEOUT, signal })
      const ids = blobIds.map((id) => hexlify(id))
      if (batchTree(ids).root !== root) throw new PerigeeError('VERIFICATION_FAILED', 'the blobs it named are not those of the batch')
      return ids
    } catch (error) {
      this.#options.log.debug({ batch: root, account: member.account, url, reason: reasonOf(error) }, 'a member did not tell the blobs of a batch')
      throw error
    }
  }
}

const noneTells = (root: string, { epoch, members }: DaEpoch): PerigeeError =>
  new PerigeeError('NOT_FOUND', `none of the ${members.length} members of epoch ${epoch} tells which blobs are in the batch ${root}`)
