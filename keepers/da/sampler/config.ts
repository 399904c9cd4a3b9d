import { z } from 'zod'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

export const schema = z.object({
  ...commonFields('da/sampler', 5813),
  ...keyFields,
  signers: z
    .array(z.string().regex(/^[^\s/]+:\d{1,5}$/, 'expected host:port'))
    .min(1)
    .describe('gRPC addresses of the signers to answer for, host:port; what they win is theirs'),
  dataAvailability: address().describe('the DataAvailability contract that certifies their blobs'),
  samplingRewards: address().describe('the SamplingRewards contract that pays for answers'),
  chunksPerSecond: z.int().min(1).default(20_000).describe('chunks to read from each signer in a second, at most: what it takes of the machine'),
  margin: z.number().min(0).default(1.2).describe('an answer is sent when its reward is at least this many times its cost'),
})

export type Config = z.output<typeof schema>
