/** What a quote must be judged by, all signed by Intel: revocations, and what it knows of the platform and of the quoting enclave. */

/**
 * In the JSON shape in which the public verifiers exchange it. Chains are PEM, signer first, root last; CRLs are hex of DER; signatures are
 * hex of r ‖ s over the exact text of `tcb_info` and `qe_identity`.
 */
export interface Collateral {
  pck_crl_issuer_chain: string
  root_ca_crl: string
  pck_crl: string
  tcb_info_issuer_chain: string
  tcb_info: string
  tcb_info_signature: string
  qe_identity_issuer_chain: string
  qe_identity: string
  qe_identity_signature: string
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
