import { existsSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { parseTrainingParams } from '../../../protocol/compute/tuning-params.ts'
import { taskFee } from '../../../protocol/compute/tuning-task.ts'
import type { Log } from '../../runtime/log.ts'
import type { Job } from '../../runtime/queue.ts'
import type { Enclave } from './enclave.ts'
import type { OfferedModel } from './models.ts'
import type { Serving } from './serving.ts'
import type { ModelStorage } from './storage.ts'
import type { TaskFolders } from './task-folder.ts'
import type { Task, Tasks } from './tasks.ts'
import { type Progress, TrainingFailed } from './trainers/trainer.ts'
import { fileKeccak, type Uploads } from './uploads.ts'

/** How often what is no fault of the task is tried again, before the task fails for it. */
export const TRAINING_ATTEMPTS = 4

export interface TrainingOptions {
  tasks: Tasks
  uploads: Uploads
  storage: ModelStorage | undefined
  serving: Serving
  enclave: Enclave
  folders: TaskFolders
  models: readonly OfferedModel[]
  storageFee: bigint
  maxDatasetBytes: number
  /** The task may go on: what is next is to be queued. */
  next: (task: Task) => Promise<void>
  log: Log
}

/** From a task to its encrypted model. Every step may be repeated; nothing of it is on chain yet. */
export class Training {
  readonly #options: TrainingOptions
  readonly #running = new Map<string, AbortController>()

  constructor(options: TrainingOptions) {
    this.#options = options
  }

  /** Fetches the dataset, counts its tokens, and makes sure that the user can pay. */
  setUp(job: Job<string>): Promise<void> {
    return this.#attempt(job, async (task, signal) => {
      const { tasks, uploads, storage, serving, folders, storageFee, maxDatasetBytes } = this.#options
      if (!(await tasks.move(task.id, ['Init', 'SettingUp'], 'SettingUp'))) return
      const model = this.#modelOf(task)
      await folders.prepare(task.id)
      const dataset = folders.dataset(task.id)
      if (!(await uploads.copy(task.user, task.dataset_hash.toLowerCase(), dataset))) {
        if (!storage) throw new TrainingFailed(`the dataset ${task.dataset_hash} was not uploaded here by this user, and this provider uses no storage network`)
        await storage.fetch(task.dataset_hash.toLowerCase(), dataset, maxDatasetBytes, signal)
      }
      const tokens = await model.trainer.countTokens({ taskId: task.id, model: model.name, dataset, folder: folders.work(task.id), signal })
      const { num_train_epochs: epochs } = parseTrainingParams(task.params)
      const fee = taskFee({ tokens, epochs, pricePerToken: await serving.pricePerToken(), coefficient: model.coefficient, storageFee })
      await requireFunds(serving, task.user, fee)
      const ready = await tasks.move(task.id, ['SettingUp'], 'SetUp', { tokens, fee: String(fee) })
      if (!ready) return
      if (model.standsInFor)
        await tasks.log(task.id, `STAND-IN: ${model.standsInFor} is not available on this local network; an embedded classifier is trained in its place`)
      await tasks.log(task.id, `Set up: ${tokens} tokens, fee ${fee} wei`)
      await this.#options.next(ready)
    })
  }

  /** Trains, and encrypts what came of it. */
  train(job: Job<string>): Promise<void> {
    return this.#attempt(job, async (task, signal) => {
      const { tasks, enclave, folders } = this.#options
      const training = await tasks.move(task.id, ['SetUp', 'Training'], 'Training')
      if (!training) return
      const trained = folders.trained(task.id)
      if (!existsSync(trained)) await rename(await this.#trainOn(task, signal), trained)
      const delivery = folders.delivery(task.id)
      await enclave.encryptModel(task.id, trained, delivery)
      const { hash, size } = await fileKeccak(delivery)
      const ready = await tasks.move(task.id, ['Training'], 'Trained', { file_hash: hash, file_size: size, signer: this.#options.serving.signer })
      if (!ready) return
      await folders.clear(task.id)
      await tasks.log(task.id, `Trained: the encrypted model has ${size} bytes`)
      await this.#options.next(ready)
    })
  }

  /** Ends what a cancelled task is doing, and removes its files. */
  async abandon(taskId: string): Promise<void> {
    this.#running.get(taskId)?.abort(new Error('the task was cancelled'))
    if (!this.#running.has(taskId)) await this.#options.folders.remove(taskId)
  }

  async #trainOn(task: Task, signal: AbortSignal): Promise<string> {
    const { tasks, folders } = this.#options
    const model = this.#modelOf(task)
    await tasks.log(task.id, `Training ${model.name}`)
    let writing = Promise.resolve()
    const onProgress = (progress: Progress): void => {
      writing = writing
        .then(() => tasks.progress(task.id, progress))
        .catch((error) => this.#options.log.warn({ err: error, task: task.id }, 'progress was not recorded'))
    }
    const params = parseTrainingParams(task.params)
    const job = { taskId: task.id, model: model.name, dataset: folders.dataset(task.id), folder: folders.work(task.id), params, signal, onProgress }
    try {
      return await model.trainer.train(job)
    } finally {
      await writing
    }
  }

  #modelOf({ model: name }: Task): OfferedModel {
    const model = this.#options.models.find((each) => each.name === name)
    if (!model) throw new TrainingFailed(`this provider no longer tunes ${name}`)
    return model
  }

  /** Runs a step of a task. What ends the task is recorded for its user; what is no fault of hers is tried again some times first. */
  async #attempt(job: Job<string>, step: (task: Task, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { tasks, folders, log } = this.#options
    const task = await tasks.find(job.data)
    if (!task || this.#running.has(task.id)) return
    const cancelling = new AbortController()
    this.#running.set(task.id, cancelling)
    try {
      await step(task, AbortSignal.any([job.signal, cancelling.signal]))
    } catch (error) {
      if (job.signal.aborted) throw error
      const final = error instanceof TrainingFailed
      if (!final && !cancelling.signal.aborted && job.attempt < TRAINING_ATTEMPTS) throw error
      log.info({ err: error, task: task.id }, 'a task failed')
      await tasks.fail(task.id, final ? error.message : 'the provider could not train this model: try again later')
    } finally {
      this.#running.delete(task.id)
    }
    if ((await tasks.find(task.id))?.state === 'Failed') await folders.remove(task.id)
  }
}

/** The money must be there, and the user must let herself be charged it, before work is done. */
async function requireFunds(serving: Serving, user: string, fee: bigint): Promise<void> {
  const { funds, ceiling } = (await serving.meansOf(user)) ?? { funds: 0n, ceiling: 0n }
  if (funds < fee)
    throw new TrainingFailed(`the task costs ${fee} wei, and the sub-account with this provider has ${funds}: transfer funds to it, then create the task again`)
  if (ceiling > 0n && fee > ceiling) throw new TrainingFailed(`the task costs ${fee} wei, above the ceiling of ${ceiling} that you have set for this provider`)
}
