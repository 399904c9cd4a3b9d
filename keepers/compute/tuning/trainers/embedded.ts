import { Worker } from 'node:worker_threads'
import type { EmbeddedReport, EmbeddedTask } from './embedded-worker.ts'
import { type Progress, type Trainer, TrainingFailed } from './trainer.ts'

/** Heap of the training thread, in MiB: a dataset that needs more fails its task instead of the keeper. */
const HEAP_MIB = 2048

/** Trains the embedded classifier in a thread of this process. */
export const embeddedTrainer: Trainer = {
  async countTokens({ dataset, signal }) {
    const end = await runThread({ count: true, dataset }, signal)
    return (end as { tokens: number }).tokens
  },
  async train({ dataset, folder, params, signal, onProgress }) {
    const end = await runThread({ count: false, dataset, folder, params }, signal, onProgress)
    return (end as { model: string }).model
  },
}

/** Runs a thread to its last report. Aborted, it ends at once; what it has checkpointed is whole. */
async function runThread(task: EmbeddedTask, signal: AbortSignal, onProgress?: (progress: Progress) => void): Promise<EmbeddedReport> {
  signal.throwIfAborted()
  const worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), { workerData: task, resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB } })
  const { promise, resolve, reject } = Promise.withResolvers<EmbeddedReport>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  worker.on('message', (message: EmbeddedReport) => {
    if ('progress' in message) onProgress?.(message.progress)
    else if ('failed' in message) reject(new TrainingFailed(message.failed))
    else resolve(message)
  })
  worker.once('error', (error: Error & { code?: string }) =>
    reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? new TrainingFailed(`the dataset needs more than ${HEAP_MIB} MiB of memory to be trained on`) : error),
  )
  worker.once('exit', (code) => reject(new Error(`the training thread ended with code ${code}`)))
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
    await worker.terminate()
  }
}
