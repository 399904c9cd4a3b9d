import { z } from 'zod'
import { address, commonFields, keyFields, secret } from '../../runtime/config.ts'

const ApiKey = z.strictObject({
  key: z.string().min(16, 'expected at least 16 characters'),
  /** The key on chain whose limits apply; a session without limits when it is not given. */
  tokenId: z.int().min(0).max(254).optional(),
})

export const schema = z.object({
  ...commonFields('compute/gateway', 5780),
  ...keyFields,
  inference: address().describe('the InferenceServing contract whose services are used, with sub-accounts of the key at their providers'),
  registry: address().describe('the TeeSignerRegistry that attests signers'),
  providers: z.array(address()).default([]).describe('providers that may be used; all that are registered when empty'),
  allowDevelopment: z.boolean().default(false).describe('use providers whose attestation is simulated'),
  apiKeys: secret(z.record(z.string().min(1), ApiKey).default({})).describe(
    'who may ask, as JSON: {"alice":{"key":"…","tokenId":1}}; everybody who reaches this gateway when empty, on a loopback address only',
  ),
  maxInputPrice: z.coerce.bigint().min(0n).optional().describe('wei for a unit (token) of input that is not to be exceeded'),
  maxOutputPrice: z.coerce.bigint().min(0n).optional().describe('wei for a unit (token) of output that is not to be exceeded'),
  latencyWeight: z.number().min(0).max(1).default(0.5).describe('what counts: 0 only the price, 1 only the time to the first byte'),
  attempts: z.int().min(1).max(20).default(3).describe('providers that are tried for a request'),
  firstByteMs: z.int().min(100).max(600_000).default(20_000).describe('how long a stream may take to begin before the next provider is tried, in ms'),
  answerMs: z
    .int()
    .min(100)
    .max(3_600_000)
    .default(300_000)
    .describe('how long an answer that is not streamed may take before the next provider is tried, in ms'),
  stallMs: z.int().min(100).max(600_000).default(60_000).describe('how long a stream may be silent before it is given up, in ms'),
  refreshMs: z
    .int()
    .min(50)
    .max(600_000)
    .default(5000)
    .describe('how often services, standings and balances are read, and providers are asked for their models, in ms'),
})

export type Config = z.output<typeof schema>
