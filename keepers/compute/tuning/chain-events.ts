import type { Transaction } from 'kysely'
import type { TaskState } from '../../../protocol/compute/tuning-task.ts'
import type { IFineTuningServingInterface } from '../../../typechain-types/contracts/compute/IFineTuningServing.ts'
import type { LogRange } from '../../runtime/follow.ts'
import type { Tables } from './schema.ts'

const GIVEN_UP = 'the provider has given this delivery up'

/** Writes what the contract says of this provider's deliverables into their tasks. */
export class ChainEvents {
  readonly #contract: IFineTuningServingInterface

  constructor(contract: IFineTuningServingInterface) {
    this.#contract = contract
  }

  /** First topics of the events that are read; the provider is the third topic of each. */
  get topics(): string[] {
    const names = ['DeliverableAdded', 'DeliverableAcknowledged', 'FeesSettled', 'DeliverableAbandoned', 'DeliverableReclaimed'] as const
    return names.map((name) => this.#contract.getEvent(name as 'DeliverableAdded').topicHash)
  }

  async apply(db: Transaction<Tables>, { logs }: LogRange): Promise<void> {
    for (const log of logs) {
      const event = this.#contract.parseLog(log)
      if (!event) continue
      const { deliverableId: id } = event.args as unknown as { deliverableId: string }
      if (event.name === 'DeliverableAdded') await this.#delivered(db, id, log.blockNumber, Number(event.args.timestamp))
      else if (event.name === 'DeliverableAcknowledged') await this.#acknowledged(db, id, log.blockNumber)
      else if (event.name === 'FeesSettled') await this.#settled(db, id, log.blockNumber, event.args.fee as bigint, event.args.acknowledged as boolean)
      else if (event.name === 'DeliverableAbandoned') await this.#abandoned(db, id)
      else if (event.name === 'DeliverableReclaimed') await this.#reclaimed(db, id)
    }
  }

  /** Takes back what was read after `toBlock`. */
  async rollback(db: Transaction<Tables>, toBlock: number): Promise<void> {
    const undone = await db
      .selectFrom('tasks')
      .selectAll()
      .where((on) => on.or((['delivered_block', 'acknowledged_block', 'settled_block', 'released_block'] as const).map((column) => on(column, '>', toBlock))))
      .execute()
    for (const task of undone) {
      const keep = (block: number | null) => (block !== null && block <= toBlock ? block : null)
      const blocks = {
        delivered_block: keep(task.delivered_block),
        acknowledged_block: keep(task.acknowledged_block),
        settled_block: keep(task.settled_block),
        released_block: keep(task.released_block),
      }
      const state: TaskState =
        blocks.settled_block !== null
          ? 'Finished'
          : blocks.acknowledged_block !== null
            ? 'UserAcknowledged'
            : blocks.delivered_block !== null
              ? 'Delivered'
              : 'Delivering'
      await db
        .updateTable('tasks')
        .set({ ...blocks, state })
        .where('id', '=', task.id)
        .execute()
      await note(db, task.id, `The chain was reorganised: back to ${state}`)
    }
  }

  async #delivered(db: Transaction<Tables>, id: string, block: number, timestamp: number): Promise<void> {
    await db
      .updateTable('tasks')
      .set({ state: 'Delivered', delivered_block: block, delivered_at: timestamp, updated_at: new Date() })
      .where('id', '=', id)
      .where('state', '=', 'Delivering')
      .execute()
  }

  async #acknowledged(db: Transaction<Tables>, id: string, block: number): Promise<void> {
    const found = await db
      .updateTable('tasks')
      .set({ acknowledged_block: block, updated_at: new Date() })
      .where('id', '=', id)
      .returning('state')
      .executeTakeFirst()
    if (!found) return
    await db.updateTable('tasks').set({ state: 'UserAcknowledged' }).where('id', '=', id).where('state', '=', 'Delivered').execute()
    await note(db, id, 'Acknowledged by the user')
  }

  async #settled(db: Transaction<Tables>, id: string, block: number, fee: bigint, acknowledged: boolean): Promise<void> {
    const found = await db.selectFrom('tasks').select('settled_block').where('id', '=', id).executeTakeFirst()
    if (!found) return
    await db
      .updateTable('tasks')
      .set({ state: 'Finished', settled_block: found.settled_block ?? block, updated_at: new Date(), ...(acknowledged && { released_block: block }) })
      .where('id', '=', id)
      .execute()
    await note(db, id, acknowledged ? `Settled: ${fee} wei; the key of the model is on chain` : `Not acknowledged in time: a penalty of ${fee} wei was taken`)
  }

  /** By the operator, whom the keeper does not hinder. */
  async #abandoned(db: Transaction<Tables>, id: string): Promise<void> {
    await db.updateTable('tasks').set({ state: 'Failed', failure: GIVEN_UP, updated_at: new Date() }).where('id', '=', id).execute()
    await note(db, id, `Failed: ${GIVEN_UP}`)
  }

  /** The key came too late: nothing more is owed, neither by the user nor to her. */
  async #reclaimed(db: Transaction<Tables>, id: string): Promise<void> {
    await db.updateTable('tasks').set({ acknowledged_block: null, updated_at: new Date() }).where('id', '=', id).execute()
    await note(db, id, 'The user took back what she had paid for the key, which was overdue')
  }
}

async function note(db: Transaction<Tables>, task: string, line: string): Promise<void> {
  await db.insertInto('task_log').values({ task, line }).execute()
}
