/** Verification of SGX and TDX quotes against Intel's collateral, to the pinned root. */
import { type ChainShape, checkChain, checkNotRevoked, checkRevocationList } from './certificate-chain.ts'
import { type CheckedCollateral, type CollateralOptions, checkCollateral, describeCertificate, ROOT_NAME } from './checked-collateral.ts'
import { bytesOfHex, type Collateral, CollateralError, type QeIdentity, type TcbInfo, type TcbStatus } from './collateral.ts'
import { INTEL_SGX_ROOT_CA } from './intel-root.ts'
import { type Platform, platformOf } from './pck.ts'
import { checkPolicy, PolicyError } from './policy.ts'
import { INTEL_QE_VENDOR_ID, PCK_CHAIN_CERTIFICATION, parseQuote, type Quote, QuoteFormatError } from './quote.ts'
import { checkAttestationKeyBinding, checkQeReportSignature, checkQuoteSignature, qeStanding } from './quoting-enclave.ts'
import type { RevocationList } from './revocation-list.ts'
import { combined, moduleStanding, platformStanding, type Standing } from './tcb.ts'
import { Audit, type Verdict } from './verdict.ts'
import type { Certificate } from './x509.ts'

export interface VerifyOptions extends CollateralOptions {
  /** Which states of the platform suffice; the same two as on chain unless given. */
  accept?: readonly TcbStatus[]
}

/** A platform in these states has all fixes that its maker can install; the software in question is ours, and hardened. */
export const ACCEPTABLE: readonly TcbStatus[] = ['UpToDate', 'SWHardeningNeeded']

const PCK_CHAIN: ChainShape = { what: 'PCK chain', names: [/SGX PCK Certificate$/, /SGX PCK (Platform|Processor) CA$/, ROOT_NAME] }

/**
 * Verifies a quote. Bad evidence is never thrown but told: the verdict names every check and its result. What depends on something that failed
 * does not run.
 */
export function verifyQuote(bytes: Uint8Array, collateral: Collateral, { accept, ...options }: VerifyOptions): Verdict {
  return judgeQuote(bytes, checkCollateral(collateral, options), accept)
}

/** As `verifyQuote`, by collateral that was checked before: half the work where many quotes are of one kind of platform. */
export function judgeQuote(bytes: Uint8Array, collateral: CheckedCollateral, accept = ACCEPTABLE): Verdict {
  const audit = new Audit(collateral.checks)
  const simulated = Buffer.compare(collateral.root, INTEL_SGX_ROOT_CA) !== 0
  const quote = audit.check(
    'quote format',
    () => readQuote(bytes),
    ({ version, tee }) => `version ${version} of ${tee.toUpperCase()}`,
  )
  const standings = quote ? judge(audit, quote, collateral) : [undefined]
  const whole = standings.every((standing) => standing !== undefined) ? combined(standings) : undefined
  if (whole)
    audit.check(
      'TCB status',
      () => checkStatus(whole.status, accept),
      () => [whole.status, ...whole.advisories].join(', '),
    )
  return { ok: audit.ok && whole !== undefined, status: whole?.status, advisories: whole?.advisories ?? [], checks: audit.checks, quote, simulated }
}

/** The quote itself, from its platform up to what runs. Returns the standing of each part; `undefined` for one that is not known. */
function judge(audit: Audit, quote: Quote, { now, root, pckCrl, rootList, tcbInfo, qeIdentity }: CheckedCollateral): (Standing | undefined)[] {
  const chain = audit.check(
    'PCK chain',
    () => checkPckChain(quote, root, now),
    ([pck]) => describeCertificate(pck!),
  )
  const [pck, authority] = chain ?? []
  if (pck && authority)
    audit.check(
      'PCK revocation',
      () => checkPckRevocation(pck, authority, rootList, pckCrl, now),
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

function checkPckRevocation(pck: Certificate, authority: Certificate, rootList: RevocationList | undefined, pckCrl: string | undefined, now: Date): void {
  if (!rootList || pckCrl === undefined) throw new CollateralError('whether the authority is revoked is not known: there is no valid root CRL')
  checkNotRevoked(authority, rootList)
  checkNotRevoked(pck, checkRevocationList(bytesOfHex(pckCrl, 'PCK CRL'), authority, now))
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
const describePlatform = ({ fmspc, components, pceSvn }: Platform) => `fmspc ${hex(fmspc)}, components ${components.join('.')}, PCE ${pceSvn}`
const describeStanding = ({ status, advisories }: Standing) => [status, ...advisories].join(', ')
