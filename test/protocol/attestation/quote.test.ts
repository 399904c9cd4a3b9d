import { expect } from 'chai'
import { parseQuote, QuoteFormatError } from '../../../protocol/attestation/quote.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { EVIDENCE, read } from './evidence.ts'

const pki = createSimulatedPki()
const reportData = new Uint8Array(64).fill(7)
const v4 = pki.quote({ reportData, version: 4 })
const v5 = pki.quote({ reportData, version: 5 })
const v3 = read('phala-dcap-qvl/sgx_quote')

/** `quote` with little-endian integers written over it. */
function patched(quote: Uint8Array, ...patches: { at: number; size: 2 | 4; value: number }[]): Uint8Array {
  const copy = Buffer.from(quote)
  for (const { at, size, value } of patches) copy.writeUIntLE(value, at, size)
  return new Uint8Array(copy)
}
const u16 = (at: number, value: number) => ({ at, size: 2 as const, value })
const u32 = (at: number, value: number) => ({ at, size: 4 as const, value })
const at = (quote: Uint8Array, offset: number, size: 2 | 4) => Buffer.from(quote).readUIntLE(offset, size)

// Offsets of sizes and types. v4: header 48, body 584; v5: six bytes between, body 648; v3: body 384.
const V4 = { signatureSize: 632, outerType: 764, outerSize: 766, authenticationSize: 1218, certificationType: 1252, certificationSize: 1254 }
const V3 = { signatureSize: 432, authenticationSize: 1012 }

describe('quotes', () => {
  it('of version 3 have an SGX report', () => {
    const quote = parseQuote(v3)
    if (quote.tee !== 'sgx') throw new Error('not SGX')
    expect(quote).to.include({ version: 3, attestationKeyType: 2 })
    expect(quote.signedBytes).to.deep.equal(v3.subarray(0, 432))
    expect(quote.report.bytes).to.deep.equal(v3.subarray(48, 432))
    expect(quote.reportData).to.deep.equal(v3.subarray(368, 432))
    expect(quote.report.mrEnclave).to.deep.equal(v3.subarray(112, 144))
    expect(quote.report.mrSigner).to.deep.equal(v3.subarray(176, 208))
    expect(quote.certificationData.type).to.equal(5)
  })

  it('of versions 4 and 5 have a TD report, of TDX 1.0 and 1.5', () => {
    for (const [bytes, body] of [
      [v4, 48],
      [v5, 54],
    ] as const) {
      const quote = parseQuote(bytes)
      if (quote.tee !== 'tdx') throw new Error('not TDX')
      const field = (offset: number, size: number) => bytes.subarray(body + offset, body + offset + size)
      expect(quote.report.teeTcbSvn).to.deep.equal(field(0, 16))
      expect(quote.report.mrSeam).to.deep.equal(field(16, 48))
      expect(quote.report.tdAttributes).to.deep.equal(field(120, 8))
      expect(quote.report.mrTd).to.deep.equal(field(136, 48))
      expect(quote.report.mrConfigId).to.deep.equal(field(184, 48))
      expect(quote.report.rtMr).to.deep.equal([328, 376, 424, 472].map((offset) => field(offset, 48)))
      expect(quote.reportData).to.deep.equal(field(520, 64))
      expect(quote.report.mrServiceTd).to.deep.equal(body === 54 ? field(600, 48) : undefined)
    }
  })

  it('of version 5 may have a report of TDX 1.0 or of SGX', () => {
    const body = v4.subarray(48, 632)
    const tdx10 = Buffer.concat([patched(v4.subarray(0, 48), u16(0, 5)), Buffer.from('020048020000', 'hex'), body, v4.subarray(632)])
    const quote = parseQuote(tdx10)
    expect(quote).to.include({ tee: 'tdx', version: 5 })
    expect(quote.signedBytes).to.have.length(638)
    const outer = Buffer.from(v4.subarray(V4.signatureSize))
    const sgx = Buffer.concat([patched(v4.subarray(0, 48), u16(0, 5), u32(4, 0)), Buffer.from('010080010000', 'hex'), v3.subarray(48, 432), outer])
    expect(parseQuote(sgx)).to.include({ tee: 'sgx', version: 5 })
  })

  it('of every sample read, and their parts lie where the quote has them', () => {
    for (const { quote, name, failed } of EVIDENCE) {
      if ('quote format' in failed) continue
      const parsed = parseQuote(quote)
      expect(Buffer.from(parsed.certificationData.data).toString('latin1'), name).to.contain('-----BEGIN CERTIFICATE-----')
      expect(parsed.attestationKey).to.have.length(64)
    }
  })

  it('of an unknown kind are refused, with what is known', () => {
    for (const [bytes, detail] of [
      [patched(v4, u16(0, 2)), 'version 2 is not known: 3, 4 and 5 are'],
      [patched(v4, u16(0, 6)), 'version 6 is not known'],
      [patched(v4, u16(2, 3)), 'attestation key type 3 is not known'],
      [patched(v4, u32(4, 1)), 'TEE type 1 is not known'],
      [patched(v4, u16(0, 3)), 'version 3 has quotes of SGX only'],
      [patched(v5, u16(48, 4)), 'body type 4 is not known'],
      [patched(v5, u16(48, 1)), 'body type 1 is not one of tdx'],
      [patched(v5, u32(4, 0)), 'body type 3 is not one of sgx'],
      [patched(v5, u32(50, 584)), 'body size is 584 instead of 648'],
      [patched(v4, u16(V4.outerType, 5)), 'outer certification type is 5 instead of 6'],
    ] as const) {
      expect(() => parseQuote(bytes), detail).to.throw(QuoteFormatError, detail)
    }
  })

  it('whose sizes disagree are refused', () => {
    for (const [bytes, offset, size] of [
      [v4, V4.signatureSize, 4],
      [v4, V4.outerSize, 4],
      [v4, V4.authenticationSize, 2],
      [v4, V4.certificationSize, 4],
      [v3, V3.signatureSize, 4],
      [v3, V3.authenticationSize, 2],
    ] as const) {
      const value = at(bytes, offset, size)
      for (const other of [value + 1, value - 1, 0, size === 2 ? 0xffff : 0xffff_ffff]) {
        expect(() => parseQuote(patched(bytes, { at: offset, size, value: other })), `${other} at ${offset}`).to.throw(QuoteFormatError)
      }
    }
    expect(at(v4, V4.certificationType, 2)).to.equal(5)
  })

  it('may be followed by zeros, as drivers do it, and by nothing else', () => {
    expect(parseQuote(Buffer.concat([v4, Buffer.alloc(3000)])).signature).to.deep.equal(parseQuote(v4).signature)
    expect(() => parseQuote(Buffer.concat([v4, Buffer.from([0, 0, 1])]))).to.throw(QuoteFormatError, `the first at ${v4.length + 2}`)
  })

  it('cut short anywhere are refused, with what is missing', () => {
    for (let size = 0; size < v4.length; size += size < 1300 ? 1 : 61) expect(() => parseQuote(v4.subarray(0, size))).to.throw(QuoteFormatError, 'cut short')
    expect(() => parseQuote(v4.subarray(0, 100))).to.throw(QuoteFormatError, 'the quote is cut short: body has 584 bytes, 52 are left')
  })
})
