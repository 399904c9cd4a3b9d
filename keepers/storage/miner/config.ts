import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { isValidShard } from '../../../protocol/storage/shard.ts'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

const shardOf = (text: string) => {
  const [shardId, numShard] = text.split('/').map(Number) as [number, number]
  return { shardId, numShard }
}

export const schema = z.object({
  ...commonFields('storage/miner', 5680),
  ...keyFields,
  mine: address().describe('the PoraMine contract that pays for proofs'),
  nodeUrl: z
    .url({ protocol: /^https?$/ })
    .default('http://127.0.0.1:5678')
    .describe('storage node whose data are sealed and mined'),
  shard: z
    .string()
    .regex(/^\d+\/\d+$/, 'expected <id>/<count>, as in 0/1')
    .refine((text) => isValidShard(shardOf(text)), 'expected a count that is a power of two and an id below it')
    .default('0/1')
    .transform(shardOf)
    .describe('part of the log that is mined, as <id>/<count>: that of the storage node'),
  threads: z
    .int()
    .min(1)
    .max(256)
    .default(Math.max(1, availableParallelism() - 1))
    .describe('threads that mine'),
  sealThreads: z.int().min(1).max(256).default(1).describe('threads that seal; idle once everything is sealed'),
  nonceRate: z.number().min(0).default(0).describe('nonces per second and thread at most, to leave the machine for others; 0 is as many as it can'),
  margin: z.number().min(0).default(1.2).describe('an answer is sent when its reward is at least this many times its cost'),
  openEpochs: z.boolean().default(true).describe('whether to open an epoch that nobody else has opened, so that new data can be sealed'),
  withdrawAbove: z.bigint().min(1n).optional().describe('credit in wei from which rewards are withdrawn; they stay in the contract without it'),
})

export type Config = z.output<typeof schema>
