import { expect } from 'chai'
import { certifiedFirmware, type GpuEvidence, GpuEvidenceError, parseNvidiaPayload, verifyGpuEvidence } from '../../../protocol/attestation/nvidia.ts'
import { parseChain } from '../../../protocol/attestation/pem.ts'
import { parseSpdmReport, SpdmFormatError } from '../../../protocol/attestation/spdm.ts'
import { CertificateError } from '../../../protocol/attestation/x509.ts'
import { llmReport, readText } from './evidence.ts'

const now = new Date('2026-02-20T00:00:00Z')
const GPUS: (GpuEvidence & { nonce: string; driver_version: string; vbios_version: string })[] = JSON.parse(readText('nvtrust/gpu_evidence.json'))
const hopperReport = Buffer.from(readText('nvtrust/hopperAttestationReport.txt').trim(), 'hex')
const hopper: GpuEvidence = {
  evidence: hopperReport.toString('base64'),
  certificate: Buffer.from(readText('nvtrust/hopperCertChain.txt')).toString('base64'),
}
const [gpu] = GPUS
const nonce = Buffer.from(gpu!.nonce, 'hex')
const NONCE_AT = 4

const failures = (evidence: GpuEvidence, options: { now?: Date; nonce?: Uint8Array } = {}) =>
  Object.fromEntries(
    verifyGpuEvidence(evidence, { now, nonce, ...options })
      .checks.filter(({ ok }) => !ok)
      .map(({ name, detail }) => [name, detail]),
  )
const withReport = (report: Uint8Array): GpuEvidence => ({ ...gpu!, evidence: Buffer.from(report).toString('base64') })
const withChain = (edit: (pem: string) => string): GpuEvidence => ({
  ...gpu!,
  certificate: Buffer.from(edit(Buffer.from(gpu!.certificate, 'base64').toString())).toString('base64'),
})
const report = () => Buffer.from(gpu!.evidence, 'base64')

describe('evidence of NVIDIA GPUs', () => {
  it('of the eight GPUs of a public sample verifies, and gives the versions that the sample names', () => {
    expect(GPUS).to.have.length(8)
    for (const sample of GPUS) {
      const findings = verifyGpuEvidence(sample, { now, nonce: Buffer.from(sample.nonce, 'hex') })
      expect(findings.checks.filter(({ ok }) => !ok)).to.deep.equal([])
      expect(findings.ok).to.equal(true)
      expect(findings.gpu).to.include({ model: 'GH100', driverVersion: sample.driver_version, vbiosVersion: sample.vbios_version })
      expect(Object.keys(findings.gpu!.measurements)).to.have.length(64)
    }
  })

  it('beside a quote of a public sample answers the nonce that the quote carries', () => {
    const [evidence, ...more] = parseNvidiaPayload(llmReport.nvidia_payload)
    expect(more).to.deep.equal([])
    const inQuote = Buffer.from(llmReport.intel_quote, 'hex').subarray(48 + 520 + 32, 48 + 584)
    expect(verifyGpuEvidence(evidence!, { now, nonce: inQuote }).ok).to.equal(true)
  })

  it('of a Hopper sample verifies', () => {
    expect(failures(hopper, { nonce: hopperReport.subarray(NONCE_AT, NONCE_AT + 32) })).to.deep.equal({})
  })

  it('is refused for another nonce', () => {
    expect(failures(gpu!, { nonce: new Uint8Array(32) })).to.have.all.keys('nonce')
    expect(failures(gpu!, { nonce: new Uint8Array(0) })).to.have.all.keys('nonce')
  })

  it('is refused with any byte of the report changed', () => {
    const original = report()
    for (let at = 0; at < original.length; at += 61) {
      const changed = report()
      changed[at]! ^= 1
      expect(verifyGpuEvidence(withReport(changed), { now, nonce }).ok, `byte ${at}`).to.equal(false)
    }
    const named = report()
    named[NONCE_AT]! ^= 1
    expect(failures(withReport(named))).to.have.all.keys('signature', 'nonce')
  })

  it('is refused with the chain of another GPU', () => {
    expect(failures({ ...gpu!, certificate: GPUS[1]!.certificate })).to.deep.equal({ signature: 'the report was not signed by the GPU' })
  })

  it('is refused when another firmware runs than was certified, or none is named', () => {
    expect(failures({ ...gpu!, certificate: hopper.certificate })).to.have.property('firmware', 'another firmware runs than the one that was given the key')
    const chain = parseChain(Buffer.from(gpu!.certificate, 'base64').toString(), 5)
    expect(certifiedFirmware(chain[0]!)).to.deep.equal(parseSpdmReport(report()).opaque.get(20))
    expect(() => certifiedFirmware(chain[1]!)).to.throw(CertificateError, 'does not name the firmware')
    const unnamed = report()
    const field = unnamed.indexOf(Buffer.from([20, 0, 48, 0]))
    unnamed[field] = 99
    expect(failures(withReport(unnamed))).to.have.property('firmware', 'the report does not name the firmware')
  })

  it('is refused when it measures nothing', () => {
    const empty = report()
    const { measurements } = parseSpdmReport(empty)
    for (const value of measurements.values()) value.fill(0)
    expect(failures(withReport(empty))).to.have.property('measurements', 'the report measures nothing')
  })

  it('is refused before its certificates are valid, and when its chain is not one to the pinned root', () => {
    const certificates = (pem: string) => pem.match(/-----BEGIN[\s\S]*?END CERTIFICATE-----\n/g)!
    expect(failures(gpu!, { now: new Date('2019-01-01T00:00:00Z') })['certificate chain']).to.contain('is valid from')
    expect(failures(withChain((pem) => [...certificates(pem).slice(0, 4), certificates(pem)[3]].join('')))['certificate chain']).to.contain('pinned root')
    expect(failures(withChain((pem) => certificates(pem).slice(1).join('')))['certificate chain']).to.contain('4 certificates instead of 5')
    expect(
      failures(withChain((pem) => certificates(pem).toSpliced(0, 2, certificates(pem)[1]!, certificates(pem)[0]!).join('')))['certificate chain'],
    ).to.contain('has another place')
    expect(failures(withChain(() => 'none'))['certificate chain']).to.contain('not the beginning')
  })

  describe('reports', () => {
    it('of a wrong length or kind throw SpdmFormatError', () => {
      const original = report()
      const changed = (at: number, value: number) => {
        const bytes = report()
        bytes[at] = value
        return bytes
      }
      for (const [bytes, detail] of [
        [original.subarray(0, 20), 'cut short'],
        [original.subarray(0, -1), 'cut short: signature'],
        [Buffer.concat([original, Buffer.alloc(1)]), '1 bytes too many'],
        [changed(0, 0x12), 'version of the request is 18'],
        [changed(1, 0x81), 'code of the request'],
        [changed(37, 0x10), 'version of the response'],
        [changed(38, 0x7f), 'code of the response'],
        [changed(41, 63), 'bytes too many at the end of the measurements'],
        [changed(45, 2), 'measurement 2 occurs twice'],
        [changed(46, 2), 'specification of measurement 1 is 2'],
        [changed(50, 47), 'bytes too many at the end of the measurement 1'],
      ] as const) {
        expect(() => parseSpdmReport(bytes)).to.throw(SpdmFormatError, detail)
      }
      const { opaque } = parseSpdmReport(original)
      expect([...opaque.keys()]).to.include.members([3, 6, 20])
      const twice = report()
      twice[twice.indexOf(Buffer.from([20, 0, 48, 0]))] = 3
      expect(() => parseSpdmReport(twice)).to.throw(SpdmFormatError, 'opaque field 3 occurs twice')
    })
  })

  it('in a payload that is malformed throws GpuEvidenceError', () => {
    for (const text of ['', '{}', '{"evidence_list":[]}', '{"evidence_list":[{"certificate":"!","evidence":""}]}']) {
      expect(() => parseNvidiaPayload(text)).to.throw(GpuEvidenceError)
    }
  })
})
