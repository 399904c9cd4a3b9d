import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { keccak256 } from 'ethers'
import { encodeModel, tokenize } from '../../../../protocol/compute/tuned-model.ts'
import { DatasetError, parseDataset, type Row } from '../../../../protocol/compute/tuning-dataset.ts'
import type { TrainingParams } from '../../../../protocol/compute/tuning-params.ts'
import { ClassifierTraining, type TrainingState } from './classifier.ts'
import { type Progress, TrainingFailed } from './trainer.ts'

export type EmbeddedTask = { count: true; dataset: string } | { count: false; dataset: string; folder: string; params: TrainingParams }

export type EmbeddedReport = { progress: Progress } | { tokens: number } | { model: string } | { failed: string }

/** Reports of a training, beside the first and the last. */
const REPORTS = 20
/** Work that a crash may cost, in ms. */
const CHECKPOINT_MS = 500

const report = (message: EmbeddedReport): void => parentPort!.postMessage(message)

function readRows(path: string): { rows: Row[]; digest: string } {
  const bytes = readFileSync(path)
  try {
    return { rows: parseDataset(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), digest: keccak256(bytes) }
  } catch (error) {
    if (error instanceof TypeError) throw new DatasetError('the dataset is not UTF-8', { cause: error })
    throw error
  }
}

function writeAtomic(path: string, bytes: Uint8Array): void {
  writeFileSync(`${path}.tmp`, bytes)
  renameSync(`${path}.tmp`, path)
}

/** Goes on from a checkpoint if there is one that can be used. */
function restore(training: ClassifierTraining, checkpoint: string): boolean {
  try {
    training.restore(deserialize(readFileSync(checkpoint)) as TrainingState)
    return true
  } catch {
    return false // none, or damaged: the work is repeated
  }
}

function train(dataset: string, folder: string, params: TrainingParams): string {
  const { rows, digest } = readRows(dataset)
  // Whoever has the dataset and the parameters can make the same model again.
  const seed = Number.parseInt(keccak256(Buffer.from(digest + JSON.stringify(params))).slice(2, 10), 16)
  const training = new ClassifierTraining(rows, params, seed)
  const checkpoint = join(folder, 'checkpoint')
  const resumed = restore(training, checkpoint)
  let [losses, count, savedAt] = [0, 0, Date.now()]
  const tell = (): void => {
    const heldOut = training.evaluate()
    const { step, steps } = training
    report({
      progress: {
        step,
        steps,
        loss: count > 0 ? losses / count : undefined,
        heldOutLoss: heldOut?.loss,
        heldOutAccuracy: heldOut?.accuracy,
        resumed: resumed && count === 0,
      },
    })
    losses = count = 0
  }
  tell()
  const every = Math.ceil(training.steps / REPORTS)
  while (training.step < training.steps) {
    losses += training.next()
    count++
    if (training.step % every === 0 || training.step === training.steps) tell()
    if (Date.now() - savedAt < CHECKPOINT_MS) continue
    writeAtomic(checkpoint, serialize(training.save()))
    savedAt = Date.now()
  }
  const { learning_rate, num_train_epochs } = params
  training.model.header.training = { dataset: digest, seed, steps: training.steps, rows: rows.length, learning_rate, num_train_epochs }
  const path = join(folder, 'model')
  writeAtomic(path, encodeModel(training.model))
  return path
}

try {
  const task = workerData as EmbeddedTask
  if (task.count)
    report({ tokens: readRows(task.dataset).rows.reduce((sum, { prompt, answer }) => sum + tokenize(prompt).length + tokenize(answer).length, 0) })
  else report({ model: train(task.dataset, task.folder, task.params) })
} catch (error) {
  if (!(error instanceof DatasetError || error instanceof TrainingFailed)) throw error
  report({ failed: error.message })
}
