import { z } from 'zod'
import { address, commonFields } from '../../runtime/config.ts'

export const schema = z.object({
  ...commonFields('da/retriever', 34_005),
  httpPort: z.int().min(0).max(65_535).default(5812).describe('port of blobs over HTTP, health and metrics; 0 takes a free one'),
  dataAvailability: address().describe('the DataAvailability contract: signers, epochs and certificates'),
  privateSigners: z.boolean().default(false).describe('connect to signers at private addresses too; on chains 31337 and 1337 it does so anyway'),
  parallel: z.int().min(1).max(16).default(2).describe('blobs that are fetched at once; each takes up to some 200 MiB of memory'),
  cacheBytes: z.int().min(0).default(268_435_456).describe('bytes of fetched blobs that are kept in memory for whoever asks next; 0 keeps none'),
  codecThreads: z.int().min(0).max(64).default(1).describe('threads that verify and decode rows; 0 does it in the main thread'),
})
