/** Writes quotes: the inverse of `parseQuote`, for the simulated TEE. */
import { createHash, randomBytes } from 'node:crypto'
import {
  BODY_SIZE,
  BODY_TYPE,
  ECDSA_P256,
  INTEL_QE_VENDOR_ID,
  PCK_CHAIN_CERTIFICATION,
  QE_REPORT_CERTIFICATION,
  type SgxReport,
  type TdReport,
  TEE_TYPE,
} from './quote.ts'
import { PLATFORM, QE } from './simulated-collateral.ts'

/** SEPT_VE_DISABLE (bit 28), as every production domain has it; DEBUG is bit 0. */
const TD_ATTRIBUTES = '0000001000000000'
const DEBUG_TD_ATTRIBUTES = '0100001000000000'
const XFAM = 'e702060000000000'
const USER_DATA = 'SIMULATED TEE'

export interface QuoteKeys {
  /** 64 bytes. */
  attestationKey: Uint8Array
  /** r ‖ s, by the attestation key or the platform's certified key. */
  sign(bytes: Uint8Array, by: 'attestation' | 'pck'): Uint8Array
}

export interface SimulatedQuoteOptions {
  /** 64 bytes. */
  reportData: Uint8Array
  /** What runs, as it claims. */
  measurement?: Partial<Pick<TdReport, 'mrTd' | 'rtMr' | 'mrConfigId'>>
  /** 4 (a TDX 1.0 report) unless given; 5 has a TDX 1.5 report. */
  version?: 4 | 5
  /** A domain whose memory its host can read. */
  debug?: boolean
  /** Other fields of the report. */
  td?: Partial<TdReport>
  /** Fields of the quoting enclave's report. */
  qe?: Partial<Omit<SgxReport, 'bytes'>>
}

export function simulatedQuote(options: SimulatedQuoteOptions, keys: QuoteKeys, pckChain: Uint8Array): Uint8Array {
  const version = options.version ?? 4
  if (options.reportData.length !== 64) throw new RangeError(`report data has 64 bytes, this has ${options.reportData.length}`)
  const body = tdReport(options, version)
  const bodyType = version === 5 ? Buffer.concat([u16(BODY_TYPE.td15), u32(body.length)]) : Buffer.alloc(0)
  const signedBytes = Buffer.concat([header(version), bodyType, body])

  const authenticationData = randomBytes(32)
  const binding = createHash('sha256').update(keys.attestationKey).update(authenticationData).digest()
  const qeReport = sgxReport({
    cpuSvn: Uint8Array.from(PLATFORM.components),
    miscSelect: new Uint8Array(4),
    ...QE,
    reportData: Buffer.concat([binding, Buffer.alloc(32)]),
    ...options.qe,
  })
  const certification = Buffer.concat([
    qeReport,
    keys.sign(qeReport, 'pck'),
    u16(authenticationData.length),
    authenticationData,
    u16(PCK_CHAIN_CERTIFICATION),
    u32(pckChain.length),
    pckChain,
  ])
  const authentication = Buffer.concat([
    keys.sign(signedBytes, 'attestation'),
    keys.attestationKey,
    u16(QE_REPORT_CERTIFICATION),
    u32(certification.length),
    certification,
  ])
  return new Uint8Array(Buffer.concat([signedBytes, u32(authentication.length), authentication]))
}

function header(version: number): Buffer {
  return Buffer.concat([u16(version), u16(ECDSA_P256), u32(TEE_TYPE.tdx), u32(0), INTEL_QE_VENDOR_ID, padded(USER_DATA, 20)])
}

function tdReport({ reportData, measurement, debug, td }: SimulatedQuoteOptions, version: 4 | 5): Buffer {
  const report: TdReport = {
    teeTcbSvn: Uint8Array.from(PLATFORM.teeTcbSvn),
    mrSeam: hash('module'),
    mrSignerSeam: new Uint8Array(48),
    seamAttributes: new Uint8Array(8),
    tdAttributes: Buffer.from(debug ? DEBUG_TD_ATTRIBUTES : TD_ATTRIBUTES, 'hex'),
    xfam: Buffer.from(XFAM, 'hex'),
    mrTd: hash('firmware'),
    mrConfigId: new Uint8Array(48),
    mrOwner: new Uint8Array(48),
    mrOwnerConfig: new Uint8Array(48),
    rtMr: [hash('RTMR0'), hash('RTMR1'), hash('RTMR2'), hash('RTMR3')],
    reportData,
    teeTcbSvn2: Uint8Array.from(PLATFORM.teeTcbSvn),
    mrServiceTd: new Uint8Array(48),
    ...measurement,
    ...td,
  }
  const measured = [report.mrTd, report.mrConfigId, report.mrOwner, report.mrOwnerConfig, ...report.rtMr, report.reportData]
  const head = [report.teeTcbSvn, report.mrSeam, report.mrSignerSeam, report.seamAttributes, report.tdAttributes, report.xfam]
  const tail = version === 5 ? [report.teeTcbSvn2!, report.mrServiceTd!] : []
  return sized(Buffer.concat([...head, ...measured, ...tail]), BODY_SIZE[version === 5 ? BODY_TYPE.td15 : BODY_TYPE.td10]!, 'TD report')
}

function sgxReport(report: Omit<SgxReport, 'bytes'>): Buffer {
  const head = [report.cpuSvn, report.miscSelect, new Uint8Array(28), report.attributes, report.mrEnclave, new Uint8Array(32), report.mrSigner]
  const bytes = Buffer.concat([...head, new Uint8Array(96), u16(report.isvProdId), u16(report.isvSvn), new Uint8Array(60), report.reportData])
  return sized(bytes, 384, 'QE report')
}

function sized(bytes: Buffer, size: number, what: string): Buffer {
  if (bytes.length !== size) throw new RangeError(`a field of the ${what} has a wrong size: it has ${bytes.length} bytes instead of ${size}`)
  return bytes
}

const hash = (text: string): Uint8Array => createHash('sha384').update(`simulated ${text}`).digest()

const padded = (text: string, size: number): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(size)]).subarray(0, size)

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
