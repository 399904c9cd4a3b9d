import { z } from 'zod'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

export const schema = z.object({
  ...commonFields('storage/renewer', 5682),
  ...keyFields,
  flow: address().describe('the Flow contract whose submissions are renewed'),
  fromBlock: z.int().min(0).default(0).describe('block to read submissions from: that of the deployment of Flow'),
  confirmations: z.int().min(0).max(1000).default(0).describe('blocks to wait before a submission counts; reorgs are rolled back either way'),
  uploaders: z.array(address()).default([]).describe('accounts whose submissions are kept alive; the account of the key itself when empty'),
  renewBeforeSeconds: z.int().min(1).optional().describe('how long before its end a lease is renewed; a quarter of the lease period by default'),
  maxPricePerSector: z.coerce.bigint().min(0n).optional().describe('wei; at a higher price nothing is renewed, and the log says so'),
  checkMs: z.int().min(50).default(60_000).describe('how often leases are looked at, in ms'),
})

export type Config = z.output<typeof schema>
