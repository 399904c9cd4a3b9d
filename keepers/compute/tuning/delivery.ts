import type { Log } from '../../runtime/log.ts'
import { Reverted } from '../../runtime/revert.ts'
import type { Enclave } from './enclave.ts'
import type { Serving } from './serving.ts'
import type { ModelStorage } from './storage.ts'
import type { TaskFolders } from './task-folder.ts'
import type { Task, Tasks } from './tasks.ts'

export interface DeliveryOptions {
  tasks: Tasks
  storage: ModelStorage | undefined
  serving: Serving
  enclave: Enclave
  folders: TaskFolders
  log: Log
}

/** From the encrypted model to the money. What costs something is sent once for each task, by the name of the intent; what happened is read from the chain. */
export class Delivery {
  readonly #options: DeliveryOptions

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** Stores the file and puts its root on chain. */
  async deliver(taskId: string, signal: AbortSignal): Promise<void> {
    const { tasks, storage, serving, folders } = this.#options
    const task = await tasks.move(taskId, ['Trained', 'Delivering'], 'Delivering')
    if (!task) return
    // Not asked again once the root is known, as it may be on its way to the chain.
    if (task.root === null && !(await this.#isAffordable(task))) return
    const root = task.root ?? (storage ? await storage.store(folders.delivery(taskId), `store ${taskId}`, signal) : task.file_hash!)
    await tasks.set(taskId, { root })
    await serving.deliver({ ...task, root })
    await tasks.log(taskId, `Delivered: ${root}. Acknowledge it within ${await serving.acknowledgementWindow()} seconds`)
  }

  /** A refund that the user asked for during the training may have taken the money away. */
  async #isAffordable({ id, user, fee }: Task): Promise<boolean> {
    const { tasks, serving, folders } = this.#options
    const funds = (await serving.meansOf(user))?.funds ?? 0n
    if (funds >= BigInt(fee!)) return true
    await tasks.fail(id, `the task costs ${fee} wei, and of the sub-account only ${funds} are left: they were withdrawn during the training`)
    await folders.remove(id)
    return false
  }

  /** Gives the key to a user who acknowledged, for the fee, or for what a penalty left of it. */
  async release(taskId: string): Promise<void> {
    const { tasks, enclave } = this.#options
    const task = await tasks.find(taskId)
    if (!task || task.acknowledged_block === null || task.released_block !== null) return
    const encryptedSecret = await enclave.secretFor(task.id, task.public_key)
    await this.#settle(task, encryptedSecret, task.settled_block === null ? 'settle' : 'release')
  }

  /** Takes the penalty of a user who did not acknowledge in time. */
  async penalize(taskId: string): Promise<void> {
    const { tasks, serving } = this.#options
    const task = await tasks.find(taskId)
    if (task?.state !== 'Delivered' || !(await serving.isOverdue(task))) return
    await this.#settle(task, '0x', 'penalty')
  }

  async #settle(task: Task, encryptedSecret: string, intent: 'settle' | 'release' | 'penalty'): Promise<void> {
    const { serving, log } = this.#options
    try {
      await serving.settle(task, encryptedSecret, intent)
    } catch (error) {
      if (error instanceof Reverted) log.warn({ task: task.id, intent, error: error.error }, 'a settlement was refused and will be tried again')
      throw error
    }
  }
}
