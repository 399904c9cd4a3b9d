import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { checkCollateral } from '../../../protocol/attestation/checked-collateral.ts'
import { type Collateral, TCB_STATUSES, type TcbStatus } from '../../../protocol/attestation/collateral.ts'
import { INTEL_SGX_ROOT_CA } from '../../../protocol/attestation/intel-root.ts'
import { checkPolicy, PolicyError } from '../../../protocol/attestation/policy.ts'
import { parseQuote, type SgxQuote } from '../../../protocol/attestation/quote.ts'
import type { SimulatedQuoteOptions } from '../../../protocol/attestation/simulated-quote.ts'
import { type CollateralChanges, createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { combined } from '../../../protocol/attestation/tcb.ts'
import { judgeQuote, type VerifyOptions, verifyQuote } from '../../../protocol/attestation/verify.ts'
import { EVIDENCE, read } from './evidence.ts'

const now = new Date('2026-02-20T00:00:00Z')
const DAY = 86_400_000
const later = (days: number) => new Date(now.getTime() + days * DAY)
const reportData = new Uint8Array(64).fill(7)
const pki = createSimulatedPki()
const other = createSimulatedPki()
const QUOTE = pki.quote({ reportData })
const COLLATERAL = pki.collateral(now)

const verdictOf = (quote: Uint8Array, collateral: Collateral, options: Partial<VerifyOptions> = {}) =>
  verifyQuote(quote, collateral, { now, root: pki.rootCertificate, ...options })

/** The checks that fail, with what they say. */
function failures(quote: Uint8Array, collateral: Collateral, options: Partial<VerifyOptions> = {}): Record<string, string> {
  const verdict = verdictOf(quote, collateral, options)
  const failed = verdict.checks.filter(({ ok }) => !ok)
  expect(verdict.ok).to.equal(failed.length === 0)
  return Object.fromEntries(failed.map(({ name, detail }) => [name, detail]))
}
const failuresOfQuote = (options: Partial<SimulatedQuoteOptions>, collateral = COLLATERAL) => failures(pki.quote({ reportData, ...options }), collateral)
const failuresOfCollateral = (changes: Partial<Collateral>) => failures(QUOTE, { ...COLLATERAL, ...changes })
const issued = (changes: CollateralChanges) => failures(QUOTE, pki.collateral(now, changes), { accept: TCB_STATUSES })
const flipped = (bytes: Uint8Array, at: number) => bytes.with(at, bytes[at]! ^ 1)
const flippedHex = (hex: string, at: number) => Buffer.from(flipped(Buffer.from(hex, 'hex'), at)).toString('hex')

describe('verification of quotes', () => {
  describe('of real platforms', () => {
    for (const { name, quote, collateral, now, status, advisories, failed } of EVIDENCE) {
      it(`${name}: ${status ?? 'no status'}${Object.keys(failed).length > 0 ? `, refused for ${Object.keys(failed).join(' and ')}` : ''}`, () => {
        const verdict = verifyQuote(quote, collateral, { now, accept: TCB_STATUSES })
        const refused = verdict.checks.filter((check) => !check.ok)
        expect(refused.map((check) => check.name)).to.deep.equal(Object.keys(failed))
        for (const check of refused) expect(check.detail).to.contain(failed[check.name])
        expect(verdict.ok).to.equal(refused.length === 0)
        expect(verdict.status).to.equal(status)
        expect(verdict.advisories).to.have.length(advisories)
        expect(verdict.simulated).to.equal(false)
      })
    }

    it('the pinned root is the certificate that Intel publishes', () => {
      expect(createHash('sha256').update(INTEL_SGX_ROOT_CA).digest('hex')).to.equal('44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3')
      expect(new Uint8Array(INTEL_SGX_ROOT_CA)).to.deep.equal(read('phala-dcap-qvl/TrustedRootCA.der'))
    })
  })

  describe('of the simulated platform', () => {
    for (const version of [4, 5] as const) {
      it(`version ${version}: every check runs and holds, and the verdict says that it is simulated`, () => {
        const verdict = verdictOf(pki.quote({ reportData, version }), COLLATERAL)
        expect(verdict.checks.map(({ name, ok }) => [name, ok])).to.deep.equal(
          [
            'collateral format',
            'root CRL',
            'TCB info signer',
            'TCB info',
            'QE identity signer',
            'QE identity',
            'quote format',
            'PCK chain',
            'PCK revocation',
            'platform',
            'QE report signature',
            'attestation key',
            'quote signature',
            'policy',
            'TCB info subject',
            'quoting enclave',
            'TDX module',
            'platform TCB',
            'TCB status',
          ].map((name) => [name, true]),
        )
        expect(verdict).to.deep.include({ ok: true, status: 'UpToDate', advisories: [], simulated: true })
        expect(verdict.quote?.reportData).to.deep.equal(reportData)
      })
    }

    it('is judged alike by collateral that was checked before', () => {
      const checked = checkCollateral(COLLATERAL, { now, root: pki.rootCertificate })
      for (const quote of [QUOTE, pki.quote({ reportData, debug: true }), QUOTE.subarray(1)]) {
        expect(judgeQuote(quote, checked)).to.deep.equal(verdictOf(quote, COLLATERAL))
      }
      expect(judgeQuote(QUOTE, checked, []).ok).to.equal(false)
    })

    it("is refused under Intel's root, which is the default", () => {
      const verdict = verifyQuote(QUOTE, COLLATERAL, { now })
      expect(verdict).to.include({ ok: false, simulated: false, status: undefined })
      expect(verdict.checks.find(({ name }) => name === 'PCK chain')?.detail).to.contain('pinned root')
    })

    it("a real quote is refused under the simulated platform's root", () => {
      const [{ quote, collateral, now: then }] = EVIDENCE as [(typeof EVIDENCE)[number]]
      expect(verdictOf(quote, collateral, { now: then })).to.include({ ok: false, simulated: true })
    })

    it('is refused under the root of another network, and with the collateral of one', () => {
      expect(failures(QUOTE, COLLATERAL, { root: other.rootCertificate })).to.include.all.keys('root CRL', 'PCK chain')
      expect(failures(QUOTE, other.collateral(now))).to.include.all.keys('root CRL', 'PCK revocation')
      expect(failures(QUOTE, COLLATERAL, { root: new Uint8Array(3) })).to.include.all.keys('root CRL', 'PCK chain')
    })
  })

  describe('refuses a quote', () => {
    it('that is cut short, has bytes behind, or comes from a quoting enclave of somebody else', () => {
      for (let size = 0; size < QUOTE.length; size += 97) expect(failures(QUOTE.subarray(0, size), COLLATERAL)).to.have.property('quote format')
      expect(failures(Buffer.concat([QUOTE, Buffer.alloc(7)]), COLLATERAL)).to.deep.equal({})
      expect(failures(Buffer.concat([QUOTE, Buffer.from([0, 1])]), COLLATERAL)['quote format']).to.contain('bytes other than zero')
      expect(failures(flipped(QUOTE, 12), COLLATERAL)).to.deep.equal({ 'quote format': 'the quoting enclave is not of Intel' })
    })

    it('whose body, QE report or attestation key was changed', () => {
      const parsed = parseQuote(QUOTE)
      const at = (part: Uint8Array) => part.byteOffset - QUOTE.byteOffset
      expect(failures(flipped(QUOTE, 48 + 520), COLLATERAL)).to.have.all.keys('quote signature')
      expect(failures(flipped(QUOTE, at(parsed.signature)), COLLATERAL)).to.have.all.keys('quote signature')
      expect(failures(flipped(QUOTE, at(parsed.qeReportSignature)), COLLATERAL)).to.have.all.keys('QE report signature')
      expect(failures(flipped(QUOTE, at(parsed.qeReport.bytes) + 70), COLLATERAL)).to.have.all.keys('QE report signature')
      expect(failures(flipped(QUOTE, at(parsed.qeAuthenticationData)), COLLATERAL)).to.have.all.keys('attestation key')
      const stolen = QUOTE.slice()
      stolen.set(other.attestationKey, at(parsed.attestationKey))
      expect(failures(stolen, COLLATERAL)).to.have.all.keys('attestation key', 'quote signature')
      const zeroKey = QUOTE.slice().fill(0, at(parsed.attestationKey), at(parsed.attestationKey) + 64)
      expect(failures(zeroKey, COLLATERAL)['quote signature']).to.equal('the attestation key is not a point of P-256')
    })

    it('whose QE report binds more than the attestation key', () => {
      const reportOfQe = parseQuote(QUOTE).qeReport.reportData.slice()
      reportOfQe[63] = 1
      expect(failuresOfQuote({ qe: { reportData: reportOfQe } })).to.have.all.keys('attestation key')
    })

    it('whose certification data are not a chain of certificates', () => {
      const type = Buffer.from(QUOTE).indexOf('-----BEGIN') - 6
      expect(failures(QUOTE.with(type, 4), COLLATERAL)['PCK chain']).to.contain('certification data of type 4')
    })

    it('under certificates that have expired, or are not valid yet', () => {
      const brief = createSimulatedPki({ validity: { notBefore: later(-1), notAfter: later(1) } })
      const check = (at: Date) => failures(brief.quote({ reportData }), brief.collateral(at), { now: at, root: brief.rootCertificate })
      expect(check(now)).to.deep.equal({})
      for (const at of [later(2), later(-2)]) {
        expect(check(at)).to.have.all.keys('TCB info signer', 'QE identity signer', 'PCK chain')
        expect(check(at)['PCK chain']).to.contain('is valid from 2026-02-19T00:00:00.000Z to 2026-02-21T00:00:00.000Z')
      }
    })
  })

  describe('refuses revocation lists', () => {
    it('that revoke the platform, its authority or the TCB signer', () => {
      expect(issued({ revoked: ['pck'] })['PCK revocation']).to.match(/"Simulated SGX PCK Certificate" \([0-9a-f]{40}\) is revoked/)
      expect(issued({ revoked: ['platformCa'] })['PCK revocation']).to.contain('"Simulated SGX PCK Platform CA"')
      expect(issued({ revoked: ['tcbSigner'] })).to.have.all.keys('TCB info signer', 'QE identity signer')
    })

    it('that are missing, malformed, forged, or of somebody else', () => {
      for (const root_ca_crl of ['', '30', 'zz', flippedHex(COLLATERAL.root_ca_crl, 200), COLLATERAL.pck_crl, other.collateral(now).root_ca_crl]) {
        expect(failuresOfCollateral({ root_ca_crl })).to.include.all.keys('root CRL', 'PCK revocation')
      }
      for (const pck_crl of ['', '30', 'zz', flippedHex(COLLATERAL.pck_crl, 200), COLLATERAL.root_ca_crl, other.collateral(now).pck_crl]) {
        expect(failuresOfCollateral({ pck_crl })).to.have.all.keys('PCK revocation')
      }
    })

    it('that are out of date, or not in force yet', () => {
      for (const then of [later(-400), later(3)]) {
        expect(failuresOfCollateral({ root_ca_crl: pki.collateral(then).root_ca_crl })['root CRL']).to.contain('is valid from')
        expect(failuresOfCollateral({ pck_crl: pki.collateral(then).pck_crl })['PCK revocation']).to.contain('is valid from')
      }
    })
  })

  describe('refuses TCB info and QE identity', () => {
    for (const [name, text, chain] of [
      ['TCB info', 'tcb_info', 'tcb_info_issuer_chain'],
      ['QE identity', 'qe_identity', 'qe_identity_issuer_chain'],
    ] as const) {
      it(`${name} that were changed after signing, or signed by another`, () => {
        const signature = `${text}_signature` as const
        expect(failuresOfCollateral({ [text]: `${COLLATERAL[text]} ` })[name]).to.equal('the signature is wrong')
        expect(failuresOfCollateral({ [signature]: flippedHex(COLLATERAL[signature], 3) })[name]).to.equal('the signature is wrong')
        expect(failuresOfCollateral({ [signature]: COLLATERAL[signature].slice(2) })[name]).to.equal('the signature is wrong')
        expect(failuresOfCollateral({ [signature]: 'signature' })[name]).to.equal('the signature is not hex')
        const foreign = other.collateral(now)
        expect(failuresOfCollateral({ [text]: foreign[text], [signature]: foreign[signature] })[name]).to.equal('the signature is wrong')
        expect(failuresOfCollateral({ [chain]: foreign[chain] })[`${name} signer`]).to.contain('pinned root')
      })

      it(`${name} signed by a certificate that is for something else`, () => {
        expect(failuresOfCollateral({ [chain]: COLLATERAL.pck_crl_issuer_chain })[`${name} signer`]).to.contain('has another place')
        for (const broken of ['', COLLATERAL[chain].slice(0, 500), `${COLLATERAL[chain]}${COLLATERAL[chain]}`]) {
          expect(failuresOfCollateral({ [chain]: broken })).to.have.property(`${name} signer`)
        }
      })

      it(`${name} out of date, or not in force yet`, () => {
        for (const then of [later(-40), later(3)]) {
          const { [text]: stale, [`${text}_signature` as const]: signature } = pki.collateral(then)
          expect(failuresOfCollateral({ [text]: stale, [`${text}_signature`]: signature })[name]).to.contain('valid from')
        }
      })
    }

    it('that are missing', () => {
      for (const field of Object.keys(COLLATERAL) as (keyof Collateral)[]) {
        const { [field]: _, ...rest } = COLLATERAL
        expect(failures(QUOTE, rest as Collateral)['collateral format']).to.contain(field)
      }
      expect(failures(QUOTE, null as unknown as Collateral)).to.have.all.keys('collateral format', 'PCK revocation')
    })

    it('that are signed, but not of a form that is known', () => {
      const wrong: Record<string, CollateralChanges> = {
        version: { editTcbInfo: (info) => Object.assign(info, { version: 2 }) },
        tcbType: { editTcbInfo: (info) => Object.assign(info, { tcbType: 1 }) },
        fmspc: { editTcbInfo: (info) => Object.assign(info, { fmspc: 'DE00' }) },
        tcbLevels: { editTcbInfo: (info) => Object.assign(info, { tcbLevels: [] }) },
        tcbStatus: { editTcbInfo: (info) => Object.assign(info.tcbLevels[0]!, { tcbStatus: 'Fine' }) },
        sgxtcbcomponents: { editTcbInfo: (info) => info.tcbLevels[0]!.tcb.sgxtcbcomponents.pop() },
        svn: { editTcbInfo: (info) => Object.assign(info.tcbLevels[0]!.tcb.sgxtcbcomponents[0]!, { svn: 256 }) },
        nextUpdate: { editTcbInfo: (info) => Object.assign(info, { nextUpdate: 'tomorrow' }) },
      }
      for (const [field, changes] of Object.entries(wrong)) expect(issued(changes)['TCB info'], field).to.contain(field)
      expect(issued({ editQeIdentity: (identity) => Object.assign(identity, { version: 1 }) })['QE identity']).to.contain('version')
    })

    it('of another kind of platform, of another PCE, or of another TEE', () => {
      const subject = 'TCB info subject'
      expect(issued({ editTcbInfo: (info) => Object.assign(info, { fmspc: 'DE0000000001' }) })[subject]).to.equal('the TCB info is of platforms de0000000001')
      expect(issued({ editTcbInfo: (info) => Object.assign(info, { pceId: '0001' }) })[subject]).to.equal('the TCB info is of PCE 0001')
      expect(issued({ editTcbInfo: (info) => Object.assign(info, { id: 'SGX' }) })[subject]).to.equal('the TCB info is of SGX')
      expect(issued({ editQeIdentity: (identity) => Object.assign(identity, { id: 'QE' }) })['quoting enclave']).to.contain('is of QE instead of TD_QE')
    })
  })

  describe('refuses a quoting enclave', () => {
    it('that is not the one of the identity', () => {
      const field = (name: string) => ({ 'quoting enclave': `the ${name} of the QE report is not what the QE identity says` })
      expect(failuresOfQuote({ qe: { mrSigner: new Uint8Array(32) } })).to.deep.equal(field('MRSIGNER'))
      expect(failuresOfQuote({ qe: { isvProdId: 1 } })).to.deep.equal(field('product id'))
      expect(failuresOfQuote({ qe: { miscSelect: Uint8Array.of(1, 0, 0, 0) } })).to.deep.equal(field('MISCSELECT'))
      expect(failuresOfQuote({ qe: { attributes: new Uint8Array(16) } })).to.deep.equal(field('ATTRIBUTES'))
    })

    it('that is debuggable, even if the identity does not mind', () => {
      const lax = pki.collateral(now, { editQeIdentity: (identity) => Object.assign(identity, { attributesMask: '00'.repeat(16) }) })
      expect(failuresOfQuote({ qe: { attributes: new Uint8Array(16).with(0, 0x04) } }, lax)).to.deep.equal({})
      expect(failuresOfQuote({ qe: { attributes: new Uint8Array(16).with(0, 0x06) } }, lax)).to.deep.equal({
        'quoting enclave': 'the quoting enclave is debuggable',
      })
    })

    it('that is below every version that is known', () => {
      expect(failuresOfQuote({ qe: { isvSvn: 3 } })['quoting enclave']).to.contain('version 3 of the quoting enclave is below')
    })
  })

  describe('refuses what protects nothing', () => {
    const attributes = (...bits: number[]) => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64LE([28, ...bits].reduce((value, bit) => value | (1n << BigInt(bit)), 0n))
      return new Uint8Array(bytes)
    }

    it('a debuggable trust domain', () => {
      expect(failuresOfQuote({ debug: true })).to.deep.equal({ policy: 'the trust domain has attribute DEBUG' })
    })

    it('a trust domain that can be moved, has unknown attributes, or lacks SEPT_VE_DISABLE', () => {
      expect(failuresOfQuote({ td: { tdAttributes: attributes(29) } })).to.deep.equal({ policy: 'the trust domain has attribute MIGRATABLE' })
      for (const bit of [1, 7, 8, 27, 32, 62]) expect(failuresOfQuote({ td: { tdAttributes: attributes(bit) } }).policy).to.contain('not known here')
      for (const bit of [30, 31, 63]) expect(failuresOfQuote({ td: { tdAttributes: attributes(bit) } })).to.deep.equal({})
      expect(failuresOfQuote({ td: { tdAttributes: new Uint8Array(8) } })).to.deep.equal({ policy: 'the trust domain lacks attribute SEPT_VE_DISABLE' })
    })

    it('a trust domain with a service domain bound to it', () => {
      const mrServiceTd = new Uint8Array(48).with(47, 1)
      expect(failuresOfQuote({ version: 5, td: { mrServiceTd } }).policy).to.contain('a service domain is bound')
    })

    it('a debuggable SGX enclave', () => {
      const quote = parseQuote(read('phala-dcap-qvl/sgx_quote')) as SgxQuote
      expect(() => checkPolicy(quote)).not.to.throw()
      const { attributes } = quote.report
      const debuggable = { ...quote, report: { ...quote.report, attributes: attributes.with(0, attributes[0]! | 2) } }
      expect(() => checkPolicy(debuggable)).to.throw(PolicyError, 'debuggable')
    })
  })

  describe('of the TDX module', () => {
    const teeTcbSvn = (...head: number[]) => Uint8Array.of(...head, 6, ...Array(13).fill(0))

    it("refuses one that is not Intel's", () => {
      expect(failuresOfQuote({ td: { mrSignerSeam: new Uint8Array(48).fill(1) } })['TDX module']).to.contain('signed by somebody else')
      expect(failuresOfQuote({ td: { seamAttributes: new Uint8Array(8).with(0, 1) } })['TDX module']).to.contain('other attributes')
    })

    it('refuses one of an unknown major version, and one below every version that is known', () => {
      expect(failuresOfQuote({ td: { teeTcbSvn: teeTcbSvn(6, 2) } })['TDX module']).to.equal('the TCB info knows no TDX module TDX_02')
      expect(failuresOfQuote({ td: { teeTcbSvn: teeTcbSvn(1, 1) } })['TDX module']).to.contain('version 1 of the TDX module TDX_01 is below')
    })

    it('an old one makes the whole out of date', () => {
      const verdict = verdictOf(pki.quote({ reportData, td: { teeTcbSvn: teeTcbSvn(5, 1) } }), COLLATERAL)
      expect(verdict).to.include({ ok: false, status: 'OutOfDate' })
      expect(verdict.checks.filter(({ ok }) => !ok).map(({ name }) => name)).to.deep.equal(['TCB status'])
    })

    it('of major version 0 is judged by the levels of the platform, of later ones by its identity', () => {
      const status = (svn: Uint8Array) => verdictOf(pki.quote({ reportData, td: { teeTcbSvn: svn } }), COLLATERAL).status
      expect(status(teeTcbSvn(5, 0))).to.equal('UpToDate')
      expect(status(teeTcbSvn(4, 0))).to.equal('OutOfDate')
      expect(status(teeTcbSvn(6, 1))).to.equal('UpToDate')
      const zero = pki.collateral(now, { editTcbInfo: (info) => delete info.tdxModule })
      expect(failures(pki.quote({ reportData, td: { teeTcbSvn: teeTcbSvn(5, 0) } }), zero)['TDX module']).to.contain('knows no TDX module TDX_00')
    })
  })

  describe('of the TCB', () => {
    it('takes the first level whose every version is reached', () => {
      const raised = (edit: (tcb: { sgxtcbcomponents: { svn: number }[]; pcesvn: number; tdxtcbcomponents?: { svn: number }[] }) => void) =>
        verdictOf(QUOTE, pki.collateral(now, { editTcbInfo: (info) => edit(info.tcbLevels[0]!.tcb) }), { accept: TCB_STATUSES })
      expect(raised(() => {}).status).to.equal('UpToDate')
      for (let i = 0; i < 16; i++) {
        expect(raised(({ sgxtcbcomponents }) => sgxtcbcomponents[i]!.svn++).status, `SGX component ${i}`).to.equal('OutOfDate')
        const tdx = raised(({ tdxtcbcomponents }) => Object.assign(tdxtcbcomponents![i]!, { svn: 9 })).status
        expect(tdx, `TDX component ${i}`).to.equal(i < 2 ? 'UpToDate' : 'OutOfDate')
      }
      const { status, advisories } = raised((tcb) => tcb.pcesvn++)
      expect({ status, advisories }).to.deep.equal({ status: 'OutOfDate', advisories: ['INTEL-SA-00000'] })
      expect(raised((tcb) => delete tcb.tdxtcbcomponents).status).to.equal('OutOfDate')
    })

    it('refuses a platform below every level', () => {
      const only = pki.collateral(now, { editTcbInfo: (info) => info.tcbLevels.splice(1) && info.tcbLevels[0]!.tcb.pcesvn++ })
      expect(failures(QUOTE, only)['platform TCB']).to.contain('below every level that is known')
    })

    it('accepts UpToDate and SWHardeningNeeded unless told otherwise', () => {
      for (const tcbStatus of TCB_STATUSES) {
        const collateral = pki.collateral(now, { tcbStatus, advisories: ['INTEL-SA-00001'] })
        const verdict = verdictOf(QUOTE, collateral)
        expect(verdict.ok, tcbStatus).to.equal(['UpToDate', 'SWHardeningNeeded'].includes(tcbStatus))
        expect(verdict).to.deep.include({ status: tcbStatus, advisories: ['INTEL-SA-00001'] })
        expect(verdictOf(QUOTE, collateral, { accept: [tcbStatus] }).ok).to.equal(true)
      }
      expect(verdictOf(QUOTE, COLLATERAL, { accept: [] }).ok).to.equal(false)
    })

    it('combines the states of platform, module and quoting enclave as Intel does', () => {
      const of = (...statuses: TcbStatus[]) => combined(statuses.map((status) => ({ status, advisories: [] }))).status
      for (const status of TCB_STATUSES) expect(of('UpToDate', status)).to.equal(status)
      expect(of('SWHardeningNeeded', 'OutOfDate')).to.equal('OutOfDate')
      expect(of('ConfigurationNeeded', 'OutOfDate')).to.equal('OutOfDateConfigurationNeeded')
      expect(of('ConfigurationAndSWHardeningNeeded', 'OutOfDate')).to.equal('OutOfDateConfigurationNeeded')
      expect(of('OutOfDateConfigurationNeeded', 'OutOfDate')).to.equal('OutOfDateConfigurationNeeded')
      expect(of('ConfigurationNeeded', 'SWHardeningNeeded')).to.equal('ConfigurationAndSWHardeningNeeded')
      for (const status of TCB_STATUSES) expect(of(status, 'Revoked')).to.equal('Revoked')
      const advised = combined([
        { status: 'UpToDate', advisories: ['A'] },
        { status: 'OutOfDate', advisories: ['B', 'A'] },
      ])
      expect(advised).to.deep.equal({ status: 'OutOfDate', advisories: ['A', 'B'] })
    })
  })
})
