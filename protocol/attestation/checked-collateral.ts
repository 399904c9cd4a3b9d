/** Collateral that was checked, once, to judge any number of quotes by. */
import type { KeyObject } from 'node:crypto'
import { type ChainShape, checkChain, checkNotRevoked, checkRevocationList } from './certificate-chain.ts'
import { bytesOfHex, type Collateral, parseCollateral, type QeIdentity, qeIdentitySchema, readSignedText, type TcbInfo, tcbInfoSchema } from './collateral.ts'
import { INTEL_SGX_ROOT_CA } from './intel-root.ts'
import type { RevocationList } from './revocation-list.ts'
import { Audit, type Check } from './verdict.ts'
import { type Certificate, parseCertificate } from './x509.ts'

export interface CollateralOptions {
  /** The time to judge by: certificates, lists and collateral must be current then. */
  now: Date
  /** DER of the root certificate; Intel's unless given. Under any other the verdict says `simulated`. */
  root?: Uint8Array
}

export interface CheckedCollateral {
  now: Date
  root: Uint8Array
  checks: readonly Check[]
  /** Hex of DER. Who signed it is known only with a quote: the authority of its platform. */
  pckCrl?: string
  rootList?: RevocationList
  tcbInfo?: TcbInfo
  qeIdentity?: QeIdentity
}

export const ROOT_NAME = /SGX Root CA$/
const SIGNER_CHAIN: ChainShape = { what: 'chain of the TCB signer', names: [/SGX TCB Signing$/, ROOT_NAME] }

/** Checks what does not depend on a quote. Parts that fail are absent from the result, and the checks say why. */
export function checkCollateral(collateral: Collateral, { now, root = INTEL_SGX_ROOT_CA }: CollateralOptions): CheckedCollateral {
  const audit = new Audit()
  const given = audit.check(
    'collateral format',
    () => parseCollateral(collateral),
    () => 'complete',
  )
  if (!given) return { now, root, checks: audit.checks }
  const rootList = audit.check(
    'root CRL',
    () => checkRevocationList(bytesOfHex(given.root_ca_crl, 'root CRL'), parseCertificate(root), now),
    ({ revoked, nextUpdate }) => `${revoked.size} revoked, valid to ${nextUpdate.toISOString()}`,
  )
  const signed = <T extends TcbInfo | QeIdentity>(name: string, chain: string, read: (signer: KeyObject) => T): T | undefined => {
    const signer = rootList && audit.check(`${name} signer`, () => checkSigner(chain, rootList, root, now), describeCertificate)
    return signer && audit.check(name, () => read(signer.publicKey), describeIssued)
  }
  const { tcb_info, tcb_info_signature, qe_identity, qe_identity_signature } = given
  const tcbInfo = signed('TCB info', given.tcb_info_issuer_chain, (signer) => readSignedText(tcb_info, tcb_info_signature, signer, tcbInfoSchema, now))
  const qeIdentity = signed('QE identity', given.qe_identity_issuer_chain, (signer) =>
    readSignedText(qe_identity, qe_identity_signature, signer, qeIdentitySchema, now),
  )
  return { now, root, checks: audit.checks, pckCrl: given.pck_crl, rootList, tcbInfo, qeIdentity }
}

function checkSigner(pem: string, rootList: RevocationList, root: Uint8Array, now: Date): Certificate {
  const signer = checkChain(pem, root, now, SIGNER_CHAIN)[0]!
  checkNotRevoked(signer, rootList)
  return signer
}

export const describeCertificate = ({ commonName, serial }: Certificate) => `${commonName} ${serial}`
const describeIssued = ({ id, issueDate, nextUpdate, tcbEvaluationDataNumber }: TcbInfo | QeIdentity) =>
  `${id}, evaluation ${tcbEvaluationDataNumber}, valid from ${issueDate.toISOString()} to ${nextUpdate.toISOString()}`
