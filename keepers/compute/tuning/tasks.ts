import { randomUUID } from 'node:crypto'
import { type Kysely, type Selectable, sql } from 'kysely'
import type { TaskState } from '../../../protocol/compute/tuning-task.ts'
import type { Tables, TaskTable } from './schema.ts'
import type { Progress } from './trainers/trainer.ts'

export type Task = Selectable<TaskTable>

/** States in which the user may still call a task off: nothing of it is on chain. */
export const CANCELLABLE: readonly TaskState[] = ['Init', 'SettingUp', 'SetUp', 'Training', 'Trained']
/** States before the training. */
export const PENDING: readonly TaskState[] = ['Init', 'SettingUp', 'SetUp']
const OVER: readonly TaskState[] = ['Finished', 'Failed']

const CANCELLED = 'cancelled by the user'

/** Trainings that a user may call off in a day: they cost her nothing. */
const MOST_CANCELLED = 3
const DAY_MS = 86_400_000

/** Tasks of one user that are listed, the latest. */
const MOST_LISTED = 100
/** Lines of a log that are served, the latest. */
const MOST_LINES = 2000

export type Refusal = 'unfinished' | 'nonce-used' | 'queue-full' | 'too-many-cancelled'

/** The tasks of all users, and what is logged about each. */
export class Tasks {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  /** Takes a task on, unless its user has another one under way, has signed it before, or too many wait. */
  async create(
    task: Pick<Task, 'user' | 'nonce' | 'dataset_hash' | 'model_hash' | 'model' | 'params' | 'public_key'>,
    maxPending: number,
  ): Promise<Task | Refusal> {
    return this.#db.transaction().execute(async (trx) => {
      // Two requests at once would both find room.
      await sql`lock table tasks in share row exclusive mode`.execute(trx)
      const last = await trx.selectFrom('tasks').select('nonce').where('user', '=', task.user).orderBy('nonce', 'desc').limit(1).executeTakeFirst()
      if (last && BigInt(last.nonce) >= BigInt(task.nonce)) return 'nonce-used'
      const unfinished = await trx.selectFrom('tasks').select('id').where('user', '=', task.user).where('state', 'not in', OVER).executeTakeFirst()
      if (unfinished) return 'unfinished'
      if ((await this.#cancelled(trx, task.user)) >= MOST_CANCELLED) return 'too-many-cancelled'
      if ((await this.#count(trx, PENDING)) >= maxPending) return 'queue-full'
      return trx
        .insertInto('tasks')
        .values({ ...task, id: randomUUID(), state: 'Init', step: 0, updated_at: new Date() })
        .returningAll()
        .executeTakeFirstOrThrow()
    })
  }

  find(id: string): Promise<Task | undefined> {
    return this.#db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst()
  }

  /** The latest first. */
  async of(user: string, limit = MOST_LISTED): Promise<Task[]> {
    return this.#db.selectFrom('tasks').selectAll().where('user', '=', user).orderBy('nonce', 'desc').limit(limit).execute()
  }

  /** Tasks on which something may have to be done, the oldest first. */
  async open(): Promise<Task[]> {
    return this.#db
      .selectFrom('tasks')
      .selectAll()
      .where((on) => on.or([on('state', 'not in', OVER), on.and([on('acknowledged_block', 'is not', null), on('released_block', 'is', null)])]))
      .orderBy('created_at')
      .execute()
  }

  /** Tasks that were over before `time`, and whose files are still there. */
  async overBefore(time: Date): Promise<Task[]> {
    return this.#db.selectFrom('tasks').selectAll().where('state', 'in', OVER).where('removed', '=', false).where('updated_at', '<', time).execute()
  }

  /** Moves a task from one of `from` to another state; undefined when it is in none of these (any more). */
  async move(id: string, from: readonly TaskState[], to: TaskState, changes: Partial<Task> = {}): Promise<Task | undefined> {
    return this.#db
      .updateTable('tasks')
      .set({ ...changes, state: to, updated_at: new Date() })
      .where('id', '=', id)
      .where('state', 'in', from)
      .returningAll()
      .executeTakeFirst()
  }

  /** A task that nothing of is on chain ends here; undefined when it is past that. */
  async fail(id: string, reason: string): Promise<Task | undefined> {
    const failed = await this.move(id, [...CANCELLABLE, 'Delivering'], 'Failed', { failure: reason })
    if (failed) await this.log(id, `Failed: ${reason}`)
    return failed
  }

  /** Calls a task off; undefined when it is past that. */
  async cancel(id: string): Promise<Task | undefined> {
    const cancelled = await this.move(id, CANCELLABLE, 'Failed', { failure: CANCELLED })
    if (cancelled) await this.log(id, `Failed: ${CANCELLED}`)
    return cancelled
  }

  /** The files of a task are gone. */
  async removed(id: string): Promise<void> {
    await this.#db.updateTable('tasks').set({ removed: true }).where('id', '=', id).execute()
  }

  async set(id: string, changes: Partial<Task>): Promise<void> {
    await this.#db
      .updateTable('tasks')
      .set({ ...changes, updated_at: new Date() })
      .where('id', '=', id)
      .execute()
  }

  async progress(id: string, { step, steps, loss, heldOutLoss, heldOutAccuracy, resumed }: Progress): Promise<void> {
    await this.#db
      .updateTable('tasks')
      .set({ step, steps, ...(loss !== undefined && { loss }), updated_at: new Date() })
      .where('id', '=', id)
      .where('state', '=', 'Training')
      .execute()
    const parts = [
      `${resumed ? 'Resumed at step' : 'Step'} ${step}/${steps}`,
      ...(loss === undefined ? [] : [`loss ${loss.toFixed(4)}`]),
      ...(heldOutLoss === undefined ? [] : [`held-out loss ${heldOutLoss.toFixed(4)}`]),
      ...(heldOutAccuracy === undefined ? [] : [`held-out accuracy ${(100 * heldOutAccuracy).toFixed(1)} %`]),
    ]
    await this.log(id, parts.join(', '))
  }

  async log(id: string, line: string): Promise<void> {
    await this.#db.insertInto('task_log').values({ task: id, line }).execute()
  }

  async logOf(id: string): Promise<{ at: Date; line: string }[]> {
    const latest = await this.#db.selectFrom('task_log').select(['at', 'line']).where('task', '=', id).orderBy('position', 'desc').limit(MOST_LINES).execute()
    return latest.reverse()
  }

  pending(): Promise<number> {
    return this.#count(this.#db, PENDING)
  }

  async byState(): Promise<{ state: TaskState; count: number }[]> {
    const rows = await this.#db
      .selectFrom('tasks')
      .select((on) => ['state', on.fn.countAll<string>().as('count')])
      .groupBy('state')
      .execute()
    return rows.map(({ state, count }) => ({ state, count: Number(count) }))
  }

  /** Trainings of a user that began within the last day and were called off. */
  async #cancelled(db: Kysely<Tables>, user: string): Promise<number> {
    const { count } = await db
      .selectFrom('tasks')
      .select((on) => on.fn.countAll<string>().as('count'))
      .where('user', '=', user)
      .where('failure', '=', CANCELLED)
      .where('steps', 'is not', null)
      .where('created_at', '>', new Date(Date.now() - DAY_MS))
      .executeTakeFirstOrThrow()
    return Number(count)
  }

  async #count(db: Kysely<Tables>, states: readonly TaskState[]): Promise<number> {
    const { count } = await db
      .selectFrom('tasks')
      .select((on) => on.fn.countAll<string>().as('count'))
      .where('state', 'in', states)
      .executeTakeFirstOrThrow()
    return Number(count)
  }
}
