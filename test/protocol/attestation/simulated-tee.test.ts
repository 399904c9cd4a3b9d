import { X509Certificate } from 'node:crypto'
import { expect } from 'chai'
import { concat, hexlify, keccak256 } from 'ethers'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import { measurementOf, sdkReportData, signerReportData } from '../../../protocol/attestation/report-data.ts'
import { createSimulatedPki, SimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { read } from './evidence.ts'

const reportData = new Uint8Array(64).fill(7)
const now = new Date('2026-02-20T10:20:30.456Z')

describe('simulated TEE', () => {
  const pki = createSimulatedPki()

  it('says what it is in the subject and issuer of every certificate, and has an fmspc that no processor has', () => {
    for (const der of Object.values(pki.certificates)) {
      const { subject, issuer } = new X509Certificate(der)
      expect(subject).to.contain('SIMULATED TEE - DEVELOPMENT ONLY')
      expect(issuer).to.contain('SIMULATED TEE - DEVELOPMENT ONLY')
    }
    expect(pki.fmspc).to.match(/^de00/)
    expect(() => createSimulatedPki({ fmspc: '00806f050000' })).to.throw(RangeError, 'begin with de00')
  })

  it('makes another root every time', () => {
    expect(hexlify(createSimulatedPki().rootCertificate)).not.to.equal(hexlify(pki.rootCertificate))
  })

  it('writes certificates as DER that on-chain parsers read without alternatives', () => {
    const hex = (der: Uint8Array) => Buffer.from(der).toString('hex')
    for (const der of Object.values(pki.certificates)) expect(hex(der)).to.contain('a003020102') // version 3
    expect(hex(pki.certificates.root)).to.contain('0603551d130101ff040830060101ff020101')
    expect(hex(pki.certificates.platformCa)).to.contain('0603551d130101ff040830060101ff020100')
    for (const leaf of [pki.certificates.pck, pki.certificates.tcbSigner]) expect(hex(leaf)).to.contain('0603551d130101ff04023000')
    for (const der of Object.values(pki.certificates)) expect(hex(der).split('300a06082a8648ce3d040302')).to.have.length(3)
  })

  it('issues certificates that chain to its root', () => {
    const [root, ca, pck, signer] = [pki.certificates.root, pki.certificates.platformCa, pki.certificates.pck, pki.certificates.tcbSigner].map(
      (der) => new X509Certificate(der),
    )
    expect(root!.verify(root!.publicKey)).to.equal(true)
    expect(ca!.checkIssued(root!) && ca!.verify(root!.publicKey) && ca!.ca).to.equal(true)
    expect(signer!.checkIssued(root!) && signer!.verify(root!.publicKey)).to.equal(true)
    expect(pck!.checkIssued(ca!) && pck!.verify(ca!.publicKey)).to.equal(true)
  })

  it('survives JSON: the same root goes on signing', () => {
    const kept = SimulatedPki.fromJSON(JSON.parse(JSON.stringify(pki)))
    expect(kept.toJSON()).to.deep.equal(pki.toJSON())
    expect(kept.quote({ reportData }).subarray(0, 632)).to.deep.equal(pki.quote({ reportData }).subarray(0, 632))
    expect(JSON.stringify(pki)).to.contain('development only')
  })

  it('issues collateral with fresh dates on demand', () => {
    const { issueDate, nextUpdate, fmspc } = JSON.parse(pki.collateral(now).tcb_info)
    expect({ issueDate, nextUpdate, fmspc }).to.deep.equal({ issueDate: '2026-02-19T10:20:30Z', nextUpdate: '2026-03-21T10:20:30Z', fmspc: 'DE0000000000' })
    expect(JSON.parse(pki.collateral(new Date('2030-01-02T00:00:00Z')).qe_identity).issueDate).to.equal('2030-01-01T00:00:00Z')
  })

  it('writes quotes of versions 4 and 5 that read back as they were asked for', () => {
    const measurement = { mrTd: new Uint8Array(48).fill(1), mrConfigId: new Uint8Array(48).fill(2) }
    for (const [version, signed] of [
      [4, 632],
      [5, 702],
    ] as const) {
      const quote = parseQuote(pki.quote({ reportData, measurement, version }))
      if (quote.tee !== 'tdx') throw new Error('not TDX')
      expect(quote.version).to.equal(version)
      expect(quote.signedBytes).to.have.length(signed)
      expect(quote.reportData).to.deep.equal(reportData)
      expect(quote.report.mrTd).to.deep.equal(measurement.mrTd)
      expect(quote.report.mrConfigId).to.deep.equal(measurement.mrConfigId)
      expect(quote.report.mrServiceTd).to.deep.equal(version === 5 ? new Uint8Array(48) : undefined)
      expect(quote.attestationKey).to.deep.equal(pki.attestationKey)
    }
  })

  it('refuses fields of a wrong size', () => {
    expect(() => pki.quote({ reportData: new Uint8Array(63) })).to.throw(RangeError, 'report data has 64 bytes, this has 63')
    expect(() => pki.quote({ reportData, measurement: { mrTd: new Uint8Array(47) } })).to.throw(RangeError, 'wrong size')
  })
})

describe('report data', () => {
  const claim = {
    chainId: 31337,
    registry: '0x1111111111111111111111111111111111111111',
    signer: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266',
    encryptionKey: `0x${'22'.repeat(32)}`,
    tlsKey: `0x${'33'.repeat(32)}`,
    blockHash: `0x${'44'.repeat(32)}`,
  }

  it('of a registration binds every field, and ends in the block hash', () => {
    const data = hexlify(signerReportData(claim))
    expect(data).to.match(/^0x[0-9a-f]{64}(44){32}$/)
    const others = { chainId: 1, registry: claim.signer, signer: claim.registry, encryptionKey: claim.tlsKey, tlsKey: claim.encryptionKey }
    for (const [field, value] of Object.entries(others)) expect(hexlify(signerReportData({ ...claim, [field]: value }))).not.to.equal(data)
    expect(() => signerReportData({ ...claim, blockHash: '0x1234' })).to.throw(RangeError, 'has 32 bytes, this has 2')
  })

  it('of public clients is the signer in ASCII, padded with zeros', () => {
    const data = sdkReportData(claim.signer)
    expect(data).to.have.length(64)
    expect(Buffer.from(data).toString('latin1').replace(/\0+$/, '')).to.equal(claim.signer)
  })

  it('the measurement covers MRTD, RTMR1, RTMR2 and MRCONFIGID, and neither RTMR0 nor RTMR3', () => {
    const pki = createSimulatedPki()
    const part = (fill: number) => new Uint8Array(48).fill(fill)
    const parts = { mrTd: part(1), rtMr: [part(2), part(3), part(4), part(5)] as [Uint8Array, Uint8Array, Uint8Array, Uint8Array], mrConfigId: part(6) }
    const of = (measurement: typeof parts) => measurementOf(parseQuote(pki.quote({ reportData, measurement })))
    expect(of(parts)).to.equal(keccak256(concat([parts.mrTd, parts.rtMr[1], parts.rtMr[2], parts.mrConfigId])))
    expect(of({ ...parts, rtMr: [part(9), part(3), part(4), part(9)] })).to.equal(of(parts))
    for (const other of [{ mrTd: part(9) }, { mrConfigId: part(9) }, { rtMr: parts.rtMr.with(1, part(9)) }, { rtMr: parts.rtMr.with(2, part(9)) }])
      expect(of({ ...parts, ...other } as typeof parts)).not.to.equal(of(parts))
  })

  it('an SGX quote has no measurement of a trust domain', () => {
    expect(() => measurementOf(parseQuote(read('phala-dcap-qvl/sgx_quote')))).to.throw(TypeError, 'only a TDX quote')
  })
})
