import { z } from 'zod'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

const url = () => z.url({ protocol: /^https?$/ })

export const schema = z.object({
  ...commonFields('storage/node', 5678),
  ...keyFields,
  flow: address().describe('the Flow contract whose submissions are stored'),
  fromBlock: z.int().min(0).default(0).describe('block to read submissions from: that of the deployment of Flow'),
  confirmations: z.int().min(0).max(1000).default(0).describe('blocks to wait before a submission counts; reorgs are rolled back either way'),
  shard: z
    .string()
    .regex(/^\d+\/\d+$/, 'expected <id>/<count>, as in 0/1')
    .refine((text) => {
      const [id, count] = text.split('/').map(Number) as [number, number]
      return count >= 1 && Number.isInteger(Math.log2(count)) && id < count
    }, 'expected a count that is a power of two and an id below it')
    .default('0/1')
    .describe('part of the log that is stored, as <id>/<count>'),
  peers: z.array(url()).default([]).describe('storage nodes that missing files are fetched from'),
  indexer: url().optional().describe('indexer to ask for more such nodes'),
  publicUrl: url().optional().describe('where others reach this node; announced to the indexer'),
  announceMs: z.int().min(50).default(30_000).describe('how often it is announced, in ms'),
  maxInflightBytes: z.int().min(16_777_216).default(134_217_728).describe('bytes of requests that are read at the same time; others wait'),
  earlyBytes: z.int().min(0).default(268_435_456).describe('bytes of small files that are kept before their submission is seen'),
  reserveBytes: z.int().min(0).default(134_217_728).describe('bytes of the disk that are left free: without room for its database a node stops'),
  replicateMs: z.int().min(50).default(3000).describe('how often missing files are looked for on peers, in ms'),
  replicateAfterMs: z.int().min(0).default(10_000).describe('how long an uploader is given before peers are asked, in ms'),
  scrubMs: z.int().min(50).default(60_000).describe('how often stored files are read for damage, in ms'),
  scrubBytes: z.int().min(262_144).default(1_073_741_824).describe('bytes that are read each time'),
  leaseMs: z.int().min(50).default(5000).describe('how often leases are looked at and receipts are signed, in ms'),
})

export type Config = z.output<typeof schema>
