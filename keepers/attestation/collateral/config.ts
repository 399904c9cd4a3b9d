import { z } from 'zod'
import { INTEL_PCS } from '../../../sdk/attestation/pcs.ts'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

const DAY = 86_400

export const schema = z.object({
  ...commonFields('attestation/collateral', 5790),
  ...keyFields,
  collateral: address().describe('the CollateralRegistry to keep up to date'),
  fromBlock: z.int().min(0).default(0).describe('block to read platforms from: that of the deployment of the registry'),
  confirmations: z.int().min(0).max(1000).default(0).describe('blocks to wait before a platform counts; reorgs are rolled back either way'),
  pcsUrl: z
    .url({ protocol: /^https?$/ })
    .default(INTEL_PCS)
    .describe("Intel's collateral service, or a PCCS"),
  rootCrlUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("where the root's revocation list is; as pcsUrl has it by default"),
  simulatedTee: z.string().min(1).optional().describe('file of the development PKI of a simulated TEE, for local chains: the source in place of pcsUrl'),
  fmspcs: z
    .array(z.string().regex(/^[0-9a-f]{12}$/, 'expected 12 lower-case hex digits'))
    .default([])
    .describe('kinds of platforms to look after beside those that are registered'),
  renewBeforeSeconds: z
    .int()
    .min(1)
    .default(10 * DAY)
    .describe('how long before its end a document is replaced'),
  warnBeforeSeconds: z
    .int()
    .min(1)
    .default(7 * DAY)
    .describe('a document that ends sooner makes this keeper not ready, and is warned of'),
  errorBeforeSeconds: z
    .int()
    .min(1)
    .default(2 * DAY)
    .describe('a document that ends sooner is logged as an error'),
  patienceMs: z
    .int()
    .min(100)
    .default(120_000)
    .describe('a transaction not confirmed for this long is sent again with a higher fee, and what is due is looked at anew, in ms'),
  checkMs: z.int().min(50).default(1_800_000).describe('how often the registry and the source are compared, in ms'),
})

export type Config = z.output<typeof schema>
