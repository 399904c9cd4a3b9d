import { z } from 'zod'
import { commonFields } from '../../runtime/config.ts'

const { host, port, dataDir, logLevel } = commonFields('storage/indexer', 12345)

export const schema = z.object({
  host,
  port,
  dataDir,
  logLevel,
  nodes: z
    .array(z.url({ protocol: /^https?$/ }))
    .min(1)
    .describe('storage nodes that clients may be sent to'),
  discover: z.boolean().default(true).describe('whether other nodes may announce themselves; private addresses only to an indexer on a loopback address'),
  maxDiscovered: z.int().min(1).max(100_000).default(1000).describe('such nodes at most'),
  discoveredHealthMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(10_000)
    .describe('pause between two health checks of such a node, in ms; the third failure drops it'),
  healthMs: z.int().min(100).max(60_000).default(1000).describe('pause between two health checks of a node, in ms'),
})

export type Config = z.output<typeof schema>
