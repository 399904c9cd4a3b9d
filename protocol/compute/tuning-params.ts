import { z } from 'zod'

// Training parameters as the public SDK's users write them: a JSON object of exactly these keys. Compute §5.1.

export const TrainingParams = z.strictObject({
  /** Noise added to embeddings while training; 0 = none. */
  neftune_noise_alpha: z.number().min(0).max(10),
  num_train_epochs: z.int().min(1).max(10),
  per_device_train_batch_size: z.int().min(1).max(4),
  learning_rate: z.number().min(1e-5).max(1e-3),
  /** Ends training early; -1 = after the epochs. */
  max_steps: z.int().refine((steps) => steps === -1 || steps > 0, 'expected -1 or a positive number'),
})

export type TrainingParams = z.output<typeof TrainingParams>

/** Characters of the JSON text that are looked at. */
export const MAX_PARAMS_LENGTH = 4096

export class TrainingParamsError extends Error {
  override readonly name = 'TrainingParamsError'
}

/**
 * Reads the JSON text of training parameters.
 * @throws TrainingParamsError naming every key that is missing, unknown or out of range
 */
export function parseTrainingParams(text: string): TrainingParams {
  if (text.length > MAX_PARAMS_LENGTH) throw new TrainingParamsError(`trainingParams has ${text.length} characters, more than ${MAX_PARAMS_LENGTH}`)
  const exponents: string[] = []
  let value: unknown
  try {
    // Trainers read the text too, and not all of them read 2e-4 as a number.
    value = JSON.parse(text, (key, part, context?: { source?: string }) => {
      if (typeof part === 'number' && /e/i.test(context?.source ?? '')) exponents.push(`${key} is ${context!.source}: write it as a decimal, such as 0.0002`)
      return part
    })
  } catch (cause) {
    throw new TrainingParamsError(`trainingParams is not JSON: ${(cause as Error).message}`, { cause })
  }
  const parsed = TrainingParams.safeParse(value)
  const problems = [...exponents, ...(parsed.error?.issues ?? []).map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))]
  if (problems.length > 0 || !parsed.data) throw new TrainingParamsError(`trainingParams: ${problems.join('; ')}`)
  return parsed.data
}
