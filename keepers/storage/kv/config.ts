import { z } from 'zod'
import { address, commonFields } from '../../runtime/config.ts'

const streamId = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'expected a stream id: 0x and 64 hex digits')
  .toLowerCase()

export const kvConfig = z
  .object({
    ...commonFields('storage/kv', 6789),
    flow: address().describe('the Flow contract whose submissions are replayed'),
    fromBlock: z.int().min(0).default(0).describe('block to follow the log from; submissions before it are never replayed'),
    confirmations: z.int().min(0).max(1000).default(0).describe('blocks that must follow a submission before it is read'),
    streams: z.array(streamId).default([]).describe('streams to watch; none given: all'),
    indexer: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('indexer that knows which storage nodes hold a file'),
    nodes: z
      .array(z.url({ protocol: /^https?$/ }))
      .min(1)
      .optional()
      .describe('storage nodes to download from instead of those the indexer names'),
    dataWaitSeconds: z
      .int()
      .min(0)
      .default(600)
      .describe('seconds a submission waits for data that the storage network does not have before it is DownloadFailed'),
    lateDataHours: z.int().min(0).default(24).describe('hours in which data that appear later are still taken, and replay goes back to them'),
  })
  .refine(({ indexer, nodes }) => indexer !== undefined || nodes !== undefined, 'indexer or nodes must be set: from where are the data of submissions to come?')

export type KvConfig = z.output<typeof kvConfig>
