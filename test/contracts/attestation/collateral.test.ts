import { expect } from 'chai'
import { concat, dataLength, dataSlice, hexlify, keccak256, sha256, toUtf8Bytes } from 'ethers'
import { network } from 'hardhat'
import type { TcbInfoText } from '../../../protocol/attestation/simulated-collateral.ts'
import { CollateralRegistry__factory } from '../../../typechain-types/index.ts'
import { chainDate, DAY, deployVerifier, pki } from './deploy.ts'
import { ALWAYS, keyOf, makeCertificate, makeCrl, NAMES, newKey, publicKey, signRaw } from './forge.ts'
import { addPlatform, type Calldata, calldata, flipped, mined, publish, quoteParts, ROOT } from './platform.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2027-01-01T00:00:00Z', gas: 8_000_000 } })
const parts = quoteParts(pki.quote({ reportData: new Uint8Array(64) }))
const rootKey = keyOf(pki, 'root')
const [EARLIER, LATER] = [
  { ...ALWAYS, notAfter: new Date('2026-12-01T00:00:00Z') },
  { ...ALWAYS, notBefore: new Date('2028-01-01T00:00:00Z') },
]

async function empty() {
  const { collateral, verifier } = await deployVerifier(ethers)
  return { collateral, verifier, given: calldata(pki.collateral(await chainDate(ethers))) }
}
async function withIssuers() {
  const all = await empty()
  await publish(all.collateral, all.given)
  return all
}
async function complete() {
  const all = await withIssuers()
  await addPlatform(all.collateral, all.given, parts)
  return all
}
/** An hour later, collateral of that time. */
async function next(changes: Parameters<typeof pki.collateral>[1] = {}): Promise<Calldata> {
  await networkHelpers.time.increase(3600)
  return calldata(pki.collateral(await chainDate(ethers), changes))
}
const dates = async (days = 30) => {
  const now = await chainDate(ethers)
  return { thisUpdate: new Date(now.getTime() - DAY * 1000), nextUpdate: new Date(now.getTime() + days * DAY * 1000) }
}

describe('CollateralRegistry: the root', () => {
  it('is pinned by its key and its fingerprint, and says whether it is simulated', async () => {
    const { collateral, verifier } = await networkHelpers.loadFixture(empty)
    expect(await collateral.rootFingerprint()).to.equal(sha256(pki.rootCertificate))
    expect(concat(await collateral.rootKey())).to.equal(publicKey(rootKey).key)
    expect(await collateral.development()).to.equal(true)
    expect(await verifier.development()).to.equal(true)
    expect(await verifier.collateral()).to.equal(collateral.target)
  })

  it('signs itself and is a CA', async () => {
    const { link } = await deployVerifier(ethers)
    const [deployer] = await ethers.getSigners()
    const deploy = (certificate: string) => new CollateralRegistry__factory(link, deployer).deploy(certificate)
    const errors = new CollateralRegistry__factory(link, deployer).attach(ROOT)
    const root = { by: rootKey, byName: NAMES.root, key: rootKey, name: NAMES.root }
    await expect(deploy(makeCertificate({ ...root, isAuthority: false }))).to.be.revertedWithCustomError(errors, 'WrongCertificateUse')
    await expect(deploy(makeCertificate({ ...root, isAuthority: true, by: newKey() }))).to.be.revertedWithCustomError(errors, 'InvalidSignature')
    await expect(deploy(makeCertificate({ ...root, isAuthority: true, name: 'Another' }))).to.be.revertedWithCustomError(errors, 'WrongIssuer')
    await deploy(makeCertificate({ ...root, isAuthority: true }))
  })
})

describe('CollateralRegistry: revocation lists', () => {
  it('are added and refreshed, of the root and of issuers', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    for (const [issuer, crl] of [
      [ROOT, given.rootCrl],
      [given.pckIssuer.id, given.pckCrl],
    ] as const)
      expect((await collateral.crlOf(issuer)).hash).to.equal(keccak256(crl))
    const fresh = await next()
    const sent = await collateral.addCrl(fresh.pckIssuer.id, fresh.pckCrl)
    const { hash, thisUpdate, nextUpdate } = await collateral.crlOf(fresh.pckIssuer.id)
    await expect(sent).to.emit(collateral, 'CrlAdded').withArgs(fresh.pckIssuer.id, thisUpdate, nextUpdate, hash)
    expect(hash).to.equal(keccak256(fresh.pckCrl))
    expect(nextUpdate - thisUpdate).to.equal(BigInt(30 * DAY))
  })

  it('never go back', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const fresh = await next()
    await mined(collateral.addCrl(given.pckIssuer.id, fresh.pckCrl))
    await mined(collateral.addCrl(ROOT, fresh.rootCrl))
    await expect(collateral.addCrl(given.pckIssuer.id, given.pckCrl)).to.be.revertedWithCustomError(collateral, 'Superseded')
    await expect(collateral.addCrl(ROOT, given.rootCrl)).to.be.revertedWithCustomError(collateral, 'Superseded')
  })

  it('are refused before their time, after it, by another name, by another key, and by an issuer that is not known or no CA', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const now = await chainDate(ethers)
    const [by, name] = [keyOf(pki, 'platformCa'), NAMES.platformCa]
    const in_ = (days: number) => new Date(now.getTime() + days * DAY * 1000)
    const add = (crl: string, issuer = given.pckIssuer.id) => collateral.addCrl(issuer, crl)
    const good = { thisUpdate: in_(0), nextUpdate: in_(30) }
    await expect(add(makeCrl({ by, name, ...good, thisUpdate: in_(1) }))).to.be.revertedWithCustomError(collateral, 'OutsideValidity')
    await expect(add(makeCrl({ by, name, ...good, nextUpdate: in_(0) }))).to.be.revertedWithCustomError(collateral, 'OutsideValidity')
    await expect(add(makeCrl({ by, name: 'Another', ...good }))).to.be.revertedWithCustomError(collateral, 'WrongIssuer')
    await expect(add(makeCrl({ by: newKey(), name, ...good }))).to.be.revertedWithCustomError(collateral, 'InvalidSignature')
    const crl = makeCrl({ by, name, ...good })
    await expect(add(crl, publicKey(newKey()).id)).to.be.revertedWithCustomError(collateral, 'UnknownIssuer')
    await expect(add(crl, ROOT)).to.be.revertedWithCustomError(collateral, 'WrongIssuer')
    const signer = makeCrl({ by: keyOf(pki, 'tcbSigner'), name: NAMES.tcbSigner, ...good })
    await expect(add(signer, given.tcbSigner.id)).to.be.revertedWithCustomError(collateral, 'WrongIssuer')
    await mined(add(crl))
  })

  it('revoke every certificate on them that is registered, and no other', async () => {
    const { collateral } = await networkHelpers.loadFixture(complete)
    const other = newKey()
    const certificate = makeCertificate({ by: keyOf(pki, 'platformCa'), key: other, serial: 78, platform: {} })
    const plain = await next()
    await mined(collateral.addCrl(parts.issuer, plain.pckCrl))
    await mined(collateral.addPck(certificate, parts.issuer, plain.pckCrl))
    const revoking = await next({ revoked: ['pck'] })
    await expect(collateral.addCrl(parts.issuer, revoking.pckCrl)).to.emit(collateral, 'PckRevoked').withArgs(parts.pck.id)
    expect((await collateral.pckOf(parts.pck.id)).revoked).to.equal(true)
    expect((await collateral.pckOf(publicKey(other).id)).revoked).to.equal(false)
    await expect(collateral.evidenceOf(parts.attestationKey.id)).to.be.revertedWithCustomError(collateral, 'RevokedPck').withArgs(parts.pck.id)
    await expect(collateral.addAttestationKey(parts.pck.key, parts.attestationKey.key, parts.certification)).to.be.revertedWithCustomError(
      collateral,
      'RevokedPck',
    )
  })

  it('are for ever: a list without the entry brings nothing back, nor does another certificate of the key', async () => {
    const { collateral } = await networkHelpers.loadFixture(complete)
    const revoking = await next({ revoked: ['pck'] })
    await mined(collateral.addCrl(parts.issuer, revoking.pckCrl))
    const clean = await next()
    await expect(collateral.addCrl(parts.issuer, clean.pckCrl)).not.to.emit(collateral, 'PckRevoked')
    expect((await collateral.pckOf(parts.pck.id)).revoked).to.equal(true)
    const renewed = makeCertificate({ by: keyOf(pki, 'platformCa'), key: keyOf(pki, 'pck'), platform: {} })
    await expect(collateral.addPck(renewed, parts.issuer, clean.pckCrl)).to.be.revertedWithCustomError(collateral, 'RevokedPck')
  })

  it('of the root revoke issuers, with all that they certified or signed', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(complete)
    const revoking = await next({ revoked: ['platformCa'] })
    await expect(collateral.addCrl(ROOT, revoking.rootCrl)).to.emit(collateral, 'IssuerRevoked').withArgs(parts.issuer)
    expect((await collateral.issuerOf(parts.issuer)).revoked).to.equal(true)
    await expect(collateral.evidenceOf(parts.attestationKey.id)).to.be.revertedWithCustomError(collateral, 'RevokedIssuer').withArgs(parts.issuer)
    await expect(collateral.addPck(parts.pck.certificate, parts.issuer, given.pckCrl)).to.be.revertedWithCustomError(collateral, 'RevokedIssuer')
    const plain = await next()
    await mined(collateral.addCrl(ROOT, plain.rootCrl))
    await expect(collateral.addIssuer(plain.pckIssuer.certificate, plain.rootCrl)).to.be.revertedWithCustomError(collateral, 'RevokedIssuer')
  })

  it('of the root revoke signers of collateral: what any signed has to be signed anew', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(complete)
    const { tcbInfo, tcbSigner } = await next({ revoked: ['tcbSigner'] })
    const revoking = calldata(pki.collateral(await chainDate(ethers), { revoked: ['tcbSigner'] }))
    await expect(collateral.addCrl(ROOT, revoking.rootCrl)).to.emit(collateral, 'IssuerRevoked').withArgs(tcbSigner.id)
    expect((await collateral.tcbInfoOf(given.tcbInfo.fmspc, given.tcbInfo.pceId)).until).to.equal(0n)
    expect((await collateral.qeIdentity()).until).to.equal(0n)
    await expect(collateral.evidenceOf(parts.attestationKey.id)).to.be.revertedWithCustomError(collateral, 'NoQeIdentity')
    await expect(collateral.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id)).to.be.revertedWithCustomError(collateral, 'RevokedIssuer')
    // another signer signs what the first had signed
    const another = newKey()
    const certificate = makeCertificate({ by: rootKey, key: another, serial: 79 })
    await mined(collateral.addIssuer(certificate, revoking.rootCrl))
    await mined(collateral.addQeIdentity(given.qeIdentity.text, signRaw(given.qeIdentity.text, another), publicKey(another).id))
    await expect(collateral.evidenceOf(parts.attestationKey.id)).to.be.revertedWithCustomError(collateral, 'NoTcbInfo')
    await mined(collateral.addTcbInfo(given.tcbInfo.text, signRaw(given.tcbInfo.text, another), publicKey(another).id))
    expect((await collateral.evidenceOf(parts.attestationKey.id)).pck).to.equal(parts.pck.id)
    expect((await collateral.tcbInfoOf(tcbInfo.fmspc, tcbInfo.pceId)).until).not.to.equal(0n)
  })

  it('are refused with any one byte changed', async function () {
    this.timeout(120_000)
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    for (let i = 0; i < dataLength(given.pckCrl); i++)
      await expect(collateral.addCrl.staticCall(parts.issuer, flipped(given.pckCrl, i, i % 8)), `byte ${i}`).to.be.revert(ethers)
    await expect(collateral.addCrl(parts.issuer, concat([given.pckCrl, '0x00']))).to.be.revert(ethers)
  })
})

describe('CollateralRegistry: issuers', () => {
  it('are CAs that certify platforms, and signers of collateral', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const [ca, signer] = [await collateral.issuerOf(given.pckIssuer.id), await collateral.issuerOf(given.tcbSigner.id)]
    expect([ca.kind, signer.kind]).to.deep.equal([1n, 2n])
    expect(ca.notAfter).to.equal(BigInt(ALWAYS.notAfter.getTime() / 1000))
    expect((await collateral.issuerOf(publicKey(newKey()).id)).kind).to.equal(0n)
  })

  it('are refused under another root, out of time, revoked, and without proof that they are not', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const add = (certificate: string, crl = given.rootCrl) => collateral.addIssuer(certificate, crl)
    const errors: [string, string, string][] = [
      ['another key', makeCertificate({ by: newKey() }), 'InvalidSignature'],
      ['another name', makeCertificate({ by: rootKey, byName: 'Another' }), 'WrongIssuer'],
      ['expired', makeCertificate({ by: rootKey, validity: EARLIER }), 'OutsideValidity'],
      ['not yet valid', makeCertificate({ by: rootKey, validity: LATER }), 'OutsideValidity'],
    ]
    for (const [what, certificate, error] of errors) await expect(add(certificate), what).to.be.revertedWithCustomError(collateral, error)
    const good = makeCertificate({ by: rootKey, serial: 90 })
    await expect(add(good, given.pckCrl)).to.be.revertedWithCustomError(collateral, 'NotCurrentCrl').withArgs(ROOT, keccak256(given.rootCrl))
    const crl = makeCrl({ by: rootKey, name: NAMES.root, ...(await dates()), revoked: [89, 90] })
    await mined(collateral.addCrl(ROOT, crl))
    await expect(add(good, crl)).to.be.revertedWithCustomError(collateral, 'RevokedSerial').withArgs(90)
    await mined(add(makeCertificate({ by: rootKey, serial: 91 }), crl))
    await networkHelpers.time.increase(31 * DAY)
    await expect(add(makeCertificate({ by: rootKey, serial: 92 }), crl)).to.be.revertedWithCustomError(collateral, 'CrlExpired')
  })

  it('do not change what they are: a key is either CA or signer, under one name', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const certificate = makeCertificate({ by: rootKey, key: keyOf(pki, 'platformCa') })
    await expect(collateral.addIssuer(certificate, given.rootCrl)).to.be.revertedWithCustomError(collateral, 'WrongIssuer')
    const renamed = makeCertificate({ by: rootKey, key: keyOf(pki, 'tcbSigner'), name: 'Another' })
    await expect(collateral.addIssuer(renamed, given.rootCrl)).to.be.revertedWithCustomError(collateral, 'WrongIssuer')
  })

  it('are renewed by a certificate that ends later, and revoked by the serial of any', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const key = newKey()
    const { id } = publicKey(key)
    const until = (date: string) => ({ ...ALWAYS, notAfter: new Date(date) })
    const add = (serial: number, date: string) => collateral.addIssuer(makeCertificate({ by: rootKey, key, serial, validity: until(date) }), given.rootCrl)
    await mined(add(101, '2030-01-01T00:00:00Z'))
    await expect(add(102, '2031-01-01T00:00:00Z')).to.emit(collateral, 'IssuerAdded')
    await expect(add(103, '2029-01-01T00:00:00Z')).not.to.emit(collateral, 'IssuerAdded')
    expect((await collateral.issuerOf(id)).notAfter).to.equal(BigInt(Date.parse('2031-01-01T00:00:00Z') / 1000))
    const crl = makeCrl({ by: rootKey, name: NAMES.root, ...(await dates()), revoked: [101] })
    await expect(collateral.addCrl(ROOT, crl)).to.emit(collateral, 'IssuerRevoked').withArgs(id)
  })

  it('end with the root at the latest', async () => {
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const key = newKey()
    await mined(collateral.addIssuer(makeCertificate({ by: rootKey, key, validity: { ...ALWAYS, notAfter: new Date('2060-01-01T00:00:00Z') } }), given.rootCrl))
    expect((await collateral.issuerOf(publicKey(key).id)).notAfter).to.equal(BigInt(ALWAYS.notAfter.getTime() / 1000))
  })

  it('are refused with any one byte changed', async function () {
    this.timeout(120_000)
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const { certificate } = given.pckIssuer
    for (let i = 0; i < dataLength(certificate); i += 2)
      await expect(collateral.addIssuer.staticCall(flipped(certificate, i, i % 8), given.rootCrl), `byte ${i}`).to.be.revert(ethers)
    await expect(collateral.addIssuer(concat([certificate, '0x00']), given.rootCrl)).to.be.revert(ethers)
  })
})

describe('CollateralRegistry: platforms', () => {
  const caKey = keyOf(pki, 'platformCa')
  const add = (all: Awaited<ReturnType<typeof withIssuers>>, certificate: string, issuer = parts.issuer, crl = all.given.pckCrl) =>
    all.collateral.addPck(certificate, issuer, crl)

  it('are what their certificate says', async () => {
    const { collateral } = await networkHelpers.loadFixture(complete)
    const pck = await collateral.pckOf(parts.pck.id)
    const notAfter = BigInt(ALWAYS.notAfter.getTime() / 1000)
    expect(pck).to.deep.equal(['0x02020202030100030000000000000000', '0xde0000000000', '0x0000', 13n, notAfter, 1n, false])
    expect(await collateral.attestationKeyOf(parts.attestationKey.id)).to.deep.equal([1n, parts.pck.id, 4n])
    expect(await collateral.platformAt(1)).to.equal(parts.pck.id)
  })

  it('are refused by another issuer, out of time, revoked, as a CA, and without proof that they are not revoked', async () => {
    const all = await networkHelpers.loadFixture(withIssuers)
    const { collateral, given } = all
    const good = { by: caKey, platform: {} }
    const errors: [string, string, string][] = [
      ['another key', makeCertificate({ ...good, by: newKey() }), 'InvalidSignature'],
      ['another name', makeCertificate({ ...good, byName: 'Another' }), 'WrongIssuer'],
      ['expired', makeCertificate({ ...good, validity: EARLIER }), 'OutsideValidity'],
      ['not yet valid', makeCertificate({ ...good, validity: LATER }), 'OutsideValidity'],
      ['a CA', makeCertificate({ ...good, isAuthority: true }), 'WrongCertificateUse'],
    ]
    for (const [what, certificate, error] of errors) await expect(add(all, certificate), what).to.be.revertedWithCustomError(collateral, error)
    await expect(add(all, makeCertificate({ by: caKey, byName: NAMES.platformCa })), 'no platform').to.be.revert(ethers)
    const certificate = makeCertificate({ ...good, serial: 5 })
    await expect(add(all, certificate, publicKey(newKey()).id)).to.be.revertedWithCustomError(collateral, 'UnknownIssuer')
    await expect(add(all, certificate, given.tcbSigner.id)).to.be.revertedWithCustomError(collateral, 'WrongIssuer')
    await expect(add(all, certificate, parts.issuer, given.rootCrl)).to.be.revertedWithCustomError(collateral, 'NotCurrentCrl')
    const crl = makeCrl({ by: caKey, name: NAMES.platformCa, ...(await dates()), revoked: [4, 5] })
    await mined(collateral.addCrl(parts.issuer, crl))
    await expect(add(all, certificate, parts.issuer, crl))
      .to.be.revertedWithCustomError(collateral, 'RevokedSerial')
      .withArgs(5)
    await networkHelpers.time.increase(31 * DAY)
    await expect(add(all, makeCertificate({ ...good, serial: 6 }), parts.issuer, crl)).to.be.revertedWithCustomError(collateral, 'CrlExpired')
  })

  it('are refused under an issuer whose certificate has expired', async () => {
    const all = await networkHelpers.loadFixture(withIssuers)
    const { collateral, given } = all
    const key = newKey()
    const { id } = publicKey(key)
    const validity = { ...ALWAYS, notAfter: new Date('2027-01-10T00:00:00Z') }
    await mined(collateral.addIssuer(makeCertificate({ by: rootKey, key, isAuthority: true, validity }), given.rootCrl))
    const crl = makeCrl({ by: key, name: NAMES.platformCa, ...(await dates(60)) })
    await mined(collateral.addCrl(id, crl))
    const certificate = makeCertificate({ by: key, platform: {} })
    await networkHelpers.time.increase(15 * DAY)
    await expect(add(all, certificate, id, crl)).to.be.revertedWithCustomError(collateral, 'CertificateExpired')
  })

  it('are renewed by a certificate that ends later, and revoked by the serial of any', async () => {
    const all = await networkHelpers.loadFixture(withIssuers)
    const { collateral } = all
    const key = newKey()
    const { id } = publicKey(key)
    const made = (serial: number, date: string, pceSvn: number) =>
      makeCertificate({ by: caKey, key, serial, platform: { pceSvn }, validity: { ...ALWAYS, notAfter: new Date(date) } })
    await mined(add(all, made(101, '2030-01-01T00:00:00Z', 1)))
    await mined(add(all, made(102, '2031-01-01T00:00:00Z', 2)))
    await expect(add(all, made(103, '2029-01-01T00:00:00Z', 3))).not.to.emit(collateral, 'PckAdded')
    expect((await collateral.pckOf(id)).pceSvn).to.equal(2n)
    const crl = makeCrl({ by: caKey, name: NAMES.platformCa, ...(await dates()), revoked: [101] })
    await expect(collateral.addCrl(parts.issuer, crl)).to.emit(collateral, 'PckRevoked').withArgs(id)
  })

  it('count up to the year 2106', async () => {
    const all = await networkHelpers.loadFixture(withIssuers)
    const key = newKey()
    await mined(add(all, makeCertificate({ by: caKey, key, platform: {}, validity: { ...ALWAYS, notAfter: new Date('9999-12-31T23:59:59Z') } })))
    expect((await all.collateral.pckOf(publicKey(key).id)).notAfter).to.equal(2n ** 32n - 1n)
  })

  it('are refused with one byte changed, wherever', async function () {
    this.timeout(120_000)
    const all = await networkHelpers.loadFixture(withIssuers)
    const { certificate } = parts.pck
    for (let i = 0; i < dataLength(certificate); i += 5)
      await expect(all.collateral.addPck.staticCall(flipped(certificate, i, i % 8), parts.issuer, all.given.pckCrl), `byte ${i}`).to.be.revert(ethers)
  })
})

describe('CollateralRegistry: what Intel’s service signs', () => {
  type All = Awaited<ReturnType<typeof withIssuers>>
  const documents = {
    tcbInfo: {
      of: (given: Calldata) => given.tcbInfo,
      add: ({ collateral, given }: All, text: string, signature: string, by = given.tcbSigner.id) => collateral.addTcbInfo(text, signature, by),
    },
    qeIdentity: {
      of: (given: Calldata) => given.qeIdentity,
      add: ({ collateral, given }: All, text: string, signature: string, by = given.tcbSigner.id) => collateral.addQeIdentity(text, signature, by),
    },
  }
  const signer = keyOf(pki, 'tcbSigner')

  for (const [name, { of, add }] of Object.entries(documents)) {
    const addSigned = (all: All, text: string, by?: string) => add(all, text, signRaw(text, signer), by)

    it(`${name} is refused with another signature, by another signer, and by one that may not sign it`, async () => {
      const all = await networkHelpers.loadFixture(withIssuers)
      const { collateral } = all
      const { text, signature } = of(await next())
      for (const wrong of [flipped(signature, 3), flipped(signature, 40), dataSlice(signature, 0, 63), concat([signature, '0x00']), '0x'])
        await expect(add(all, text, wrong)).to.be.revertedWithCustomError(collateral, 'InvalidSignature')
      await expect(add(all, text, signature, publicKey(newKey()).id)).to.be.revertedWithCustomError(collateral, 'UnknownIssuer')
      const byCa = signRaw(text, keyOf(pki, 'platformCa'))
      await expect(add(all, text, byCa, parts.issuer)).to.be.revertedWithCustomError(collateral, 'WrongIssuer')
      await mined(add(all, text, signature))
    })

    it(`${name} is refused by a signer whose certificate has expired, and ends with it`, async () => {
      const all = await networkHelpers.loadFixture(withIssuers)
      const { collateral, given } = all
      const key = newKey()
      const { id } = publicKey(key)
      const notAfter = new Date('2027-01-10T00:00:00Z')
      await mined(collateral.addIssuer(makeCertificate({ by: rootKey, key, validity: { ...ALWAYS, notAfter } }), given.rootCrl))
      const { text } = of(await next())
      await mined(add(all, text, signRaw(text, key), id))
      const { until } = name === 'tcbInfo' ? await collateral.tcbInfoOf(given.tcbInfo.fmspc, given.tcbInfo.pceId) : await collateral.qeIdentity()
      expect(until).to.equal(BigInt(notAfter.getTime() / 1000))
      await networkHelpers.time.increase(12 * DAY)
      await expect(add(all, text, signRaw(text, key), id)).to.be.revertedWithCustomError(collateral, 'CertificateExpired')
    })

    it(`${name} is refused before its time and after it`, async () => {
      const all = await networkHelpers.loadFixture(withIssuers)
      const now = (await chainDate(ethers)).getTime()
      for (const days of [-40, 5]) {
        const { text, signature } = of(calldata(pki.collateral(new Date(now + days * DAY * 1000))))
        await expect(add(all, text, signature)).to.be.revertedWithCustomError(all.collateral, 'OutsideValidity')
      }
    })

    it(`${name} never goes back: neither its date nor its evaluation number`, async () => {
      const all = await networkHelpers.loadFixture(withIssuers)
      const { collateral, given } = all
      const [lower, fresh] = [of(await next({ tcbEvaluationDataNumber: 17 })), of(await next({ tcbEvaluationDataNumber: 19 }))]
      await expect(add(all, lower.text, lower.signature)).to.be.revertedWithCustomError(collateral, 'Superseded')
      await mined(add(all, fresh.text, fresh.signature))
      await expect(add(all, of(given).text, of(given).signature)).to.be.revertedWithCustomError(collateral, 'Superseded')
    })

    it(`${name} is refused if it is not what it should be, is spaced, or lacks, repeats or misspells a field, all properly signed`, async () => {
      const all = await networkHelpers.loadFixture(withIssuers)
      const json = Buffer.from((of(await next()).text as string).slice(2), 'hex').toString()
      const encode = (text: string) => hexlify(toUtf8Bytes(text))
      const fields = Object.entries(JSON.parse(json) as Record<string, unknown>).filter(([key]) => key !== 'tdxModuleIdentities')
      for (const [key, value] of fields) {
        const without = JSON.stringify(Object.fromEntries(fields.filter(([other]) => other !== key)))
        await expect(addSigned(all, encode(without)), `without ${key}`).to.be.revert(ethers)
        const twice = `${json.slice(0, -1)},${JSON.stringify(key)}:${JSON.stringify(value)}}`
        await expect(addSigned(all, encode(twice)), `${key} twice`).to.be.revert(ethers)
      }
      for (const [what, text] of Object.entries({
        'another id': json.replace(/"id":"\w+"/, '"id":"SGX"'),
        'another version': json.replace(/"version":\d/, '"version":4'),
        spaces: json.replace('{', '{ '),
        'bytes behind': `${json} `,
        'another document behind': `${json}{}`,
        'a leading zero': json.replace('"tcbEvaluationDataNumber":1', '"tcbEvaluationDataNumber":01'),
        'a large number': json.replace('"tcbEvaluationDataNumber":1', '"tcbEvaluationDataNumber":99999'),
        'a negative number': json.replace('"tcbEvaluationDataNumber":', '"tcbEvaluationDataNumber":-'),
        'an unknown status': json.replace('"UpToDate"', '"Splendid"'),
        'no digit': json.replace(/("mrsigner":")../, '$1xy'),
        'too short': json.replace(/("mrsigner":")../, '$1'),
        'another date': json.replace(/("nextUpdate":"\d{4}-\d\d-\d\d)T/, '$1 '),
        'no object': '[]',
        nothing: '',
        'a beginning': json.slice(0, -20),
      })) {
        expect(text, what).not.to.equal(json)
        await expect(addSigned(all, encode(text)), what).to.be.revert(ethers)
      }
      await mined(addSigned(all, encode(json)))
    })

    it(`${name} may say more than is known here`, async () => {
      const all = await networkHelpers.loadFixture(withIssuers)
      const json = Buffer.from((of(await next()).text as string).slice(2), 'hex').toString()
      const more = json.replace('{', '{"more":{"a":[1,-2.5,true,null,"}"],"b":{}},"other":[],"number":12,"word":false,')
      await mined(addSigned(all, hexlify(toUtf8Bytes(more))))
    })

    it(`${name} is refused with one byte changed, wherever`, async function () {
      this.timeout(240_000)
      const all = await networkHelpers.loadFixture(withIssuers)
      const { text, signature } = of(all.given)
      const call = name === 'tcbInfo' ? all.collateral.addTcbInfo : all.collateral.addQeIdentity
      for (let i = 0; i < dataLength(text); i += 3)
        await expect(call.staticCall(flipped(text, i, i % 8), signature, all.given.tcbSigner.id), `byte ${i}`).to.be.revertedWithCustomError(
          all.collateral,
          'InvalidSignature',
        )
    })
  }

  it('TCB info: every part of modules and levels has to be there, in its size', async () => {
    const all = await networkHelpers.loadFixture(withIssuers)
    const edits: Record<string, (info: TcbInfoText) => void> = {
      '15 components': ({ tcbLevels }) => {
        tcbLevels[0]!.tcb.sgxtcbcomponents.pop()
      },
      '17 components': ({ tcbLevels }) => {
        tcbLevels[0]!.tcb.tdxtcbcomponents!.push({ svn: 0 })
      },
      'a component above a byte': ({ tcbLevels }) => {
        tcbLevels[0]!.tcb.sgxtcbcomponents[3]!.svn = 256
      },
      'a component without svn': ({ tcbLevels }) => {
        tcbLevels[0]!.tcb.sgxtcbcomponents[3] = {} as never
      },
      'no TDX components': ({ tcbLevels }) => {
        delete tcbLevels[0]!.tcb.tdxtcbcomponents
      },
      'no PCE SVN': ({ tcbLevels }) => {
        delete (tcbLevels[0]!.tcb as { pcesvn?: number }).pcesvn
      },
      'no status': ({ tcbLevels }) => {
        delete (tcbLevels[1] as { tcbStatus?: string }).tcbStatus
      },
      'a module without attributes': (info) => {
        const { attributes: _, ...rest } = info.tdxModule!
        info.tdxModule = rest as never
      },
      'a module of another name': ({ tdxModuleIdentities }) => {
        tdxModuleIdentities![0]!.id = 'SGX_01'
      },
      'a module of a long name': ({ tdxModuleIdentities }) => {
        tdxModuleIdentities![0]!.id = 'TDX_011'
      },
      'a module without levels': ({ tdxModuleIdentities }) => {
        delete (tdxModuleIdentities![0] as { tcbLevels?: unknown }).tcbLevels
      },
      'a module level without isvsvn': ({ tdxModuleIdentities }) => {
        tdxModuleIdentities![0]!.tcbLevels[0]!.tcb = { other: 1 } as never
      },
      'another way to compare': (info) => {
        info.tcbType = 1
      },
    }
    for (const [what, editTcbInfo] of Object.entries(edits)) {
      const { tcbInfo, tcbSigner } = await next({ editTcbInfo })
      await expect(all.collateral.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id), what).to.be.revert(ethers)
    }
    const { tcbInfo, tcbSigner } = await next({
      editTcbInfo: (info) => {
        delete info.tdxModuleIdentities
      },
    })
    await mined(all.collateral.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id))
  })

  it('TCB info: a refresh that changes only dates keeps the table where it is', async () => {
    const { collateral } = await networkHelpers.loadFixture(complete)
    const { tcbTable } = await collateral.evidenceOf(parts.attestationKey.id)
    const same = await next()
    await mined(collateral.addTcbInfo(same.tcbInfo.text, same.tcbInfo.signature, same.tcbSigner.id))
    expect((await collateral.evidenceOf(parts.attestationKey.id)).tcbTable).to.equal(tcbTable)
    const other = await next({ tcbStatus: 'OutOfDate' })
    await mined(collateral.addTcbInfo(other.tcbInfo.text, other.tcbInfo.signature, other.tcbSigner.id))
    expect((await collateral.evidenceOf(parts.attestationKey.id)).tcbTable).not.to.equal(tcbTable)
  })

  it('evidence: the lower evaluation number, and the earliest end', async () => {
    const { collateral } = await networkHelpers.loadFixture(complete)
    const higher = await next({ tcbEvaluationDataNumber: 20 })
    await mined(collateral.addTcbInfo(higher.tcbInfo.text, higher.tcbInfo.signature, higher.tcbSigner.id))
    expect((await collateral.evidenceOf(parts.attestationKey.id)).evaluation).to.equal(18n)
    const { until } = await collateral.evidenceOf(parts.attestationKey.id)
    expect(until).to.equal((await collateral.crlOf(parts.issuer)).nextUpdate)
    const crl = makeCrl({ by: rootKey, name: NAMES.root, ...(await dates(3)) })
    await mined(collateral.addCrl(ROOT, crl))
    expect((await collateral.evidenceOf(parts.attestationKey.id)).until).to.equal((await collateral.crlOf(ROOT)).nextUpdate)
    await networkHelpers.time.increase(4 * DAY)
    await expect(collateral.evidenceOf(parts.attestationKey.id))
      .to.be.revertedWithCustomError(collateral, 'CrlExpired')
      .withArgs(ROOT, (await collateral.crlOf(ROOT)).nextUpdate)
  })

  it('evidence: none of a platform whose certificate or whose issuer’s has expired', async () => {
    const soon = { ...ALWAYS, notAfter: new Date('2027-01-05T00:00:00Z') }
    const { collateral, given } = await networkHelpers.loadFixture(withIssuers)
    const pckKey = newKey()
    await mined(collateral.addPck(makeCertificate({ by: keyOf(pki, 'platformCa'), key: pckKey, platform: {}, validity: soon }), parts.issuer, given.pckCrl))
    const report = dataSlice(parts.certification, 0, 384)
    const certification = concat([report, signRaw(report, pckKey), dataSlice(parts.certification, 448)])
    await mined(collateral.addAttestationKey(publicKey(pckKey).key, parts.attestationKey.key, certification))
    expect((await collateral.evidenceOf(parts.attestationKey.id)).until).to.equal(BigInt(soon.notAfter.getTime() / 1000))
    await networkHelpers.time.increaseTo(soon.notAfter.getTime() / 1000 + 1)
    await expect(collateral.evidenceOf(parts.attestationKey.id))
      .to.be.revertedWithCustomError(collateral, 'CertificateExpired')
      .withArgs(publicKey(pckKey).id, soon.notAfter.getTime() / 1000)
  })
})
