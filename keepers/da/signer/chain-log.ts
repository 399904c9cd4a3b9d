import { getAddress } from 'ethers'
import { type ExpressionBuilder, type Kysely, sql, type Transaction } from 'kysely'
import {
  IAvailabilityChallenges__factory,
  IBlobPayments__factory,
  IDACertificates__factory,
  IDAEpochs__factory,
  IDASigners__factory,
} from '../../../typechain-types/index.ts'
import type { LogRange } from '../../runtime/follow.ts'
import type { Log } from '../../runtime/log.ts'
import type { Tables } from './schema.ts'

const epochs = IDAEpochs__factory.createInterface()
const certificates = IDACertificates__factory.createInterface()
const signers = IDASigners__factory.createInterface()
const challenges = IAvailabilityChallenges__factory.createInterface()
const payments = IBlobPayments__factory.createInterface()

/** Of all contracts that are followed. */
export const TOPICS = [
  epochs.getEvent('EpochStarted').topicHash,
  certificates.getEvent('BatchCertified').topicHash,
  signers.getEvent('SignerLeft').topicHash,
  challenges.getEvent('ChallengeOpened').topicHash,
  challenges.getEvent('ChallengeAnswered').topicHash,
  challenges.getEvent('ChallengeMissed').topicHash,
  payments.getEvent('PromiseRedeemed').topicHash,
]

type Entry = LogRange['logs'][number]

/** What the chain says about what is stored here, or should be: certificates, challenges against us, promises redeemed; and who left. */
export class ChainLog {
  readonly #account: string
  readonly #log: Log

  constructor(account: string, log: Log) {
    this.#account = account
    this.#log = log
  }

  async apply(trx: Transaction<Tables>, { logs, blocks }: LogRange): Promise<void> {
    for (const entry of logs) {
      const time = blocks.get(entry.blockNumber)!.timestamp!
      await this.#certified(trx, entry, time)
      await this.#challenged(trx, entry)
      await this.#left(trx, entry)
      const redeemed = payments.parseLog(entry)
      if (redeemed?.name !== 'PromiseRedeemed') continue
      const { blobId, payer, disperser, nonce, fee } = redeemed.args
      await trx
        .updateTable('promises')
        .set({ redeemed_block: entry.blockNumber })
        .where('payer', '=', getAddress(payer))
        .where('disperser', '=', getAddress(disperser))
        .where('blob_id', '=', blobId)
        .where('nonce', '=', String(nonce))
        .where('fee', '=', String(fee))
        .execute()
    }
  }

  /** Undoes what blocks after `toBlock` said. */
  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    await trx.deleteFrom('batches').where('certified_block', '>', toBlock).where('seed', 'is', null).execute()
    await trx.updateTable('batches').set({ certified_at: null, certified_block: null }).where('certified_block', '>', toBlock).execute()
    await trx
      .updateTable('holdings')
      .set({ listed: null })
      .where('listed', 'is not', null)
      .where((on) => on.not(isCertified(on)))
      .execute()
    await trx.deleteFrom('challenges').where('opened_block', '>', toBlock).execute()
    await trx.updateTable('challenges').set({ closed_block: null }).where('closed_block', '>', toBlock).execute()
    await trx.deleteFrom('departures').where('block', '>', toBlock).execute()
    await trx.updateTable('promises').set({ redeemed_block: null }).where('redeemed_block', '>', toBlock).execute()
  }

  async #certified(trx: Transaction<Tables>, entry: Entry, time: number): Promise<void> {
    const event = certificates.parseLog(entry)
    if (event?.name !== 'BatchCertified') return
    const root = event.args.batchRoot as string
    const epoch = Number(event.args.epoch)
    const certificate = { certified_at: time, certified_block: entry.blockNumber }
    // Also one that we did not sign: its blobs may have rows that are ours.
    await trx
      .insertInto('batches')
      .values({ root, epoch, seed: null, bls: null, ecdsa: null, ...certificate })
      .onConflict((on) => on.columns(['root', 'epoch']).doUpdateSet(certificate))
      .execute()
    // From a sequence, as a number that a reorganisation took back must not come again: readers go on behind the last they saw.
    await trx
      .updateTable('holdings')
      .from((from) =>
        from
          .selectFrom('batch_blobs')
          .innerJoin('batches', (join) => join.onRef('batches.root', '=', 'batch_blobs.root').onRef('batches.epoch', '=', 'batch_blobs.epoch'))
          .select(['batch_blobs.blob_id', 'batches.seed'])
          .where('batches.root', '=', root)
          .where('batches.epoch', '=', epoch)
          .as('signed'),
      )
      .set({ listed: sql<number>`nextval('holdings_listed')` })
      .whereRef('holdings.blob_id', '=', 'signed.blob_id')
      .whereRef('holdings.seed', '=', 'signed.seed')
      .where('holdings.listed', 'is', null)
      .execute()
  }

  async #challenged(trx: Transaction<Tables>, entry: Entry): Promise<void> {
    const event = challenges.parseLog(entry)
    if (!event || event.args.account !== this.#account) return
    const id = String(event.args.id)
    if (event.name === 'ChallengeOpened') {
      const { blobId, row, chunk, deadline } = event.args
      const numbers = { row: Number(row), chunk: Number(chunk), deadline: Number(deadline) }
      await trx
        .insertInto('challenges')
        .values({ id, blob_id: blobId, ...numbers, opened_block: entry.blockNumber, closed_block: null })
        .onConflict((on) => on.doNothing())
        .execute()
      return
    }
    if (event.name === 'ChallengeMissed')
      this.#log.error({ challenge: id, slashed: String(event.args.slashed) }, 'a challenge was not answered in time: stake is lost')
    await trx.updateTable('challenges').set({ closed_block: entry.blockNumber }).where('id', '=', id).where('closed_block', 'is', null).execute()
  }

  async #left(trx: Transaction<Tables>, entry: Entry): Promise<void> {
    const event = signers.parseLog(entry)
    if (event?.name !== 'SignerLeft') return
    const departure = { signer: Number(event.args.id), transaction: entry.transactionHash, block: entry.blockNumber }
    await trx
      .insertInto('departures')
      .values(departure)
      .onConflict((on) => on.columns(['signer', 'block']).doUpdateSet(departure))
      .execute()
  }
}

/** Lists blobs that were stored, or whose batch became known, when it had its certificate already. */
export async function listCertified(db: Kysely<Tables>): Promise<void> {
  await db.updateTable('holdings').set({ listed: sql<number>`nextval('holdings_listed')` }).where('listed', 'is', null).where(isCertified).execute()
}

/** Whether a batch of the blob has a certificate, of the epoch that these rows are for. */
const isCertified = ({ exists, selectFrom }: ExpressionBuilder<Tables, 'holdings'>) =>
  exists(
    selectFrom('batch_blobs')
      .innerJoin('batches', (join) => join.onRef('batches.root', '=', 'batch_blobs.root').onRef('batches.epoch', '=', 'batch_blobs.epoch'))
      .select('batches.root')
      .whereRef('batch_blobs.blob_id', '=', 'holdings.blob_id')
      .whereRef('batches.seed', '=', 'holdings.seed')
      .where('batches.certified_block', 'is not', null),
  )
