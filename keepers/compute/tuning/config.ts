import { z } from 'zod'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

const httpUrl = () => z.url({ protocol: /^https?$/ })
/** Bases are joined with paths by concatenation, also by the public SDK. */
const base = () => httpUrl().refine((text) => !text.endsWith('/'), 'expected a URL without a slash at its end')
const hash = () =>
  z
    .string()
    .regex(/^0x[0-9a-fA-F]{64}$/, 'expected 32 bytes in hex')
    .transform((text) => text.toLowerCase())
const argv = () => z.array(z.string().min(1)).min(1)

const Offer = {
  description: z.string().min(1),
  /** How much dearer than `pricePerToken`. */
  coefficient: z.int().min(1).max(1_000_000).default(1),
}

const EmbeddedModel = z.strictObject({ trainer: z.literal('embedded'), hash: hash().optional(), ...Offer })

const CommandModel = z.strictObject({
  trainer: z.literal('command'),
  /** By which tasks name the model: the root of its weights in the storage network. */
  hash: hash(),
  /** Repository of its tokenizer, for users who count tokens beforehand. */
  tokenizer: z.string().min(1),
  command: argv(),
  cleanup: argv().optional(),
  timeoutSeconds: z.number().min(1).default(86_400),
  graceSeconds: z.number().min(0).default(30),
  maxOutputBytes: z
    .int()
    .min(1)
    .default(4 * 2 ** 30),
  ...Offer,
})

export const ModelConfig = z.discriminatedUnion('trainer', [EmbeddedModel, CommandModel])

export const schema = z.object({
  ...commonFields('compute/tuning', 5770),
  ...keyFields,
  serving: address().describe('the FineTuningServing contract that users pay through'),
  registry: address().describe('the TeeSignerRegistry that attests signers'),
  fromBlock: z.int().min(0).default(0).describe('block to read deliverables from: that of the deployment of FineTuningServing'),
  confirmations: z.int().min(0).max(1000).default(0).describe('blocks to wait before an acknowledgement counts: with it the key of a model is given away'),

  simulatedTee: z.string().min(1).optional().describe('file of the development PKI of a simulated TEE, for local chains'),
  dstack: z.string().min(1).optional().describe("socket or URL of dstack's guest agent, inside a real TEE"),

  autoRegister: z.boolean().default(false).describe('register and update the service on chain at the start, with its stake'),
  publicUrl: base().optional().describe('where users reach this provider; registered on chain'),
  pricePerToken: z.coerce.bigint().min(0n).default(1_000_000_000_000n).describe('wei for a token of the dataset, for each epoch'),
  storageFee: z.coerce.bigint().min(0n).default(0n).describe('wei added to each task for keeping its model in the storage network'),
  models: z
    .record(z.string().regex(/^[\w.-]{1,100}$/, 'expected letters, digits, ".", "_" and "-"'), ModelConfig)
    .default({})
    .describe('models to tune, by name; the embedded classifier when empty'),

  indexer: httpUrl().optional().describe('indexer of the storage network that datasets come from and models go to; without it, users upload and download here'),
  maxDatasetBytes: z.int().min(1).max(104_857_600).default(104_857_600).describe('largest dataset'),
  uploadBytes: z.int().min(1).default(10_737_418_240).describe('datasets that users uploaded, kept at the same time'),
  keepUploadsHours: z.number().min(1).default(24).describe('how long an uploaded dataset waits for its task'),
  keepModelDays: z.int().min(1).default(30).describe('how long the file of a finished task can be downloaded here'),

  concurrentTrainings: z.int().min(1).default(1).describe('trainings at the same time'),
  maxPending: z.int().min(1).default(5).describe('tasks that wait for their training; more are refused'),
  checkMs: z.int().min(50).default(60_000).describe('how often tasks are looked at, in ms'),
})

export type Config = z.output<typeof schema>
