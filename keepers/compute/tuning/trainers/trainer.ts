import type { TrainingParams } from '../../../../protocol/compute/tuning-params.ts'

/** One training, wherever it happens. */
export interface TrainingJob {
  taskId: string
  /** The base model, by the name the provider offers it under. */
  model: string
  /** File of rows. */
  dataset: string
  /** A folder of the job's own that survives a restart: checkpoints belong there. */
  folder: string
  params: TrainingParams
  signal: AbortSignal
  onProgress: (progress: Progress) => void
}

/** How far a training is. Numbers only: the log of a task can be read by anyone. */
export interface Progress {
  step: number
  /** Steps in all. */
  steps: number
  loss?: number | undefined
  /** Over rows that are not trained on. */
  heldOutLoss?: number | undefined
  /** Share of those rows that are answered right. */
  heldOutAccuracy?: number | undefined
  /** It goes on from here after an interruption. */
  resumed?: boolean | undefined
}

/** Trains models. What it throws is taken for a passing trouble and tried again, except `TrainingFailed`. */
export interface Trainer {
  /** Tokens of a dataset, by this model's own tokenizer: what is charged for. @throws TrainingFailed */
  countTokens(job: Omit<TrainingJob, 'onProgress' | 'params'>): Promise<number>
  /** Trains, from the last checkpoint on if there is one, and gives the path of the model. @throws TrainingFailed */
  train(job: TrainingJob): Promise<string>
}

/** Training again can't help: the dataset is unusable, the trainer said no. The message is shown to the user. */
export class TrainingFailed extends Error {
  override readonly name = 'TrainingFailed'
}
