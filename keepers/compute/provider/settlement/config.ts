import { z } from 'zod'
import { address } from '../../../runtime/config.ts'

/** What an operator decides about settlement; part of the provider's configuration. */
export const settlementFields = {
  settleMs: z.int().min(50).default(15_000).describe('how often it is looked whether answers are to be settled, in ms'),
  settleValue: z.coerce.bigint().min(1n).default(100_000_000_000_000_000n).describe('wei; when this much is owed it is settled at once'),
  settleAfterSeconds: z.int().min(0).default(600).describe('how old an answer becomes before it is settled, unless gas costs too much'),
  settleLatestSeconds: z
    .int()
    .min(0)
    .default(43_200)
    .describe('how old an answer becomes before it is settled even if gas takes more, as long as it does not take all'),
  settleGasPercent: z.int().min(1).default(10).describe('what gas may take of the fees that a batch settles, in percent'),
  settleMarginSeconds: z
    .int()
    .min(1)
    .default(1800)
    .describe('how long before a refund unlocks, or an old price can no longer be charged, what depends on it is settled'),
  settleDryRun: z.boolean().default(false).describe('say what would be settled and send nothing'),
  withdrawAbove: z.coerce.bigint().min(1n).default(1_000_000_000_000_000_000n).describe('wei; earnings above this are withdrawn'),
  withdrawTo: address().optional().describe('where earnings go; the account of the key by default'),
}

export type SettlementConfig = z.output<z.ZodObject<typeof settlementFields>>
