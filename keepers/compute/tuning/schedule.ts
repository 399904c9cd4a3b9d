import { GiveUp, type Job, type Queue } from '../../runtime/queue.ts'
import type { Delivery } from './delivery.ts'
import type { Serving } from './serving.ts'
import type { Task, Tasks } from './tasks.ts'
import type { Training } from './training.ts'

export type DeliveryStage = 'deliver' | 'release' | 'penalize'

export interface DeliveryJob {
  task: string
  stage: DeliveryStage
}

/** A stage whose job is done or dead is taken up again after this, if the chain says that it is still due. */
const AGAIN_MS = 600_000

export interface ScheduleOptions {
  tasks: Tasks
  serving: Serving
  training: Training
  delivery: Delivery
  setups: Queue<string>
  trainings: Queue<string>
  deliveries: Queue<DeliveryJob>
}

/** Which job is next for a task. The tables say what a task waits for; the queue sees to it that it is done, at least once. */
export class Schedule {
  readonly #options: ScheduleOptions

  constructor(options: ScheduleOptions) {
    this.#options = options
  }

  /** Queues what is due for a task; what is queued already is not queued twice. */
  async advance(task: Task): Promise<void> {
    const { setups, trainings, serving } = this.#options
    switch (task.state) {
      case 'Init':
      case 'SettingUp':
        return setups.add(task.id, task.id)
      case 'SetUp':
      case 'Training':
        return trainings.add(task.id, task.id)
      case 'Trained':
      case 'Delivering':
        return this.#deliver(task, 'deliver')
      case 'Delivered':
        return (await serving.isOverdue(task)) ? this.#deliver(task, 'penalize') : undefined
      default:
        if (task.acknowledged_block !== null && task.released_block === null) await this.#deliver(task, 'release')
    }
  }

  /** Looks at every task that is not over. */
  async check(signal: AbortSignal): Promise<void> {
    const { tasks, setups, trainings } = this.#options
    const dead = [...(await setups.deadLetters()), ...(await trainings.deadLetters())]
    for (const { data } of dead) await tasks.fail(data, 'the provider could not train this model: try again later')
    for (const task of await tasks.open()) {
      signal.throwIfAborted()
      await this.advance(task)
    }
  }

  async run({ data: { task, stage }, signal }: Job<DeliveryJob>): Promise<void> {
    const { delivery } = this.#options
    if (stage === 'deliver') return delivery.deliver(task, signal)
    if (stage === 'release') return delivery.release(task)
    if (stage === 'penalize') return delivery.penalize(task)
    throw new GiveUp(`unknown stage ${stage}`)
  }

  #deliver({ id }: Task, stage: DeliveryStage): Promise<void> {
    return this.#options.deliveries.add(`${id} ${stage} ${Math.floor(Date.now() / AGAIN_MS)}`, { task: id, stage })
  }
}
