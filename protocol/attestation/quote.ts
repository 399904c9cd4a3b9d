/**
 * Quotes of Intel SGX and TDX, as ECDSA attestation (DCAP) writes them: SGX in versions 3, 4 and 5, TDX in 4 and 5.
 *
 *   header48 ‖ [v5: body type u16 ‖ body size u32] ‖ body ‖ size u32 ‖ signature64 ‖ attestation key64 ‖ certification
 *     certification, v3:      QE report384 ‖ its signature64 ‖ size u16 ‖ authentication data ‖ type u16 ‖ size u32 ‖ data
 *     certification, v4, v5:  6 u16 ‖ size u32 ‖ (as in v3)
 *
 * All integers are little-endian. Parsing proves nothing: `verifyQuote` does. Source: Intel TDX DCAP Quoting Library API, appendix A;
 * Intel SGX ECDSA Quote Library Reference, appendix A; the layout of TD reports: Intel TDX Module ABI, TDREPORT_STRUCT.
 */

import { ByteReader } from './byte-reader.ts'
import { EvidenceError } from './evidence-error.ts'

/** The bytes are not a quote of a kind that is known here. */
export class QuoteFormatError extends EvidenceError {
  override name = 'QuoteFormatError'
}

/** What the processor says of an enclave (384 bytes): of the application in SGX, of the quoting enclave (QE) in both. */
export interface SgxReport {
  /** 16 bytes. */
  cpuSvn: Uint8Array
  /** 4 bytes. */
  miscSelect: Uint8Array
  /** 16 bytes: flags8 ‖ XFRM8. */
  attributes: Uint8Array
  /** 32 bytes: hash of the enclave's code. */
  mrEnclave: Uint8Array
  /** 32 bytes: hash of the key that signed the enclave. */
  mrSigner: Uint8Array
  isvProdId: number
  isvSvn: number
  /** 64 bytes, chosen by the enclave. */
  reportData: Uint8Array
  /** The 384 bytes themselves. */
  bytes: Uint8Array
}

/** What the TDX module says of a trust domain (584 bytes; 648 from TDX 1.5 on, in version 5). Hashes are SHA-384, 48 bytes. */
export interface TdReport {
  /** 16 bytes: of the module its security version [0] and major version [1], then components of the platform. */
  teeTcbSvn: Uint8Array
  mrSeam: Uint8Array
  mrSignerSeam: Uint8Array
  /** 8 bytes. */
  seamAttributes: Uint8Array
  /** 8 bytes. */
  tdAttributes: Uint8Array
  /** 8 bytes. */
  xfam: Uint8Array
  /** What was loaded before the first instruction: the firmware. */
  mrTd: Uint8Array
  /** 48 bytes, chosen by whoever started the domain: dstack puts the hash of the application here. */
  mrConfigId: Uint8Array
  mrOwner: Uint8Array
  mrOwnerConfig: Uint8Array
  /** Runtime measurements RTMR0–3. */
  rtMr: [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  /** 64 bytes, chosen by the code in the domain. */
  reportData: Uint8Array
  /** 16 bytes, TDX 1.5 only: as `teeTcbSvn`, of the module that runs now instead of the one that started the domain. */
  teeTcbSvn2?: Uint8Array
  /** TDX 1.5 only: hash of the service domains bound to this one, which may move it to other machines. */
  mrServiceTd?: Uint8Array
}

export interface CertificationData {
  /** 5 is a chain of PEM certificates, leaf (PCK) first. */
  type: number
  data: Uint8Array
}

interface SignedQuote {
  version: 3 | 4 | 5
  /** 2 is ECDSA over P-256 with SHA-256, the only one there is. */
  attestationKeyType: 2
  /** 16 bytes. */
  qeVendorId: Uint8Array
  /** 64 bytes of the report: what the attested code says. */
  reportData: Uint8Array
  /** Header and body: what `signature` is over. */
  signedBytes: Uint8Array
  /** 64 bytes: r ‖ s. */
  signature: Uint8Array
  /** 64 bytes: x ‖ y of a P-256 key that the quoting enclave made. */
  attestationKey: Uint8Array
  qeReport: SgxReport
  /** 64 bytes: r ‖ s, by the platform's certified key (PCK). */
  qeReportSignature: Uint8Array
  qeAuthenticationData: Uint8Array
  certificationData: CertificationData
}

export interface SgxQuote extends SignedQuote {
  tee: 'sgx'
  report: SgxReport
}

export interface TdxQuote extends SignedQuote {
  tee: 'tdx'
  report: TdReport
}

export type Quote = SgxQuote | TdxQuote

export const HEADER_SIZE = 48
export const SGX_REPORT_SIZE = 384
export const TEE_TYPE = { sgx: 0, tdx: 0x81 }
export const BODY_TYPE = { sgx: 1, td10: 2, td15: 3 }
export const BODY_SIZE: Record<number, number> = { [BODY_TYPE.sgx]: SGX_REPORT_SIZE, [BODY_TYPE.td10]: 584, [BODY_TYPE.td15]: 648 }
export const ECDSA_P256 = 2
export const QE_REPORT_CERTIFICATION = 6
export const PCK_CHAIN_CERTIFICATION = 5
export const INTEL_QE_VENDOR_ID = new Uint8Array(Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex'))

/**
 * Reads a quote. Every length in it must agree with every other; zeros may follow it (drivers hand out buffers of a fixed size), anything
 * else may not. Throws QuoteFormatError. The parts are views into `bytes`.
 */
export function parseQuote(bytes: Uint8Array): Quote {
  const quote = new ByteReader(bytes, 'quote', QuoteFormatError)
  const header = readHeader(quote)
  const bodyType = header.version === 5 ? quote.u16('body type') : header.tee === 'tdx' ? BODY_TYPE.td10 : BODY_TYPE.sgx
  const bodySize = BODY_SIZE[bodyType]
  if (bodySize === undefined) throw new QuoteFormatError(`body type ${bodyType} is not known: 1 is SGX, 2 TDX 1.0, 3 TDX 1.5`)
  if ((bodyType === BODY_TYPE.sgx) !== (header.tee === 'sgx')) throw new QuoteFormatError(`body type ${bodyType} is not one of ${header.tee}`)
  if (header.version === 5) quote.expect(quote.u32('body size'), bodySize, 'body size')
  const body = quote.take(bodySize, 'body')
  const signedBytes = bytes.subarray(0, quote.at)

  const authentication = quote.inside(quote.u32('size of the signature data'), 'signature data')
  quote.endInZeros()
  const signature = authentication.take(64, 'signature')
  const attestationKey = authentication.take(64, 'attestation key')
  const certification = header.version === 3 ? authentication : qeCertification(authentication)
  const qeReport = readSgxReport(certification.take(SGX_REPORT_SIZE, 'QE report'))
  const qeReportSignature = certification.take(64, 'signature of the QE report')
  const qeAuthenticationData = certification.take(certification.u16('size of the authentication data'), 'authentication data')
  const certificationType = certification.u16('certification type')
  const data = certification.take(certification.u32('size of the certification data'), 'certification data')
  certification.end()

  const shared = { version: header.version, attestationKeyType: header.attestationKeyType, qeVendorId: header.qeVendorId, signedBytes }
  const signed = { signature, attestationKey, qeReport, qeReportSignature, qeAuthenticationData, certificationData: { type: certificationType, data } }
  if (header.tee === 'sgx') {
    const report = readSgxReport(body)
    return { tee: 'sgx', ...shared, report, reportData: report.reportData, ...signed }
  }
  const report = readTdReport(body)
  return { tee: 'tdx', ...shared, report, reportData: report.reportData, ...signed }
}

function readHeader(quote: ByteReader) {
  const version = quote.u16('version')
  if (version !== 3 && version !== 4 && version !== 5) throw new QuoteFormatError(`version ${version} is not known: 3, 4 and 5 are`)
  const attestationKeyType = quote.u16('attestation key type')
  if (attestationKeyType !== ECDSA_P256) throw new QuoteFormatError(`attestation key type ${attestationKeyType} is not known: 2 (ECDSA P-256) is`)
  const teeType = quote.u32('TEE type')
  if (teeType !== TEE_TYPE.sgx && teeType !== TEE_TYPE.tdx) throw new QuoteFormatError(`TEE type ${teeType} is not known: 0 is SGX, 129 TDX`)
  if (version === 3 && teeType !== TEE_TYPE.sgx) throw new QuoteFormatError('version 3 has quotes of SGX only')
  quote.take(4, 'security versions of QE and PCE') // the certified ones are in the QE report and in the PCK certificate
  const qeVendorId = quote.take(16, 'QE vendor id')
  quote.take(20, 'user data')
  return { version, attestationKeyType, tee: teeType === TEE_TYPE.tdx ? 'tdx' : 'sgx', qeVendorId } as const
}

function qeCertification(authentication: ByteReader): ByteReader {
  authentication.expect(authentication.u16('outer certification type'), QE_REPORT_CERTIFICATION, 'outer certification type')
  const certification = authentication.inside(authentication.u32('size of the outer certification data'), 'outer certification data')
  authentication.end()
  return certification
}

function readSgxReport(bytes: Uint8Array): SgxReport {
  const report = new ByteReader(bytes, 'SGX report', QuoteFormatError)
  const cpuSvn = report.take(16, 'CPU SVN')
  const miscSelect = report.take(4, 'MISCSELECT')
  report.take(28, 'reserved')
  const attributes = report.take(16, 'attributes')
  const mrEnclave = report.take(32, 'MRENCLAVE')
  report.take(32, 'reserved')
  const mrSigner = report.take(32, 'MRSIGNER')
  report.take(96, 'reserved')
  const isvProdId = report.u16('ISV product id')
  const isvSvn = report.u16('ISV SVN')
  report.take(60, 'reserved')
  return { cpuSvn, miscSelect, attributes, mrEnclave, mrSigner, isvProdId, isvSvn, reportData: report.take(64, 'report data'), bytes }
}

function readTdReport(bytes: Uint8Array): TdReport {
  const report = new ByteReader(bytes, 'TD report', QuoteFormatError)
  const hash = (what: string) => report.take(48, what)
  const common: TdReport = {
    teeTcbSvn: report.take(16, 'TEE TCB SVN'),
    mrSeam: hash('MRSEAM'),
    mrSignerSeam: hash('MRSIGNERSEAM'),
    seamAttributes: report.take(8, 'SEAM attributes'),
    tdAttributes: report.take(8, 'TD attributes'),
    xfam: report.take(8, 'XFAM'),
    mrTd: hash('MRTD'),
    mrConfigId: hash('MRCONFIGID'),
    mrOwner: hash('MROWNER'),
    mrOwnerConfig: hash('MROWNERCONFIG'),
    rtMr: [hash('RTMR0'), hash('RTMR1'), hash('RTMR2'), hash('RTMR3')],
    reportData: report.take(64, 'report data'),
  }
  if (bytes.length === BODY_SIZE[BODY_TYPE.td10]) return common
  return { ...common, teeTcbSvn2: report.take(16, 'TEE TCB SVN 2'), mrServiceTd: hash('MRSERVICETD') }
}
