import { z } from 'zod'
import { address, commonFields, keyFields, secret } from '../../runtime/config.ts'
import { settlementFields } from './settlement/config.ts'

const httpUrl = () => z.url({ protocol: /^https?$/ })
/** Bases are joined with paths by concatenation, also by the public SDK. */
const base = () => httpUrl().refine((text) => !text.endsWith('/'), 'expected a URL without a slash at its end')

export const schema = z.object({
  ...commonFields('compute/provider', 5760),
  ...keyFields,
  inference: address().describe('the InferenceServing contract that users pay through'),
  registry: address().describe('the TeeSignerRegistry that attests signers'),
  disputes: address().optional().describe('the ReceiptDisputes contract; without it nobody answers users who challenge a batch, which costs stake'),
  fromBlock: z.int().min(0).default(0).describe('block to read accounts from: that of the deployment of InferenceServing'),
  confirmations: z.int().min(0).max(1000).default(0).describe('blocks to wait before an event counts; reorgs are rolled back either way'),

  simulatedTee: z.string().min(1).optional().describe('file of the development PKI of a simulated TEE, for local chains'),
  dstack: z.string().min(1).optional().describe("socket or URL of dstack's guest agent, inside a real TEE"),

  backend: z.enum(['upstream', 'gguf', 'tuned', 'extractive']).default('extractive').describe('what answers'),
  upstreamUrl: base().optional().describe('base URL of an OpenAI-compatible server, up to and including /v1'),
  upstreamKey: secret(z.string().min(1).optional()).describe('API key of the upstream'),
  gguf: z.string().min(1).optional().describe('GGUF file of the model to run in this process'),
  tuned: z.string().min(1).optional().describe('file of a model that compute/tuning trained with its embedded trainer'),
  models: z.array(z.string().min(1)).default([]).describe('models to serve; all that the backend has when empty'),
  spec: z
    .object({ weights: z.string(), tokenizer: z.string(), template: z.string(), engine: z.string(), dtype: z.string() })
    .partial()
    .default({})
    .describe('JSON of what exactly answers behind an upstream, for receipts: weights, tokenizer, template, engine, dtype'),

  autoRegister: z.boolean().default(false).describe('register and update the service on chain at the start, with its stake'),
  publicUrl: base().optional().describe('where users reach this provider; registered on chain'),
  serviceType: z.enum(['chatbot']).default('chatbot').describe('as the public SDK names services'),
  verifiability: z.string().default('TeeML').describe('as the public SDK names proofs; answers are signed either way'),
  additionalInfo: z.record(z.string(), z.unknown()).default({}).describe('JSON to add to what is registered, such as tieredPricing or cacheTokenBilling'),
  inputPrice: z.coerce.bigint().min(0n).default(1_000_000_000n).describe('wei for a unit (token) of input'),
  outputPrice: z.coerce.bigint().min(0n).default(2_000_000_000n).describe('wei for a unit (token) of output'),

  minimumReserve: z.coerce.bigint().min(0n).default(0n).describe('wei that must be free in an account beyond what a request may cost'),
  defaultMaxTokens: z.int().min(1).default(4096).describe('output reserved for a request that names no limit, where the model has none'),
  defaultContext: z.int().min(1).default(131_072).describe('input reserved for a request with images, where the model has no context length'),
  maxConcurrent: z.int().min(1).default(256).describe('requests that the backend works on at the same time'),
  maxConcurrentPerUser: z.int().min(1).default(64).describe('of these, requests of one user'),
  maxQueued: z.int().min(0).default(1024).describe('requests that wait for their turn; more are refused'),
  queueMs: z.int().min(0).default(10_000).describe('how long a request waits for its turn, in ms'),
  connectMs: z.int().min(100).default(5000).describe('how long connecting to an upstream may take, in ms'),
  firstByteMs: z.int().min(100).default(120_000).describe('how long an upstream may take to begin its answer, or to end one that is not streamed, in ms'),
  deadlineMs: z.int().min(1000).default(600_000).describe('how long an answer may take in all, in ms'),
  stallMs: z.int().min(100).default(60_000).describe('how long the backend may be silent, in ms'),
  drainBytes: z.int().min(0).default(10_485_760).describe('bytes still read from the backend after the client has gone, to learn the usage'),
  staleMs: z.int().min(1000).default(60_000).describe('how long requests are admitted without news from the chain, in ms'),
  idempotencyMs: z.int().min(1000).default(600_000).describe('how long an answer is kept for its Idempotency-Key, in ms'),
  keepDays: z.int().min(14).default(60).describe('how long settled receipts are kept and served, in days: longer than they can be disputed'),

  ...settlementFields,
})

export type Config = z.output<typeof schema>
