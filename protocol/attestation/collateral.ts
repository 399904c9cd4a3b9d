/** What a quote must be judged by, all signed by Intel: revocations, and what it knows of the platform and of the quoting enclave. */
import { type KeyObject, verify } from 'node:crypto'
import { z } from 'zod'
import { EvidenceError } from './evidence-error.ts'

/** Collateral is malformed, not signed by whom it should be, or out of date. */
export class CollateralError extends EvidenceError {
  override name = 'CollateralError'
}

/**
 * In the JSON shape in which the public verifiers exchange it. Chains are PEM, signer first, root last; CRLs are hex of DER; signatures are
 * hex of r ‖ s over the exact text of `tcb_info` and `qe_identity`. The list of revoked platforms must verify under the authority in the quote's
 * own chain, so `pck_crl_issuer_chain` is carried for other verifiers and not consulted here.
 */
export type Collateral = z.output<typeof collateralSchema>

const collateralSchema = z.object({
  pck_crl_issuer_chain: z.string(),
  root_ca_crl: z.string(),
  pck_crl: z.string(),
  tcb_info_issuer_chain: z.string(),
  tcb_info: z.string(),
  tcb_info_signature: z.string(),
  qe_identity_issuer_chain: z.string(),
  qe_identity: z.string(),
  qe_identity_signature: z.string(),
})

/** Collateral from JSON that somebody else wrote. Throws CollateralError. */
export function parseCollateral(value: unknown): Collateral {
  const parsed = collateralSchema.safeParse(value)
  if (!parsed.success) throw new CollateralError(`not collateral: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

/** How up to date a platform is, in Intel's words, the best first. */
export const TCB_STATUSES = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const
export type TcbStatus = (typeof TCB_STATUSES)[number]

const svn = z.int().min(0).max(255)
const isvSvn = z.int().min(0).max(65_535)
const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`), `not ${bytes} bytes in hex`)
    .transform((text): Uint8Array => Buffer.from(text, 'hex'))
const date = z.iso.datetime().transform((text) => new Date(text))
const level = <T extends z.ZodType>(tcb: T) => z.object({ tcb, tcbStatus: z.enum(TCB_STATUSES), advisoryIDs: z.array(z.string()).default([]) })
const components = z.array(z.object({ svn })).length(16)
const masked = { attributes: hex(8), attributesMask: hex(8) }
const issued = { issueDate: date, nextUpdate: date, tcbEvaluationDataNumber: z.int().min(0) }

const isvLevels = z.array(level(z.object({ isvsvn: isvSvn }))).min(1)

/** Which versions of a kind of platform are how good. Levels are sorted, the best first. */
export const tcbInfoSchema = z.object({
  id: z.enum(['SGX', 'TDX']),
  version: z.literal(3),
  ...issued,
  fmspc: hex(6),
  pceId: hex(2),
  tcbType: z.literal(0),
  /** The TDX module of major version 0. */
  tdxModule: z.object({ mrsigner: hex(48), ...masked }).optional(),
  /** The TDX modules of later major versions. */
  tdxModuleIdentities: z.array(z.object({ id: z.string(), mrsigner: hex(48), ...masked, tcbLevels: isvLevels })).default([]),
  tcbLevels: z.array(level(z.object({ sgxtcbcomponents: components, pcesvn: isvSvn, tdxtcbcomponents: components.optional() }))).min(1),
})
export type TcbInfo = z.output<typeof tcbInfoSchema>

/** What a genuine quoting enclave looks like. */
export const qeIdentitySchema = z.object({
  id: z.enum(['QE', 'TD_QE']),
  version: z.literal(2),
  ...issued,
  miscselect: hex(4),
  miscselectMask: hex(4),
  attributes: hex(16),
  attributesMask: hex(16),
  mrsigner: hex(32),
  isvprodid: isvSvn,
  tcbLevels: isvLevels,
})
export type QeIdentity = z.output<typeof qeIdentitySchema>

/** Authenticates a text under `signer`, then reads it: nothing unsigned is ever parsed. `signature` is hex of r ‖ s. */
export function readSignedText<T extends { issueDate: Date; nextUpdate: Date }>(
  text: string,
  signature: string,
  signer: KeyObject,
  schema: z.ZodType<T>,
  now: Date,
): T {
  const key = { key: signer, dsaEncoding: 'ieee-p1363' } as const
  if (!verify('sha256', Buffer.from(text), key, bytesOfHex(signature, 'signature'))) throw new CollateralError('the signature is wrong')
  const parsed = schema.safeParse(parseJson(text))
  if (!parsed.success) throw new CollateralError(`signed, but not of the expected form: ${z.prettifyError(parsed.error)}`)
  const { issueDate, nextUpdate } = parsed.data
  if (now < issueDate || now > nextUpdate) throw new CollateralError(`valid from ${issueDate.toISOString()} to ${nextUpdate.toISOString()}`)
  return parsed.data
}

export function bytesOfHex(text: string, what: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/i.test(text)) throw new CollateralError(`the ${what} is not hex`)
  return Buffer.from(text, 'hex')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CollateralError('signed, but not JSON', { cause })
  }
}
