import { z } from 'zod'

// A fine-tuning task as it crosses the wire. Compute §5.1, §5.4.

/** In this order; `Failed` may follow any up to `Delivering`. */
export const TASK_STATES = ['Init', 'SettingUp', 'SetUp', 'Training', 'Trained', 'Delivering', 'Delivered', 'UserAcknowledged', 'Finished', 'Failed'] as const

export type TaskState = (typeof TASK_STATES)[number]

const Hash = z.string().regex(/^0x[0-9a-fA-F]{64}$/, 'expected 32 bytes in hex')

/** The body of `POST /v1/user/{address}/task`. */
export const NewTask = z.object({
  userAddress: z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'expected an address'),
  /** Root of a file in the storage network, or keccak256 of one that was uploaded to the provider. */
  datasetHash: Hash,
  /** JSON text. */
  trainingParams: z.string(),
  preTrainedModelHash: Hash,
  nonce: z
    .string()
    .regex(/^\d{1,30}$/, 'expected a decimal number')
    .transform(BigInt),
  signature: z.string(),
})

export type NewTask = z.output<typeof NewTask>

export interface FeeTerms {
  /** Tokens of the dataset, once. */
  tokens: number
  epochs: number
  /** Wei. */
  pricePerToken: bigint
  /** How much dearer than the price this model is. */
  coefficient: number
  /** Wei, for keeping the model in the storage network. */
  storageFee: bigint
}

/** What a task costs, in wei. Compute §5.4. */
export const taskFee = ({ tokens, epochs, pricePerToken, coefficient, storageFee }: FeeTerms): bigint =>
  BigInt(tokens) * pricePerToken * BigInt(epochs) * BigInt(coefficient) + storageFee
