import { z } from 'zod'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

export const schema = z.object({
  ...commonFields('da/signer', 34_000),
  ...keyFields,
  httpPort: z.int().min(0).max(65_535).default(5811).describe('port of health, metrics and dead letters; 0 takes a free one'),
  dataAvailability: address().describe('the DataAvailability contract: signers, epochs and certificates'),
  challenges: address().describe('the AvailabilityChallenges contract, which the stake is put under'),
  payments: address().describe('the BlobPayments contract'),
  bonds: address().describe('the Bonds contract'),
  fromBlock: z.int().min(0).default(0).describe('block to read certificates and challenges from: that of the deployment of the contracts'),
  confirmations: z.int().min(0).max(1000).default(0).describe('blocks to wait before a log counts; reorgs are rolled back either way'),
  publicUrl: z
    .string()
    .regex(/^[^\s/]+:\d{1,5}$/, 'expected host:port')
    .optional()
    .describe('where others reach its gRPC, host:port; registered on chain. Where it listens, by default'),
  stake: z.coerce.bigint().min(0n).optional().describe('wei to have bonded: its weight; the least that is allowed, by default'),
  join: z.boolean().default(false).describe('take part again, once, though the account resigned: for the start after a resignation'),
  maxBytes: z.int().min(1_048_576).default(107_374_182_400).describe('bytes of blobs it stores; beyond, blobs are refused'),
  codecThreads: z.int().min(0).max(64).default(1).describe('threads that verify rows; 0 does it in the main thread'),
  checkMs: z.int().min(50).default(3000).describe('how often registration, epochs and open challenges are looked at, in ms'),
  pruneMs: z.int().min(50).default(60_000).describe('how often blobs that need not be held any more are looked for, in ms'),
  privateSigners: z.boolean().default(false).describe('fetch rows from signers at private addresses too; on chains 31337 and 1337 it does so anyway'),
  repairMs: z.int().min(50).default(60_000).describe('how often rows that are missing are looked for and fetched back from the other members, in ms'),
  scrubMs: z.int().min(50).default(3_600_000).describe('least time from the beginning of one reading of all rows to that of the next, in ms'),
  scrubRate: z.int().min(65_536).default(4_194_304).describe('bytes in a second at which rows are read again to find those that are damaged'),
})

export type Config = z.output<typeof schema>
