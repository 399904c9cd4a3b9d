import type { Log as ChainLog, TransactionReceipt } from 'ethers'
import type { Transaction } from 'kysely'
import type { IDACertificates } from '../../../typechain-types/index.ts'
import { IDACertificates__factory } from '../../../typechain-types/index.ts'
import type { LogRange } from '../../runtime/follow.ts'
import type { Log } from '../../runtime/log.ts'
import type { Batches, Certificate } from './batches.ts'
import type { DisperserMetrics } from './metrics.ts'
import type { Tables } from './schema.ts'

const certificates = IDACertificates__factory.createInterface()
export const CERTIFIED_TOPIC = certificates.getEvent('BatchCertified').topicHash

/** Blocks of one question: endpoints limit how far one may reach. */
const PAGE = 10_000

/** What the chain says of our batches. The receipt of our own transaction says it first; the log has the last word. */
export class Certificates {
  readonly #batches: Batches
  readonly #contract: IDACertificates
  readonly #fromBlock: number
  readonly #metrics: DisperserMetrics
  readonly #log: Log

  constructor(options: { batches: Batches; contract: IDACertificates; fromBlock: number; metrics: DisperserMetrics; log: Log }) {
    this.#batches = options.batches
    this.#contract = options.contract
    this.#fromBlock = options.fromBlock
    this.#metrics = options.metrics
    this.#log = options.log
  }

  /** Takes a batch's certificate from the receipt of the transaction that made it. */
  async take(root: string, receipt: TransactionReceipt): Promise<void> {
    const certificate = receipt.logs.flatMap(certificateIn).find((found) => found.root === root)
    if (!certificate) throw new Error(`transaction ${receipt.hash} succeeded and holds no certificate of ${root}: is that the contract?`)
    const known = await this.#batches.certified(certificate, false)
    if (!known) return
    const { signed, total } = certificate
    const selector = known.call.slice(0, 10)
    const scheme = selector === certificates.getFunction('certify').selector ? 'aggregate' : 'signatures'
    this.#metrics.batch(known.blobIds.length, Number((signed * 1000n) / total) / 1000, scheme, receipt.gasUsed)
    for (const seconds of known.seconds) this.#metrics.total(seconds)
    this.#metrics.ended('certified', known.seconds.length)
    this.#log.info(
      { root, blobs: known.blobIds.length, signed: String(signed), total: String(total), gas: String(receipt.gasUsed), transaction: receipt.hash },
      'certified',
    )
  }

  /** Looks for a certificate that somebody else's transaction made, from the newest block back. Returns whether there is one. */
  async find(root: string): Promise<boolean> {
    const filter = this.#contract.filters.BatchCertified(root)
    for (let to = await this.#contract.runner!.provider!.getBlockNumber(); to >= this.#fromBlock; to -= PAGE) {
      const logs = await this.#contract.queryFilter(filter, Math.max(this.#fromBlock, to - PAGE + 1), to)
      const [certificate] = logs.flatMap(certificateIn)
      if (!certificate) continue
      await this.#batches.certified(certificate, true)
      return true
    }
    return false
  }

  async apply(trx: Transaction<Tables>, { logs, toBlock }: LogRange): Promise<void> {
    const lost = await this.#batches.seen(trx, logs.flatMap(certificateIn), toBlock)
    if (lost.length > 0) this.#log.warn({ roots: lost }, 'a reorganisation undid certificates before they were read: they are sent again')
  }

  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    const lost = await this.#batches.rollback(trx, toBlock)
    if (lost.length > 0) this.#log.warn({ toBlock, roots: lost }, 'a reorganisation undid certificates: they are sent again')
  }
}

function certificateIn(log: Pick<ChainLog, 'topics' | 'data' | 'blockNumber' | 'transactionHash'>): Certificate[] {
  const event = certificates.parseLog(log)
  if (event?.name !== 'BatchCertified') return []
  const { batchRoot, signed, total } = event.args
  return [{ root: batchRoot, block: log.blockNumber, txHash: log.transactionHash, signed, total }]
}
