import { z } from 'zod'
import { EVMNET_HASH } from '../../../protocol/randomness/drand.ts'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

/** Run by different operators; all have the paths of drand's HTTP API, version 1. */
const RELAYS = ['https://api.drand.sh', 'https://api2.drand.sh', 'https://api3.drand.sh', 'https://drand.cloudflare.com']

export const schema = z.object({
  ...commonFields('randomness/beacon', 5791),
  ...keyFields,
  randomness: address().describe('the Drand contract to bring rounds to'),
  consumers: z.array(address()).min(1).describe('contracts to bring rounds for when they wait for one: DataAvailability'),
  relays: z
    .array(z.url({ protocol: /^https?$/ }))
    .min(1)
    .default(RELAYS)
    .describe('where rounds are asked for, all at once: the first right answer counts'),
  network: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits')
    .default(EVMNET_HASH)
    .describe('hash that relays know the network by, that of evmnet by default'),
})

export type Config = z.output<typeof schema>
