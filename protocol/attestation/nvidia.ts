/**
 * Evidence of NVIDIA GPUs in confidential computing mode: a report of measurements, signed by a key in the GPU whose certificate leads up to
 * NVIDIA's device root. It proves that a genuine GPU answered this nonce with these measurements. It does not say that the measurements are
 * good ones (that takes NVIDIA's reference manifests), nor that the certificates were not revoked (NVIDIA publishes no lists, but answers online).
 */
import { type KeyObject, verify } from 'node:crypto'
import { z } from 'zod'
import { type ChainShape, checkChain } from './certificate-chain.ts'
import { DerReader, single, TAG } from './der.ts'
import { EvidenceError } from './evidence-error.ts'
import { parseSpdmReport, type SpdmReport } from './spdm.ts'
import { Audit, type Findings } from './verdict.ts'
import { type Certificate, CertificateError } from './x509.ts'

export class GpuEvidenceError extends EvidenceError {
  override name = 'GpuEvidenceError'
}

/** As NVIDIA's tools and dstack write it. Both are base64: of the chain in PEM, and of the report. */
export interface GpuEvidence {
  certificate: string
  evidence: string
}

export interface GpuOptions {
  now: Date
  /** 32 bytes that the report must answer: without one, old evidence would do. */
  nonce: Uint8Array
}

export interface GpuFindings extends Findings {
  /** What the GPU says of itself: not to be believed unless `ok`. */
  gpu?: { model: string; driverVersion: string; vbiosVersion: string /** Hex by index. */; measurements: Record<number, string> }
}

/** NVIDIA Device Identity CA. SHA-256 of the DER: 102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48. */
const NVIDIA_DEVICE_ROOT_CA: Uint8Array = Buffer.from(
  'MIICCzCCAZCgAwIBAgIQLTZwscoQBBHB/sDoKgZbVDAKBggqhkjOPQQDAzA1MSIwIAYDVQQDDBlOVklESUEgRGV2aWNlIElkZW50aXR5IENBMQ8wDQYDVQQKDAZOVklESUEwIBcNMjEx' +
    'MTA1MDAwMDAwWhgPOTk5OTEyMzEyMzU5NTlaMDUxIjAgBgNVBAMMGU5WSURJQSBEZXZpY2UgSWRlbnRpdHkgQ0ExDzANBgNVBAoMBk5WSURJQTB2MBAGByqGSM49AgEGBSuBBAAiA2IA' +
    'BA5MFKM7+KViZljbQSlgfky/RRnEQScW9NDZF8SXgAW96r6u/Ve8ZggtcYpPi2BS4VFu6KfEIrhN6FcHG7WP05W+oM+hxj7nyA1r1jkB2Ry70YfThX3Ba1zOryOP+MJ9vaNjMGEwDwYD' +
    'VR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwHQYDVR0OBBYEFFeF/4PyY8xlfWi3Olv0jUrL+0lfMB8GA1UdIwQYMBaAFFeF/4PyY8xlfWi3Olv0jUrL+0lfMAoGCCqGSM49BAMD' +
    'A2kAMGYCMQCPeFM3TASsKQVaT+8S0sO9u97PVGCpE9d/I42IT7k3UUOLSR/qvJynVOD1vQKVXf0CMQC+EY55WYoDBvs2wPAH1Gw4LbcwUN8QCff8bFmV4ZxjCRr4WXTLFHBKjbfneGSB' +
    'WwA=',
  'base64',
)

const CHAIN: ChainShape = { what: 'GPU chain', names: [/FMC LF$/, /BROM$/, /Provisioner ICA/, /^NVIDIA \S+ Identity$/, /^NVIDIA Device Identity CA$/] }
/** Opaque fields by type. Source: NVIDIA nvtrust, local GPU verifier. */
const DRIVER_VERSION = 3
const VBIOS_VERSION = 6
const FIRMWARE_ID = 20
/** CompositeDeviceID of TCG's DICE: the hash of the firmware that holds the key. */
const DICE_TCB_INFO = '2.23.133.5.4.1'

const payloadSchema = z.object({ evidence_list: z.array(z.object({ certificate: z.base64(), evidence: z.base64() })).min(1) })

/** The evidence in what dstack and vLLM hand out as `nvidia_payload`, one per GPU. Throws GpuEvidenceError. */
export function parseNvidiaPayload(text: string): GpuEvidence[] {
  const parsed = payloadSchema.safeParse(parseJson(text))
  if (!parsed.success) throw new GpuEvidenceError(`not the evidence of GPUs: ${z.prettifyError(parsed.error)}`)
  return parsed.data.evidence_list
}

/** Checks the evidence of one GPU. Bad evidence is never thrown but told. */
export function verifyGpuEvidence({ certificate, evidence }: GpuEvidence, options: GpuOptions): GpuFindings {
  const { now, nonce } = options
  const audit = new Audit()
  const report = audit.check(
    'report format',
    () => parseSpdmReport(Buffer.from(evidence, 'base64')),
    ({ measurements }) => `${measurements.size} measurements`,
  )
  const leaf = audit.check(
    'certificate chain',
    () => checkGpuChain(certificate, now),
    ({ commonName, serial }) => `${commonName} ${serial}`,
  )
  if (report && leaf) {
    audit.check(
      'signature',
      () => checkSignature(report, leaf.publicKey),
      () => 'by the GPU',
    )
    audit.check(
      'firmware',
      () => checkFirmware(report, leaf),
      () => 'is the one that was given the key',
    )
  }
  if (report) {
    audit.check(
      'nonce',
      () => checkNonce(report, nonce),
      () => hex(report.nonce),
    )
    audit.check(
      'measurements',
      () => checkMeasured(report),
      (count) => `${count} are not empty; whether they are good ones is not judged here`,
    )
  }
  return { ok: audit.ok, checks: audit.checks, gpu: report && leaf && describe(report, leaf) }
}

function checkGpuChain(certificate: string, now: Date): Certificate {
  return checkChain(Buffer.from(certificate, 'base64').toString('latin1'), NVIDIA_DEVICE_ROOT_CA, now, CHAIN)[0]!
}

function checkSignature({ signedBytes, signature }: SpdmReport, key: KeyObject): void {
  if (!verify('sha384', signedBytes, { key, dsaEncoding: 'ieee-p1363' }, signature)) throw new GpuEvidenceError('the report was not signed by the GPU')
}

function checkFirmware({ opaque }: SpdmReport, leaf: Certificate): void {
  const running = opaque.get(FIRMWARE_ID)
  if (!running) throw new GpuEvidenceError('the report does not name the firmware')
  if (Buffer.compare(running, certifiedFirmware(leaf)) !== 0) throw new GpuEvidenceError('another firmware runs than the one that was given the key')
}

/** Hash of the firmware that the certificate was issued for: of SEQUENCE { version, public key, SEQUENCE { hash algorithm, hash } }. */
export function certifiedFirmware(leaf: Certificate): Uint8Array {
  const extension = leaf.extensions.get(DICE_TCB_INFO)
  if (!extension) throw new CertificateError(`certificate "${leaf.commonName}" does not name the firmware`)
  const fields = new DerReader(single(extension, TAG.sequence, 'CompositeDeviceID').content)
  fields.next(TAG.integer, 'version')
  fields.next(TAG.sequence, 'public key')
  const firmware = fields.inside(TAG.sequence, 'firmware id')
  firmware.next(TAG.objectIdentifier, 'hash algorithm')
  return firmware.next(TAG.octetString, 'hash').content
}

function checkNonce(report: SpdmReport, nonce: Uint8Array): void {
  if (Buffer.compare(report.nonce, nonce) !== 0) throw new GpuEvidenceError(`the report answers nonce ${hex(report.nonce)} instead of ${hex(nonce)}`)
}

function checkMeasured({ measurements }: SpdmReport): number {
  const count = [...measurements.values()].filter((value) => value.some((byte) => byte !== 0)).length
  if (count === 0) throw new GpuEvidenceError('the report measures nothing')
  return count
}

function describe({ measurements, opaque }: SpdmReport, leaf: Certificate): NonNullable<GpuFindings['gpu']> {
  const driverVersion = Buffer.from(opaque.get(DRIVER_VERSION) ?? [])
    .toString('latin1')
    .replace(/\0.*$/s, '')
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = opaque.get(VBIOS_VERSION) ?? []
  const vbiosVersion = [d, c, b, a, e].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('.')
  return {
    model: leaf.commonName.split(' ')[0]!,
    driverVersion,
    vbiosVersion,
    measurements: Object.fromEntries([...measurements].map(([index, value]) => [index, hex(value)])),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new GpuEvidenceError('the evidence of GPUs is not JSON', { cause })
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
