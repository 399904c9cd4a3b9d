import type { Kysely, Selectable, Transaction } from 'kysely'
import { rootOfNodes, type SubmissionNode } from '../../../protocol/storage/merkle.ts'
import type { SubmissionTable, Tables } from './schema.ts'
import type { FileKey } from './stored-file.ts'

/** A submission of the log: what its Submit event said, and how far this node has come with it. */
export interface Submission extends FileKey {
  seq: number
  startEntry: number
  sectors: number
  nodes: SubmissionNode[]
  sender: string
  tags: string
  txHash: string
  block: number
  seenAt: number
  /** Every segment of this node's shard is stored. */
  stored: boolean
  /** Unix seconds; undefined until the market was asked. */
  leaseUntil: number | undefined
}

/** A Submit event. */
export type NewSubmission = Omit<Submission, 'root' | 'seenAt' | 'stored' | 'leaseUntil'>

/** Answers are remembered this long, so that the segments of an upload, which come by the hundred, cost one query and not one each. */
const REMEMBER_MS = 1000

export class Submissions {
  readonly #db: Kysely<Tables>
  readonly #remembered = new Map<string, { at: number; rows: Submission[] }>()

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  async bySeq(seq: number): Promise<Submission | undefined> {
    const rows = await this.#remember(`seq ${seq}`, () => this.#db.selectFrom('submissions').selectAll().where('seq', '=', seq).execute())
    return rows[0]
  }

  /** All submissions of a root, oldest first. */
  byRoot(root: string): Promise<Submission[]> {
    return this.#remember(`root ${root}`, () => this.#db.selectFrom('submissions').selectAll().where('root', '=', root).orderBy('seq').execute())
  }

  /** All submissions of the same bytes, oldest first. */
  async byKey({ root, size }: FileKey): Promise<Submission[]> {
    return (await this.byRoot(root)).filter((submission) => submission.size === size)
  }

  /** The next `limit` submissions behind `seq`, in order. */
  async after(seq: number, limit: number): Promise<Submission[]> {
    return (await this.#db.selectFrom('submissions').selectAll().where('seq', '>', seq).orderBy('seq').limit(limit).execute()).map(fromRow)
  }

  /** Submissions paid for at `time` (unix seconds) whose segments are not all here, behind `seq` and in order. */
  async unfinished(seq: number, time: number, limit: number): Promise<Submission[]> {
    const query = this.#db.selectFrom('submissions').selectAll().where('finalized_at', 'is', null).where('seq', '>', seq)
    const paid = query.where((on) => on.or([on('lease_until', 'is', null), on('lease_until', '>=', time)]))
    return (await paid.orderBy('seq').limit(limit).execute()).map(fromRow)
  }

  /** Submissions that overlap sectors [start, end), in order. */
  async overlapping(start: number, end: number): Promise<Submission[]> {
    const { first } = await this.#db
      .selectFrom('submissions')
      .select((on) => on.fn.max('start_entry').as('first'))
      .where('start_entry', '<=', start)
      .executeTakeFirstOrThrow()
    const query = this.#db
      .selectFrom('submissions')
      .selectAll()
      .where('start_entry', '<', end)
      .where('start_entry', '>=', first ?? start)
    return (await query.orderBy('start_entry').execute()).map(fromRow).filter(({ startEntry, sectors }) => startEntry + sectors > start)
  }

  async count(db: Kysely<Tables> = this.#db): Promise<number> {
    const { next } = await db
      .selectFrom('submissions')
      .select((on) => on.fn.max('seq').as('next'))
      .executeTakeFirstOrThrow()
    return next === null ? 0 : next + 1
  }

  /** Writes down a Submit event, in the transaction that moves the cursor. */
  async insert(trx: Transaction<Tables>, submission: NewSubmission): Promise<void> {
    const row = { ...toRow(submission), root: rootOfNodes(submission.nodes), seen_at: Date.now(), finalized_at: null, lease_until: null, renewed_block: null }
    await trx
      .insertInto('submissions')
      .values(row)
      .onConflict((on) => on.column('seq').doUpdateSet(row))
      .execute()
    this.forget()
  }

  /** Takes back what came after `block`. Resolves to the number of submissions left. */
  async rollback(trx: Transaction<Tables>, block: number): Promise<number> {
    await trx.deleteFrom('submissions').where('block_number', '>', block).execute()
    await trx.updateTable('submissions').set({ lease_until: null, renewed_block: null }).where('renewed_block', '>', block).execute()
    this.forget()
    return this.count(trx)
  }

  /** Marks submissions as stored completely, or as lacking something. */
  async setStored(seqs: number[], stored: boolean): Promise<void> {
    if (seqs.length === 0) return
    await this.#db
      .updateTable('submissions')
      .set({ finalized_at: stored ? Date.now() : null })
      .where('seq', 'in', seqs)
      .execute()
    this.forget()
  }

  /** The data folder is not the one these rows speak of: nothing counts as stored. */
  async setNothingStored(): Promise<void> {
    await this.#db.updateTable('submissions').set({ finalized_at: null }).execute()
    this.forget()
  }

  async setLease(seq: number, until: number): Promise<void> {
    await this.#db.updateTable('submissions').set({ lease_until: until }).where('seq', '=', seq).execute()
    this.forget()
  }

  /** Records a renewal if it names a submission exactly; any other triple bought nothing. */
  async renewLease(trx: Transaction<Tables>, renewal: { seq: number; startEntry: number; sectors: number; until: number; block: number }): Promise<void> {
    await trx
      .updateTable('submissions')
      .set({ lease_until: renewal.until, renewed_block: renewal.block })
      .where('seq', '=', renewal.seq)
      .where('start_entry', '=', renewal.startEntry)
      .where('sectors', '=', renewal.sectors)
      .execute()
    this.forget()
  }

  /** Submissions whose lease has not been asked for yet. */
  async withoutLease(limit: number): Promise<Submission[]> {
    return (await this.#db.selectFrom('submissions').selectAll().where('lease_until', 'is', null).orderBy('seq').limit(limit).execute()).map(fromRow)
  }

  /** Stored submissions whose lease ended before `time` (unix seconds). */
  async storedButUnpaid(time: number, limit: number): Promise<Submission[]> {
    const query = this.#db.selectFrom('submissions').selectAll().where('lease_until', '<', time).where('finalized_at', 'is not', null)
    return (await query.orderBy('lease_until').limit(limit).execute()).map(fromRow)
  }

  /** Drops remembered answers. */
  forget(): void {
    this.#remembered.clear()
  }

  async #remember(question: string, ask: () => Promise<Selectable<SubmissionTable>[]>): Promise<Submission[]> {
    const known = this.#remembered.get(question)
    if (known && Date.now() - known.at < REMEMBER_MS) return known.rows
    const at = Date.now()
    const rows = (await ask()).map(fromRow)
    if (this.#remembered.size > 1000) this.forget()
    if (rows.length > 0) this.#remembered.set(question, { at, rows })
    return rows
  }
}

function toRow({ seq, size, startEntry, sectors, nodes, sender, tags, txHash, block }: NewSubmission) {
  return { seq, size, start_entry: startEntry, sectors, nodes: JSON.stringify(nodes), sender, tags, tx_hash: txHash, block_number: block }
}

function fromRow(row: Selectable<SubmissionTable>): Submission {
  return {
    seq: row.seq,
    root: row.root,
    size: row.size,
    startEntry: row.start_entry,
    sectors: row.sectors,
    nodes: JSON.parse(row.nodes),
    sender: row.sender,
    tags: row.tags,
    txHash: row.tx_hash,
    block: row.block_number,
    seenAt: row.seen_at,
    stored: row.finalized_at !== null,
    leaseUntil: row.lease_until ?? undefined,
  }
}
