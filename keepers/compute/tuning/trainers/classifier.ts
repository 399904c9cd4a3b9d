import { embed, features, logProbabilities, MAX_ANSWERS, type ModelHeader, type TunedModel } from '../../../../protocol/compute/tuned-model.ts'
import type { Row } from '../../../../protocol/compute/tuning-dataset.ts'
import type { TrainingParams } from '../../../../protocol/compute/tuning-params.ts'
import { Adam } from './adam.ts'
import { Random } from './random.ts'
import { TrainingFailed } from './trainer.ts'

const BUCKETS = 1 << 13
const DIMENSION = 32
/** The rates that users know are those of large models; this one learns well at twenty times as much. */
const RATE_SCALE = 20
/** One row in so many is kept out of training, if there are at least twice as many. */
const HELD_OUT_ONE_IN = 10

/** Apart from each other, so that no stream of random numbers depends on how much another was used. */
const STREAM = { initial: 1, order: 2, noise: 3, holdOut: 4 } as const

export interface Evaluation {
  /** Mean of -ln(probability of the right answer). */
  loss: number
  accuracy: number
}

interface Example {
  features: Uint32Array
  answer: number
}

/** What a checkpoint keeps: everything else follows from dataset, parameters and seed. */
export interface TrainingState {
  step: number
  tensors: Float32Array[]
}

/** A model in training: step `n` is the same computation whenever, and however often, it is reached. */
export class ClassifierTraining {
  readonly steps: number
  readonly model: TunedModel
  step = 0
  readonly #examples: Example[]
  readonly #heldOut: Example[]
  readonly #params: TrainingParams
  readonly #seed: number
  readonly #stepsPerEpoch: number
  readonly #adam: { embeddings: Adam; weights: Adam; bias: Adam }
  #order: { epoch: number; indices: Uint32Array } | undefined

  /** @throws TrainingFailed when there are too many different answers, or only one */
  constructor(rows: readonly Row[], params: TrainingParams, seed: number) {
    this.#params = params
    this.#seed = seed
    const answers = [...new Set(rows.map(({ answer }) => answer))].sort()
    if (answers.length > MAX_ANSWERS) throw new TrainingFailed(`the dataset has ${answers.length} different answers; this model learns up to ${MAX_ANSWERS}`)
    if (answers.length < 2) throw new TrainingFailed('every row of the dataset has the same answer: there is nothing to learn')
    this.model = initialModel(answers, new Random(seed, STREAM.initial))
    const { embeddings, weights, bias } = this.model
    const rate = params.learning_rate * RATE_SCALE
    this.#adam = { embeddings: new Adam(embeddings, rate), weights: new Adam(weights, rate), bias: new Adam(bias, rate) }

    const indexOf = new Map(answers.map((answer, i) => [answer, i]))
    const all = rows.map(({ prompt, answer }) => ({ features: features(prompt, BUCKETS), answer: indexOf.get(answer)! }))
    const chosen = new Random(seed, STREAM.holdOut).permutation(all.length)
    const kept = all.length >= 2 * HELD_OUT_ONE_IN ? Math.floor(all.length / HELD_OUT_ONE_IN) : 0
    this.#heldOut = Array.from(chosen.subarray(0, kept), (i) => all[i]!)
    this.#examples = Array.from(chosen.subarray(kept), (i) => all[i]!)
    this.#stepsPerEpoch = Math.ceil(this.#examples.length / params.per_device_train_batch_size)
    const steps = this.#stepsPerEpoch * params.num_train_epochs
    this.steps = params.max_steps > 0 ? Math.min(steps, params.max_steps) : steps
  }

  /** Trains on one batch; gives its mean loss before that. */
  next(): number {
    const { per_device_train_batch_size: size } = this.#params
    const epoch = Math.floor(this.step / this.#stepsPerEpoch)
    const start = (this.step % this.#stepsPerEpoch) * size
    const batch = this.#orderOf(epoch).subarray(start, start + size)
    const noise = new Random(this.#seed, STREAM.noise, this.step)
    this.step++
    let loss = 0
    for (const index of batch) loss += this.#learn(this.#examples[index]!, batch.length, noise)
    for (const optimizer of Object.values(this.#adam)) optimizer.apply(this.step)
    return loss / batch.length
  }

  /** On rows that are never trained on; undefined when the dataset is too small to spare any. */
  evaluate(): Evaluation | undefined {
    if (this.#heldOut.length === 0) return undefined
    let loss = 0
    let right = 0
    for (const { features, answer } of this.#heldOut) {
      const scores = logProbabilities(this.model, embed(this.model, features))
      loss -= scores[answer]!
      if (scores.every((score) => score <= scores[answer]!)) right++
    }
    return { loss: loss / this.#heldOut.length, accuracy: right / this.#heldOut.length }
  }

  save(): TrainingState {
    return { step: this.step, tensors: this.#tensors() }
  }

  /** @throws RangeError when the state is of another training */
  restore({ step, tensors }: TrainingState): void {
    const mine = this.#tensors()
    if (step > this.steps || tensors.length !== mine.length || tensors.some(({ length }, i) => length !== mine[i]!.length))
      throw new RangeError('this checkpoint is of another training')
    for (const [i, tensor] of tensors.entries()) mine[i]!.set(tensor)
    this.step = step
  }

  #tensors(): Float32Array[] {
    const { embeddings, weights, bias } = this.#adam
    return [embeddings, weights, bias].flatMap((optimizer) => optimizer.tensors())
  }

  /** Adds the gradient of one example; gives its loss. */
  #learn({ features, answer }: Example, batch: number, noise: Random): number {
    const { header, weights } = this.model
    const hidden = embed(this.model, features)
    const { neftune_noise_alpha: alpha } = this.#params
    // NEFTune: uniform noise of alpha / √(length · dimension) on what was embedded.
    if (alpha > 0 && features.length > 0) {
      const scale = alpha / Math.sqrt(features.length * header.dimension)
      for (let d = 0; d < header.dimension; d++) hidden[d]! += (2 * noise.next() - 1) * scale * INITIAL_SCALE
    }
    const scores = logProbabilities(this.model, hidden)
    const back = new Float64Array(header.dimension)
    for (let k = 0; k < header.answers.length; k++) {
      const error = (Math.exp(scores[k]!) - (k === answer ? 1 : 0)) / batch
      this.#adam.bias.add(k, error)
      for (let d = 0; d < header.dimension; d++) {
        const at = k * header.dimension + d
        back[d]! += error * weights[at]!
        this.#adam.weights.add(at, error * hidden[d]!)
      }
    }
    for (const bucket of features)
      for (let d = 0; d < header.dimension; d++) this.#adam.embeddings.add(bucket * header.dimension + d, back[d]! / features.length)
    return -scores[answer]!
  }

  #orderOf(epoch: number): Uint32Array {
    if (this.#order?.epoch !== epoch) this.#order = { epoch, indices: new Random(this.#seed, STREAM.order, epoch).permutation(this.#examples.length) }
    return this.#order.indices
  }
}

const INITIAL_SCALE = 0.1

/** The untrained model: as good as any other guess. */
function initialModel(answers: string[], random: Random): TunedModel {
  const header: ModelHeader = { architecture: 'bag-classifier/1', buckets: BUCKETS, dimension: DIMENSION, answers, training: {} }
  const uniform = () => (2 * random.next() - 1) * INITIAL_SCALE
  return {
    header,
    embeddings: Float32Array.from({ length: BUCKETS * DIMENSION }, uniform),
    weights: Float32Array.from({ length: answers.length * DIMENSION }, uniform),
    bias: new Float32Array(answers.length),
  }
}
