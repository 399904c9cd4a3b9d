import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { utils } from '@phala/dcap-qvl'
import { BitString, fromBER, ObjectIdentifier, Sequence } from 'asn1js'
import { expect } from 'chai'
import { type ChainShape, checkChain, checkNotRevoked, checkRevocationList } from '../../../protocol/attestation/certificate-chain.ts'
import { INTEL_SGX_ROOT_CA } from '../../../protocol/attestation/intel-root.ts'
import { platformOf } from '../../../protocol/attestation/pck.ts'
import { decodeChain, parseChain } from '../../../protocol/attestation/pem.ts'
import { parseRevocationList } from '../../../protocol/attestation/revocation-list.ts'
import { certificate, type Issuer, type PlatformClaims, pem, revocationList } from '../../../protocol/attestation/simulated-certificates.ts'
import { CertificateError, parseCertificate, readSigned } from '../../../protocol/attestation/x509.ts'
import { EVIDENCE, readText } from './evidence.ts'

const now = new Date('2026-02-20T00:00:00Z')
const validity = { notBefore: new Date('2026-01-01T00:00:00Z'), notAfter: new Date('2049-12-31T23:59:59Z') }
const party = (commonName: string): Issuer => ({ commonName, key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })
const serial = (byte: number) => new Uint8Array(20).fill(byte)
const [root, authority, leaf] = [party('Root'), party('Authority'), party('Leaf')]

const rootDer = certificate({ serial: serial(1), issuer: root, subject: root, validity, pathLength: 1 })
const authorityDer = certificate({ serial: serial(2), issuer: root, subject: authority, validity, pathLength: 0 })
const leafDer = certificate({ serial: serial(3), issuer: authority, subject: leaf, validity })

/** Replaces bytes (hex, equally many, the first occurrence) in what is signed, and signs again: a certificate or list that its issuer would not make. */
function reissued(der: Uint8Array, key: KeyObject, from: string, to: string): Uint8Array {
  expect(to).to.have.length(from.length)
  const content = Buffer.from(readSigned(der, 'original').toBeSigned.raw).toString('hex')
  const at = content.indexOf(from)
  expect(at % 2, `${from} occurs`).to.equal(0)
  const toBeSigned = Buffer.from(content.slice(0, at) + to + content.slice(at + from.length), 'hex')
  const algorithm = new Sequence({ value: [new ObjectIdentifier({ value: '1.2.840.10045.4.3.2' })] })
  const signature = new BitString({ valueHex: sign('sha256', toBeSigned, key) })
  return new Uint8Array(new Sequence({ value: [fromBER(toBeSigned).result, algorithm, signature] }).toBER())
}

const SHAPE: ChainShape = { what: 'chain', names: [/^Leaf$/, /^Authority$/, /^Root$/] }
const check = (ders: Uint8Array[], shape = SHAPE, at = now) => checkChain(ders.map(pem).join(''), ders.at(-1)!, at, shape)
const KEY_USAGE = '551d0f0101ff0404'
const BASIC_CONSTRAINTS = '551d130101ff04'

describe('X.509 certificates', () => {
  it('of real chains read as OpenSSL reads them', () => {
    const chains = EVIDENCE.flatMap(({ quote, collateral }) => [
      Buffer.from(quote)
        .toString('latin1')
        .match(/-----BEGIN[\s\S]*-----\n/)![0],
      collateral.tcb_info_issuer_chain,
      collateral.qe_identity_issuer_chain,
    ])
    const certificates = [...chains, readText('nvtrust/hopperCertChain.txt')].flatMap(
      (chain) => chain.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)!,
    )
    for (const text of new Set(certificates)) {
      const expected = new X509Certificate(text)
      const parsed = parseCertificate(new Uint8Array(expected.raw))
      expect(parsed.serial).to.equal(expected.serialNumber.toLowerCase())
      expect(expected.subject.split('\n')).to.include(`CN=${parsed.commonName}`)
      expect(parsed.notBefore.getTime()).to.equal(Date.parse(expected.validFrom))
      expect(parsed.notAfter.getTime()).to.equal(Date.parse(expected.validTo))
      expect(parsed.isAuthority).to.equal(expected.ca)
      expect(parsed.publicKey.equals(expected.publicKey)).to.equal(true)
    }
    expect(new Set(certificates).size).to.be.greaterThan(15)
  })

  it('that Intel or NVIDIA would not issue are refused', () => {
    const point = Buffer.from(parseCertificate(leafDer).publicKey.export({ type: 'spki', format: 'der' }).subarray(-65)).toString('hex')
    for (const [from, to, detail] of [
      ['a003020102', 'a003020101', 'not of version 3'],
      [`0214${'03'.repeat(20)}`, `0214${'83'.repeat(20)}`, 'serial number is negative'],
      ['06082a8648ce3d040302', '06082a8648ce3d040303', 'two different signature algorithms'],
      ['06082a8648ce3d040302', '06082a8648ce3d040304', 'neither ECDSA|which is not ECDSA'],
      ['06082a8648ce3d030107', '06082a8648ce3d030106', 'neither P-256 nor P-384'],
      [point, `02${point.slice(2)}`, 'not an uncompressed point'],
      [point, `${point.slice(0, -64)}${'00'.repeat(32)}`, 'not a point of its curve'],
      ['551d130101ff', '551d7f0101ff', 'extension 2.5.29.127 is critical and not known'],
      ['551d0e', '551d23', 'extension 2.5.29.35 occurs twice'],
      ['551d0f0101ff', '551d0f010100', 'spells out a default'],
      ['551d0f0101ff', '551d0f010101', 'neither true (ff) nor false'],
      ['170d3236303130313030303030305a', '170d3236313330313030303030305a', 'notBefore is not a time: "261301000000Z"'],
      [`${KEY_USAGE}030206c0`, `${KEY_USAGE}03020640`, ''],
      [`${KEY_USAGE}030206c0`, `${KEY_USAGE}030207c0`, 'named bits in its shortest form'],
      [`${KEY_USAGE}030206c0`, `${KEY_USAGE}03020600`, 'named bits in its shortest form'],
    ] as const) {
      const read = () => parseCertificate(reissued(leafDer, authority.key, from, to))
      if (detail) expect(read, detail).to.throw(Error, new RegExp(detail.replace(/[().]/g, '\\$&')))
      else expect(read).not.to.throw()
    }
    const long = certificate({ serial: new Uint8Array(21).fill(1), issuer: authority, subject: leaf, validity })
    expect(() => parseCertificate(long)).to.throw(CertificateError, 'a serial number has 21 bytes')
    expect(() => parseCertificate(Buffer.concat([leafDer, Buffer.alloc(1)]))).to.throw('1 bytes too many')
  })

  it('have dates after 2049 as GeneralizedTime', () => {
    const der = certificate({ serial: serial(4), issuer: root, subject: leaf, validity: { ...validity, notAfter: new Date('2063-04-05T06:07:08Z') } })
    expect(parseCertificate(der).notAfter).to.deep.equal(new Date('2063-04-05T06:07:08Z'))
    expect(Buffer.from(der).toString('latin1')).to.contain('20630405060708Z')
  })
})

describe('chains of certificates', () => {
  it('that are in order are accepted, at the first and at the last moment of their validity', () => {
    for (const at of [now, validity.notBefore, validity.notAfter]) expect(check([leafDer, authorityDer, rootDer], SHAPE, at)).to.have.length(3)
  })

  it('a moment before and after are not', () => {
    for (const at of [validity.notBefore.getTime() - 1, validity.notAfter.getTime() + 1]) {
      expect(() => check([leafDer, authorityDer, rootDer], SHAPE, new Date(at))).to.throw(CertificateError, 'is valid from 2026-01-01')
    }
  })

  it('must end in the pinned root, even if another has its name and key', () => {
    const twin = certificate({ serial: serial(9), issuer: root, subject: root, validity, pathLength: 1 })
    const chain = [leafDer, authorityDer, twin].map(pem).join('')
    expect(() => checkChain(chain, rootDer, now, SHAPE)).to.throw(CertificateError, 'pinned root')
  })

  it('must be linked by name and by signature', () => {
    const namesake = party('Authority')
    const forged = certificate({ serial: serial(3), issuer: namesake, subject: leaf, validity })
    expect(() => check([forged, authorityDer, rootDer])).to.throw(CertificateError, 'the signature of certificate "Leaf" is wrong')
    const renamed = certificate({ serial: serial(3), issuer: { ...authority, commonName: 'Somebody' }, subject: leaf, validity })
    expect(() => check([renamed, authorityDer, rootDer])).to.throw(CertificateError, '"Leaf" was not issued by "Authority"')
  })

  it('must have every certificate in its place', () => {
    expect(() => check([leafDer, authorityDer, rootDer], { ...SHAPE, names: [/^PCK$/, /^Authority$/, /^Root$/] })).to.throw(
      CertificateError,
      'another place than at 0',
    )
    expect(() => check([authorityDer, rootDer])).to.throw(CertificateError, '2 certificates instead of 3')
  })

  it('must give every certificate its role', () => {
    const powerful = certificate({ serial: serial(3), issuer: authority, subject: leaf, validity, pathLength: 0 })
    expect(() => check([powerful, authorityDer, rootDer])).to.throw(CertificateError, '"Leaf" is that of an authority')
    const unusable = reissued(leafDer, authority.key, `${KEY_USAGE}030206c0`, `${KEY_USAGE}03020640`)
    expect(() => check([unusable, authorityDer, rootDer])).to.throw(CertificateError, '"Leaf" is not for signatures')
    const powerless = certificate({ serial: serial(2), issuer: root, subject: authority, validity })
    expect(() => check([leafDer, powerless, rootDer])).to.throw(CertificateError, '"Authority" may not sign certificates')
    const listsOnly = reissued(authorityDer, root.key, `${KEY_USAGE}03020106`, `${KEY_USAGE}03020102`)
    expect(() => check([leafDer, listsOnly, rootDer])).to.throw(CertificateError, '"Authority" may not sign certificates')
    const flagless = reissued(authorityDer, root.key, `${BASIC_CONSTRAINTS}0830060101ff020100`, `${BASIC_CONSTRAINTS}083006010100020100`)
    expect(() => check([leafDer, flagless, rootDer])).to.throw(CertificateError, 'spells out a default')
  })

  it('must not be longer than an authority allows', () => {
    const strict = certificate({ serial: serial(1), issuer: root, subject: root, validity, pathLength: 0 })
    expect(() => check([leafDer, authorityDer, strict])).to.throw(CertificateError, '"Root" has 1 authorities below, 0 are allowed')
  })
})

describe('PEM', () => {
  const text = pem(leafDer) + pem(rootDer)

  it('is read with LF or CRLF, with or without a line break at the end, and with one zero byte after it', () => {
    for (const variant of [text, text.replaceAll('\n', '\r\n'), text.slice(0, -1), `${text}\0`]) {
      expect(decodeChain(variant, 2)).to.deep.equal([leafDer, rootDer])
    }
    expect(parseChain(text, 2).map(({ commonName }) => commonName)).to.deep.equal(['Leaf', 'Root'])
  })

  it('with anything else in or around it is refused', () => {
    const lines = text.split('\n')
    for (const variant of [
      '',
      `\n${text}`,
      `${text}\n`,
      `${text}\0\0`,
      `${text.slice(0, -1)}\0`,
      `subject=Leaf\n${text}`,
      text.replace('BEGIN CERTIFICATE', 'BEGIN X509 CERTIFICATE'),
      text.replace('END CERTIFICATE', 'END'),
      text.slice(0, 300),
      lines.toSpliced(1, 2, lines[1]! + lines[2]!).join('\n'),
      lines.toSpliced(1, 1, lines[1]!.slice(0, 32), lines[1]!.slice(32)).join('\n'),
      lines.with(1, ` ${lines[1]!.slice(1)}`).join('\n'),
      lines.with(1, `-${lines[1]!.slice(1)}`).join('\n'),
      `-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n${pem(rootDer)}`,
    ]) {
      expect(() => decodeChain(variant, 2), JSON.stringify(variant.slice(0, 80))).to.throw(CertificateError)
    }
    expect(() => decodeChain(text.slice(0, 300), 2)).to.throw(CertificateError, 'the chain is cut short')
    expect(() => decodeChain(text, 1)).to.throw(CertificateError, 'more than 1 certificates')
    expect(() => decodeChain(text, 3)).to.throw(CertificateError, '2 certificates instead of 3')
  })

  it('has one encoding of the last bytes', () => {
    const padded = [leafDer, authorityDer, rootDer].map(pem).find((one) => one.includes('=\n'))
    const one = padded ?? pem(Buffer.concat([leafDer, Buffer.alloc(3 - (leafDer.length % 3) + 1)]))
    const at = one.indexOf('=')
    const other = String.fromCharCode(one.charCodeAt(at - 1) + 1)
    expect(() => decodeChain(one.slice(0, at - 1) + other + one.slice(at), 1)).to.throw(CertificateError, 'not base64')
  })
})

describe('revocation lists', () => {
  const thisUpdate = new Date('2026-02-01T00:00:00Z')
  const nextUpdate = new Date('2026-03-01T00:00:00Z')
  const listOf = (issuer: Issuer, revoked: Uint8Array[] = []) => revocationList({ issuer, thisUpdate, nextUpdate, revoked })
  const parsedAuthority = parseCertificate(authorityDer)

  it('are accepted from their issuer while they are in force', () => {
    for (const at of [thisUpdate, now, nextUpdate]) {
      expect([...checkRevocationList(listOf(authority, [serial(3), serial(0x80)]), parsedAuthority, at).revoked]).to.deep.equal([
        '03'.repeat(20),
        '80'.repeat(20),
      ])
    }
    for (const at of [thisUpdate.getTime() - 1, nextUpdate.getTime() + 1]) {
      expect(() => checkRevocationList(listOf(authority), parsedAuthority, new Date(at))).to.throw(CertificateError, 'is valid from 2026-02-01')
    }
  })

  it('are refused from anybody else', () => {
    expect(() => checkRevocationList(listOf(root), parsedAuthority, now)).to.throw(CertificateError, 'not the revocation list of "Authority"')
    expect(() => checkRevocationList(listOf(party('Authority')), parsedAuthority, now)).to.throw(CertificateError, 'signature of the revocation list')
    const certificatesOnly = parseCertificate(reissued(authorityDer, root.key, `${KEY_USAGE}03020106`, `${KEY_USAGE}03020204`))
    expect(certificatesOnly.isAuthority).to.equal(true)
    expect(() => checkRevocationList(listOf(authority), certificatesOnly, now)).to.throw(CertificateError, 'may not sign revocation lists')
  })

  it('tell revoked certificates from others, and know what they do not cover', () => {
    const list = checkRevocationList(listOf(authority, [serial(3)]), parsedAuthority, now)
    expect(() => checkNotRevoked(parseCertificate(leafDer), list)).to.throw(CertificateError, `(${'03'.repeat(20)}) is revoked`)
    const other = certificate({ serial: serial(4), issuer: authority, subject: leaf, validity })
    expect(() => checkNotRevoked(parseCertificate(other), list)).not.to.throw()
    expect(() => checkNotRevoked(parsedAuthority, list)).to.throw(CertificateError, 'not covered')
  })

  it('of another form are refused', () => {
    const list = listOf(authority, [serial(3)])
    for (const [from, to, detail] of [
      ['020101300a', '020100300a', 'not of version 2'],
      ['06082a8648ce3d040302', '06082a8648ce3d040303', 'two different signature algorithms'],
      ['170d3236303230313030303030305a', '170d3236303230313030303030305b', 'not a time'],
      ['0603551d14', '0603551d23', 'occurs twice'],
    ] as const) {
      expect(() => parseRevocationList(reissued(list, authority.key, from, to)), detail).to.throw(Error, detail)
    }
    expect(() => parseRevocationList(new Uint8Array(0))).to.throw('is missing')
    expect(() => parseRevocationList(rootDer)).to.throw(Error)
  })

  it('that cover only some certificates say so in a critical extension, and are refused', () => {
    const list = listOf(authority)
    // The CRL number (2.5.29.20, 1) made into something critical of the same length: an issuing distribution point with onlyContainsUserCerts.
    expect(() => parseRevocationList(reissued(list, authority.key, '300a0603551d1404030201', '300a0603551d1c0101ff04'))).to.throw(Error)
  })
})

describe('certificates of platforms', () => {
  const claims: PlatformClaims = {
    ppid: new Uint8Array(16),
    fmspc: Uint8Array.of(0xde, 0, 1, 2, 3, 4),
    pceId: Uint8Array.of(0, 1),
    components: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 200],
    pceSvn: 300,
  }
  const pck = certificate({ serial: serial(5), issuer: authority, subject: leaf, validity, platform: claims })
  const sgx = '2a864886f84d010d01'

  it('say what the platform is', () => {
    const { fmspc, pceId, components, pceSvn } = claims
    expect(platformOf(parseCertificate(pck))).to.deep.equal({ fmspc, pceId, components, pceSvn })
  })

  it('of real platforms read as a public verifier reads them', () => {
    for (const { name, quote } of EVIDENCE) {
      const chain = Buffer.from(quote)
        .toString('latin1')
        .match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/)![0]
      const [leaf] = parseChain(chain, 1)
      const extension = utils.getIntelExtension(Buffer.from(leaf!.der))
      const { fmspc, components, pceSvn } = platformOf(leaf!)
      expect(Buffer.from(fmspc), name).to.deep.equal(Buffer.from(utils.getFmspc(extension)))
      expect(Buffer.from(components), name).to.deep.equal(Buffer.from(utils.getCpuSvn(extension)))
      expect(pceSvn, name).to.equal(utils.getPceSvn(extension))
    }
  })

  it('that leave something out, repeat it, or have it in another form are refused', () => {
    expect(() => platformOf(parseCertificate(leafDer))).to.throw(CertificateError, 'has no SGX extension')
    expect(() => platformOf(parseCertificate(INTEL_SGX_ROOT_CA))).to.throw(CertificateError, 'has no SGX extension')
    for (const [from, to, detail] of [
      [`060a${sgx}04`, `060a${sgx}0c`, `part 1.2.840.113741.1.13.1.4 of the SGX extension is missing`],
      [`060a${sgx}04`, `060a${sgx}03`, 'part 1.2.840.113741.1.13.1.3 of the SGX extension occurs twice'],
      [`060b${sgx}0203020103`, `060b${sgx}0203040103`, 'missing or of another type'],
      [`060b${sgx}0203020103`, `060b${sgx}0203020183`, 'component 3 is negative'],
      [`060b${sgx}02100202`, `060b${sgx}02100402`, 'missing or of another type'],
      [`060a${sgx}0304020001`, `060a${sgx}0305020001`, 'missing or of another type'],
    ] as const) {
      expect(() => platformOf(parseCertificate(reissued(pck, authority.key, from, to))), detail).to.throw(Error, detail)
    }
    const short = certificate({ serial: serial(5), issuer: authority, subject: leaf, validity, platform: { ...claims, fmspc: new Uint8Array(5) } })
    expect(() => platformOf(parseCertificate(short))).to.throw(CertificateError, 'has 5 bytes instead of 6')
    const large = certificate({ serial: serial(5), issuer: authority, subject: leaf, validity, platform: { ...claims, pceSvn: 65_536 } })
    expect(() => platformOf(parseCertificate(large))).to.throw('PCE SVN is above 65535')
  })
})
