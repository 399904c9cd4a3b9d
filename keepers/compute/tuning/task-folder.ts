import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** Where the files of tasks are. What the trainer sees and what is delivered are kept apart. */
export class TaskFolders {
  readonly #root: string

  constructor(root: string) {
    this.#root = resolve(root)
  }

  /** The trainer's: dataset, checkpoints, output. In clear. */
  work(taskId: string): string {
    return join(this.#root, 'work', taskId)
  }

  /** A folder of its own below `work`: all of it may be mounted into a container. */
  dataset(taskId: string): string {
    return join(this.work(taskId), 'input', 'dataset')
  }

  /** A finished model, in clear, until it is encrypted. */
  trained(taskId: string): string {
    return join(this.work(taskId), 'trained')
  }

  /** The encrypted file that is delivered. */
  delivery(taskId: string): string {
    return join(this.#root, 'models', taskId)
  }

  async prepare(taskId: string): Promise<void> {
    await mkdir(join(this.work(taskId), 'input'), { recursive: true, mode: 0o700 })
    await mkdir(join(this.#root, 'models'), { recursive: true, mode: 0o700 })
  }

  /** Removes everything in clear. */
  async clear(taskId: string): Promise<void> {
    await rm(this.work(taskId), { recursive: true, force: true })
  }

  async remove(taskId: string): Promise<void> {
    await this.clear(taskId)
    await rm(this.delivery(taskId), { force: true })
  }
}
