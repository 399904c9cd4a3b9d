/** Verification of SGX and TDX quotes against Intel's collateral, to the pinned root. */
import type { KeyObject } from 'node:crypto'
import { type ChainShape, checkChain, checkNotRevoked, checkRevocationList } from './certificate-chain.ts'
import {
  bytesOfHex,
  type Collateral,
  CollateralError,
  parseCollateral,
  type QeIdentity,
  qeIdentitySchema,
  readSignedText,
  type TcbInfo,
  type TcbStatus,
  tcbInfoSchema,
} from './collateral.ts'
import { INTEL_SGX_ROOT_CA } from './intel-root.ts'
import { type Platform, platformOf } from './pck.ts'
import { checkPolicy, PolicyError } from './policy.ts'
import { INTEL_QE_VENDOR_ID, PCK_CHAIN_CERTIFICATION, parseQuote, type Quote, QuoteFormatError } from './quote.ts'
import { checkAttestationKeyBinding, checkQeReportSignature, checkQuoteSignature, qeStanding } from './quoting-enclave.ts'
import type { RevocationList } from './revocation-list.ts'
import { combined, moduleStanding, platformStanding, type Standing } from './tcb.ts'
import { Audit, type Verdict } from './verdict.ts'
import { type Certificate, parseCertificate } from './x509.ts'

export interface VerifyOptions {
  /** The time to judge by: certificates, lists and collateral must be current then. */
  now: Date
  /** DER of the root certificate; Intel's unless given. Under any other the verdict says `simulated`. */
  root?: Uint8Array
  /** Which states of the platform suffice; the same two as on chain unless given. */
  accept?: readonly TcbStatus[]
}

/** A platform in these states has all fixes that its maker can install; the software in question is ours, and hardened. */
export const ACCEPTABLE: readonly TcbStatus[] = ['UpToDate', 'SWHardeningNeeded']

const ROOT_NAME = /SGX Root CA$/
const PCK_CHAIN: ChainShape = { what: 'PCK chain', names: [/SGX PCK Certificate$/, /SGX PCK (Platform|Processor) CA$/, ROOT_NAME] }
const SIGNER_CHAIN: ChainShape = { what: 'chain of the TCB signer', names: [/SGX TCB Signing$/, ROOT_NAME] }

/**
 * Verifies a quote. Bad evidence is never thrown but told: the verdict names every check and its result. What depends on something that failed
 * does not run.
 */
export function verifyQuote(bytes: Uint8Array, collateral: Collateral, options: VerifyOptions): Verdict {
  const { now, root = INTEL_SGX_ROOT_CA, accept = ACCEPTABLE } = options
  const audit = new Audit()
  const simulated = Buffer.compare(root, INTEL_SGX_ROOT_CA) !== 0
  const quote = audit.check(
    'quote format',
    () => readQuote(bytes),
    ({ version, tee }) => `version ${version} of ${tee.toUpperCase()}`,
  )
  const given = audit.check(
    'collateral format',
    () => parseCollateral(collateral),
    () => 'complete',
  )
  const trusted = given && authenticateCollateral(audit, given, root, now)
  const standings = quote && trusted ? judge(audit, quote, collateral, trusted, root, now) : []
  const whole = standings.every((standing) => standing !== undefined) && standings.length > 0 ? combined(standings) : undefined
  if (whole)
    audit.check(
      'TCB status',
      () => checkStatus(whole.status, accept),
      () => [whole.status, ...whole.advisories].join(', '),
    )
  return { ok: audit.ok && whole !== undefined, status: whole?.status, advisories: whole?.advisories ?? [], checks: audit.checks, quote, simulated }
}

interface Trusted {
  rootList?: RevocationList
  tcbInfo?: TcbInfo
  qeIdentity?: QeIdentity
}

/** What does not depend on the quote. */
function authenticateCollateral(audit: Audit, collateral: Collateral, root: Uint8Array, now: Date): Trusted {
  const rootList = audit.check(
    'root CRL',
    () => checkRevocationList(bytesOfHex(collateral.root_ca_crl, 'root CRL'), parseCertificate(root), now),
    ({ revoked, nextUpdate }) => `${revoked.size} revoked, valid to ${nextUpdate.toISOString()}`,
  )
  const signed = <T extends TcbInfo | QeIdentity>(name: string, chain: string, read: (signer: KeyObject) => T): T | undefined => {
    const signer = rootList && audit.check(`${name} signer`, () => checkSigner(chain, rootList, root, now), describeCertificate)
    return signer && audit.check(name, () => read(signer.publicKey), describeIssued)
  }
  const { tcb_info, tcb_info_signature, qe_identity, qe_identity_signature } = collateral
  return {
    rootList,
    tcbInfo: signed('TCB info', collateral.tcb_info_issuer_chain, (signer) => readSignedText(tcb_info, tcb_info_signature, signer, tcbInfoSchema, now)),
    qeIdentity: signed('QE identity', collateral.qe_identity_issuer_chain, (signer) =>
      readSignedText(qe_identity, qe_identity_signature, signer, qeIdentitySchema, now),
    ),
  }
}

/** The quote itself, from its platform up to what runs. Returns the standing of each part; `undefined` for one that is not known. */
function judge(audit: Audit, quote: Quote, collateral: Collateral, trusted: Trusted, root: Uint8Array, now: Date): (Standing | undefined)[] {
  const { rootList, tcbInfo, qeIdentity } = trusted
  const chain = audit.check(
    'PCK chain',
    () => checkPckChain(quote, root, now),
    ([pck]) => describeCertificate(pck!),
  )
  const [pck, authority] = chain ?? []
  if (pck && authority)
    audit.check(
      'PCK revocation',
      () => checkPckRevocation(pck, authority, rootList, collateral.pck_crl, now),
      () => 'neither the platform nor its authority is revoked',
    )
  const platform = pck && audit.check('platform', () => platformOf(pck), describePlatform)
  if (pck)
    audit.check(
      'QE report signature',
      () => checkQeReportSignature(quote, pck.publicKey),
      () => 'by the platform',
    )
  audit.check(
    'attestation key',
    () => checkAttestationKeyBinding(quote),
    () => 'bound to the QE report',
  )
  audit.check(
    'quote signature',
    () => checkQuoteSignature(quote),
    () => 'by the attestation key',
  )
  audit.check(
    'policy',
    () => checkPolicy(quote),
    () => 'neither debuggable nor movable',
  )

  const matching =
    tcbInfo &&
    platform &&
    audit.check(
      'TCB info subject',
      () => checkSubject(tcbInfo, quote, platform),
      () => 'of this kind of platform',
    )
  const qe = qeIdentity && audit.check('quoting enclave', () => checkQe(quote, qeIdentity), describeStanding)
  const tdx = quote.tee === 'tdx' ? [matching && audit.check('TDX module', () => moduleStanding(quote.report, tcbInfo), describeStanding)] : []
  return [matching && audit.check('platform TCB', () => platformStanding(quote, platform, tcbInfo), describeStanding), qe, ...tdx]
}

function readQuote(bytes: Uint8Array): Quote {
  const quote = parseQuote(bytes)
  if (Buffer.compare(quote.qeVendorId, INTEL_QE_VENDOR_ID) !== 0) throw new QuoteFormatError('the quoting enclave is not of Intel')
  return quote
}

function checkPckChain(quote: Quote, root: Uint8Array, now: Date): Certificate[] {
  const { type, data } = quote.certificationData
  if (type !== PCK_CHAIN_CERTIFICATION) throw new QuoteFormatError(`certification data of type ${type}: only a chain of certificates (5) is supported`)
  return checkChain(Buffer.from(data).toString('latin1'), root, now, PCK_CHAIN)
}

function checkPckRevocation(pck: Certificate, authority: Certificate, rootList: RevocationList | undefined, pckCrl: string, now: Date): void {
  if (!rootList) throw new CollateralError('whether the authority is revoked is not known: there is no valid root CRL')
  checkNotRevoked(authority, rootList)
  checkNotRevoked(pck, checkRevocationList(bytesOfHex(pckCrl, 'PCK CRL'), authority, now))
}

function checkSigner(pem: string, rootList: RevocationList, root: Uint8Array, now: Date): Certificate {
  const signer = checkChain(pem, root, now, SIGNER_CHAIN)[0]!
  checkNotRevoked(signer, rootList)
  return signer
}

function checkSubject(info: TcbInfo, quote: Quote, platform: Platform): true {
  if (info.id !== quote.tee.toUpperCase()) throw new CollateralError(`the TCB info is of ${info.id}`)
  if (Buffer.compare(info.fmspc, platform.fmspc) !== 0) throw new CollateralError(`the TCB info is of platforms ${hex(info.fmspc)}`)
  if (Buffer.compare(info.pceId, platform.pceId) !== 0) throw new CollateralError(`the TCB info is of PCE ${hex(info.pceId)}`)
  return true
}

function checkQe(quote: Quote, identity: QeIdentity): Standing {
  const expected = quote.tee === 'tdx' ? 'TD_QE' : 'QE'
  if (identity.id !== expected) throw new CollateralError(`the QE identity is of ${identity.id} instead of ${expected}`)
  return qeStanding(quote, identity)
}

function checkStatus(status: TcbStatus, accept: readonly TcbStatus[]): void {
  if (!accept.includes(status)) throw new PolicyError(`the platform is ${status}; accepted: ${accept.join(', ')}`)
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const describeCertificate = ({ commonName, serial }: Certificate) => `${commonName} ${serial}`
const describePlatform = ({ fmspc, components, pceSvn }: Platform) => `fmspc ${hex(fmspc)}, components ${components.join('.')}, PCE ${pceSvn}`
const describeStanding = ({ status, advisories }: Standing) => [status, ...advisories].join(', ')
const describeIssued = ({ id, issueDate, nextUpdate, tcbEvaluationDataNumber }: TcbInfo | QeIdentity) =>
  `${id}, evaluation ${tcbEvaluationDataNumber}, valid from ${issueDate.toISOString()} to ${nextUpdate.toISOString()}`
