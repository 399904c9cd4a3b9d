import type { Kysely, Transaction } from 'kysely'
import { treeOf } from '../../../../protocol/compute/batch.ts'
import { receiptHash } from '../../../../protocol/compute/receipt.ts'
import type { IReceiptDisputes } from '../../../../typechain-types/index.ts'
import type { LogRange } from '../../../runtime/follow.ts'
import type { Log } from '../../../runtime/log.ts'
import { Reverted } from '../../../runtime/revert.ts'
import type { Sender } from '../../../runtime/sender.ts'
import type { Receipts } from '../signing.ts'
import type { Tables } from '../tables.ts'
import type { Batches } from './batches.ts'

export interface ChallengesOptions {
  db: Kysely<Tables>
  batches: Batches
  disputes: IReceiptDisputes
  /** Its address. */
  address: string
  provider: string
  sender: Sender
  receipts: Receipts
  log: Log
}

/** Answers users who doubt that the receipts of a batch add up to what it charged them, with the first and the last of theirs in it. */
export class Challenges {
  readonly #options: ChallengesOptions

  constructor(options: ChallengesOptions) {
    this.#options = options
  }

  async apply(trx: Transaction<Tables>, { logs }: LogRange): Promise<void> {
    const { disputes, address, provider, log } = this.#options
    for (const one of logs) {
      if (one.address !== address) continue
      const event = disputes.interface.parseLog(one)
      if (event?.name === 'TotalExplained') await trx.updateTable('challenges').set({ closed_block: one.blockNumber }).where('id', '=', event.args.id).execute()
      if (event?.name === 'FaultProven' && event.args.provider === provider) {
        log.error(
          { user: event.args.user, fault: Number(event.args.fault), wei: event.args.taken.toString(), transaction: one.transactionHash },
          'a fault was proven: stake is gone',
        )
      }
      if (event?.name !== 'TotalChallenged' || event.args.provider !== provider) continue
      const { id, user, nonce, deadline } = event.args
      const row = { user, nonce: Number(nonce), deadline: Number(deadline), block_number: one.blockNumber, closed_block: null }
      await trx
        .insertInto('challenges')
        .values({ id, ...row })
        .onConflict((on) => on.column('id').doUpdateSet(row))
        .execute()
    }
  }

  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    await trx.deleteFrom('challenges').where('block_number', '>', toBlock).execute()
    await trx.updateTable('challenges').set({ closed_block: null }).where('closed_block', '>', toBlock).execute()
  }

  /** @param now unix seconds */
  async answer(now: number): Promise<void> {
    const { db, log } = this.#options
    const open = await db.selectFrom('challenges').selectAll().where('closed_block', 'is', null).where('deadline', '>=', now).orderBy('deadline').execute()
    for (const { id, user, nonce, deadline } of open) {
      try {
        await this.#explain(id, user, nonce)
      } catch (error) {
        // Another challenge may have its answer all the same.
        if (!(error instanceof Reverted)) throw error
        log.error({ err: error, challenge: id, user, nonce, deadline }, 'a challenge could not be answered: without an answer by its deadline stake is lost')
      }
    }
  }

  async #explain(id: string, user: string, nonce: number): Promise<void> {
    const { batches, disputes, address, sender, receipts, log } = this.#options
    const answers = await batches.answersOf(nonce)
    const tree = treeOf(answers.map((answer) => receiptHash(receipts.of(answer))))
    const own = answers.flatMap((answer, index) => (answer.user === user ? [{ receipt: receipts.of(answer), path: tree.proof(index) }] : []))
    const [first, last] = [own[0], own.at(-1)]
    if (!first || !last) {
      log.error({ challenge: id, user, nonce }, 'a challenge is about a batch that is not on record: it can not be answered')
      return
    }
    const data = disputes.interface.encodeFunctionData('explainTotal', [id, first, last])
    const { hash } = await sender.send({ key: `explain ${id}`, to: address, data })
    log.info({ challenge: id, user, nonce, transaction: hash }, 'a challenge is answered')
  }
}
