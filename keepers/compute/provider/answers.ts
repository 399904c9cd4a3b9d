import type { Kysely } from 'kysely'
import { type ReceiptTree, treeOf } from '../../../protocol/compute/batch.ts'
import { receiptHash } from '../../../protocol/compute/receipt.ts'
import { type ReceiptJson, receiptToJson } from '../../../protocol/compute/receipt-json.ts'
import type { Receipts } from './signing.ts'
import type { Answer, Tables } from './tables.ts'

/** What the public SDK fetches to check an answer. */
export interface ResponseSignature {
  text: string
  signature: string
  signing_address: string
  signing_algo: 'ecdsa'
}

/** Everything there is to prove or to dispute an answer. */
export interface ReceiptDocument {
  receipt: ReceiptJson
  /** EIP-712. */
  digest: string
  /** What is signed, EIP-191. */
  text: string
  signature: string
  signer: string
  domain: { chainId: number; verifyingContract: string }
  model: string
  unitsRule: string
  state: Answer['state']
  batch?: { nonce: number; requestsHash: string; items: string[]; signature: string; signer: string; transaction: string | null; proof: string[] }
}

/** Trees of the batches that were asked about last: making one takes a hash for each receipt. */
const TREES = 16
const DAY_SECONDS = 86_400
/** Rows at once, so that nobody waits for the database meanwhile. */
const PRUNED_AT_ONCE = 5000

export interface AnswersOptions {
  db: Kysely<Tables>
  receipts: Receipts
  chainId: number
  /** InferenceServing. */
  contract: string
  keepDays: number
}

/** The answers on record. */
export class Answers {
  readonly #options: AnswersOptions
  readonly #trees = new Map<number, { leaves: Map<string, number>; tree: ReceiptTree }>()

  constructor(options: AnswersOptions) {
    this.#options = options
  }

  /** Undefined for an answer that is not (or no longer) on record. */
  async signature(answer: string): Promise<ResponseSignature | undefined> {
    const row = await this.#find(answer)
    if (!row) return undefined
    const { text } = this.#options.receipts.provable(row)
    return { text, signature: row.signature, signing_address: row.signer, signing_algo: 'ecdsa' }
  }

  async document(answer: string): Promise<ReceiptDocument | undefined> {
    const row = await this.#find(answer)
    if (!row) return undefined
    const { receipts, chainId, contract } = this.#options
    const { receipt, digest, text } = receipts.provable(row)
    const batch = row.batch === null ? undefined : await this.#batch(row.batch, receiptHash(receipt))
    return {
      receipt: receiptToJson(receipt),
      digest,
      text,
      signature: row.signature,
      signer: row.signer,
      domain: { chainId, verifyingContract: contract },
      model: row.model,
      unitsRule: row.units_rule,
      state: row.state,
      ...(batch && { batch }),
    }
  }

  /**
   * Forgets answers that can't be disputed any more: of batches that were made long ago, however old the answers. The last one of each key of each
   * user stays: the next one counts on from it.
   * @param now unix seconds
   */
  async prune(now: number): Promise<void> {
    const { db, keepDays } = this.#options
    const before = now - keepDays * DAY_SECONDS
    const old = db
      .selectFrom('answers as old')
      .select('old.id')
      .where('old.state', 'in', ['settled', 'written_off'])
      .where('old.created_at', '<', before)
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('batches').select('batches.nonce').whereRef('batches.nonce', '=', 'old.batch').where('batches.created_at', '>=', before))),
      )
      .where(({ exists, selectFrom }) =>
        exists(
          selectFrom('answers as later')
            .select('later.id')
            .whereRef('later.user', '=', 'old.user')
            .whereRef('later.token_id', '=', 'old.token_id')
            .whereRef('later.key_epoch', '=', 'old.key_epoch')
            .whereRef('later.sequence', '>', 'old.sequence'),
        ),
      )
      .limit(PRUNED_AT_ONCE)
    await db.deleteFrom('answers').where('id', 'in', old).execute()
    await db.deleteFrom('replays').where('expires_at', '<', Date.now()).execute()
  }

  #find(answer: string): Promise<Answer | undefined> {
    return this.#options.db.selectFrom('answers').selectAll().where('id', '=', answer).executeTakeFirst()
  }

  async #batch(nonce: number, leaf: string): Promise<ReceiptDocument['batch']> {
    const batch = await this.#options.db.selectFrom('batches').selectAll().where('nonce', '=', nonce).executeTakeFirst()
    if (!batch) return undefined
    const { leaves, tree } = await this.#tree(nonce)
    // Of an old batch some receipts are forgotten: it proves nothing any more, and nobody can dispute it.
    if (tree.root !== batch.root) return undefined
    const { root, items, signature, signer, tx_hash } = batch
    return { nonce, requestsHash: root, items: JSON.parse(items), signature, signer, transaction: tx_hash, proof: tree.proof(leaves.get(leaf)!) }
  }

  async #tree(nonce: number): Promise<{ leaves: Map<string, number>; tree: ReceiptTree }> {
    const known = this.#trees.get(nonce)
    if (known) return known
    const { db, receipts } = this.#options
    const rows = await db.selectFrom('answers').selectAll().where('batch', '=', nonce).orderBy('user').orderBy('sequence').execute()
    const hashes = rows.map((row) => receiptHash(receipts.of(row)))
    const made = { leaves: new Map(hashes.map((hash, index) => [hash, index])), tree: treeOf(hashes) }
    this.#trees.set(nonce, made)
    if (this.#trees.size > TREES) this.#trees.delete(this.#trees.keys().next().value!)
    return made
  }
}
