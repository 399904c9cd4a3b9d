import { expect } from 'chai'
import { concat, dataSlice, getBytes, hexlify } from 'ethers'
import { network } from 'hardhat'
import { TCB_STATUSES } from '../../../protocol/attestation/collateral.ts'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import { measurementOf } from '../../../protocol/attestation/report-data.ts'
import type { QeIdentityText, TcbInfoText } from '../../../protocol/attestation/simulated-collateral.ts'
import type { SimulatedQuoteOptions } from '../../../protocol/attestation/simulated-quote.ts'
import { combined } from '../../../protocol/attestation/tcb.ts'
import { chainDate, deployVerifier, pki } from './deploy.ts'
import { keyOf, makeCertificate, newKey, publicKey, requoted, signRaw } from './forge.ts'
import { addPlatform, calldata, mined, publish, type QuoteParts, quoteParts } from './platform.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2027-01-01T00:00:00Z', gas: 8_000_000 } })
const reportData = Uint8Array.from({ length: 64 }, (_, i) => i)
const quoted = (options: Partial<SimulatedQuoteOptions> = {}) => quoteParts(pki.quote({ reportData, ...options })).quote
const parts = quoteParts(pki.quote({ reportData }))

async function deployed() {
  const { collateral, verifier } = await deployVerifier(ethers)
  const given = calldata(pki.collateral(await chainDate(ethers)))
  await publish(collateral, given)
  await addPlatform(collateral, given, parts)
  return { collateral, verifier, given }
}
async function next(changes: Parameters<typeof pki.collateral>[1] = {}) {
  await networkHelpers.time.increase(3600)
  return calldata(pki.collateral(await chainDate(ethers), changes))
}
/** Bytes `from` and on of the report of a version 4 quote, or of version 5 when the offset says so. */
const put = (offset: number, bytes: number[]) => (signed: Uint8Array) => {
  signed.set(bytes, offset)
  return signed
}

describe('QuoteVerifier', () => {
  it('says what a quote of version 4 proves', async () => {
    const { verifier, collateral, given } = await networkHelpers.loadFixture(deployed)
    const bytes = pki.quote({ reportData })
    const { until } = await collateral.tcbInfoOf(given.tcbInfo.fmspc, given.tcbInfo.pceId)
    expect(await verifier.verify(quoteParts(bytes).quote)).to.deep.equal([
      0n,
      18n,
      until,
      1n,
      parts.pck.id,
      '0x06010600000000000000000000000000',
      measurementOf(parseQuote(bytes)),
      hexlify(reportData.subarray(0, 32)),
      hexlify(reportData.subarray(32)),
    ])
  })

  it('says the same of version 5, with a TDX 1.5 report or a TDX 1.0 report', async () => {
    const { verifier } = await networkHelpers.loadFixture(deployed)
    const said = await verifier.verify(quoted())
    expect(await verifier.verify(quoted({ version: 5 }))).to.deep.equal(said)
    const v5 = requoted(pki, quoted(), (signed) => {
      signed[0] = 5
      return getBytes(concat([signed.subarray(0, 48), '0x020048020000', signed.subarray(48)]))
    })
    expect(await verifier.verify(v5)).to.deep.equal(said)
  })

  it('takes nothing but the quote up to the end of its attestation key', async () => {
    const { verifier } = await networkHelpers.loadFixture(deployed)
    for (const quote of [quoted(), quoted({ version: 5 })])
      for (const wrong of [dataSlice(quote, 0, getBytes(quote).length - 1), concat([quote, '0x00']), dataSlice(quote, 0, 60)])
        await expect(verifier.verify(wrong)).to.be.revertedWithCustomError(verifier, 'WrongQuoteLength')
    for (const length of [0, 53])
      await expect(verifier.verify(dataSlice(quoted(), 0, length)))
        .to.be.revertedWithCustomError(verifier, 'WrongQuoteLength')
        .withArgs(length, 54)
  })

  it('refuses other kinds of quotes, though the attestation key signed them', async () => {
    const { verifier } = await networkHelpers.loadFixture(deployed)
    for (const [what, offset, value] of [
      ['version 3', 0, 3],
      ['another key type', 2, 3],
      ['an SGX quote', 4, 0],
      ['another TEE', 7, 1],
    ] as const)
      await expect(verifier.verify(requoted(pki, quoted(), put(offset, [value]))), what).to.be.revertedWithCustomError(verifier, 'UnsupportedQuote')
    for (const [what, offset, value] of [
      ['an SGX body', 48, 1],
      ['a body of another type', 48, 4],
      ['a TDX 1.0 body of another size', 48, 2],
      ['a TDX 1.5 body of another size', 50, 0x48],
    ] as const)
      await expect(verifier.verify(requoted(pki, quoted({ version: 5 }), put(offset, [value]))), what).to.be.revertedWithCustomError(
        verifier,
        'UnsupportedQuote',
      )
    await expect(verifier.verify(requoted(pki, quoted(), put(12, [0])))).to.be.revertedWithCustomError(verifier, 'UnknownQeVendor')
  })

  it('refuses a signature by another key, or by a key that no quoting enclave vouches for', async () => {
    const { verifier, collateral } = await networkHelpers.loadFixture(deployed)
    const quote = quoted()
    const end = getBytes(quote).length - 132
    const other = newKey()
    const signature = signRaw(dataSlice(quote, 0, end), other)
    const bySomebody = concat([dataSlice(quote, 0, end + 4), signature, dataSlice(quote, end + 68)])
    await expect(verifier.verify(bySomebody)).to.be.revertedWithCustomError(verifier, 'InvalidQuoteSignature')
    const unknown = concat([dataSlice(quote, 0, end + 4), signature, publicKey(other).key])
    await expect(verifier.verify(unknown)).to.be.revertedWithCustomError(collateral, 'UnknownAttestationKey').withArgs(publicKey(other).id)
  })

  it('refuses domains that others can read, move or inject faults into, and attributes that are not known', async () => {
    const { verifier } = await networkHelpers.loadFixture(deployed)
    const withAttributes = (bits: bigint[]) => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64LE(bits.reduce((sum, bit) => sum | (1n << bit), 0n))
      return quoted({ td: { tdAttributes: bytes } })
    }
    const allowed = [28n, 30n, 31n, 63n]
    await verifier.verify(withAttributes(allowed))
    for (let bit = 0n; bit < 64n; bit++)
      if (!allowed.includes(bit))
        await expect(verifier.verify(withAttributes([28n, bit])), `bit ${bit}`).to.be.revertedWithCustomError(verifier, 'ForbiddenTdAttributes')
    await expect(verifier.verify(withAttributes([])))
      .to.be.revertedWithCustomError(verifier, 'ForbiddenTdAttributes')
      .withArgs('0x0000000000000000')
    await expect(verifier.verify(quoted({ debug: true }))).to.be.revertedWithCustomError(verifier, 'ForbiddenTdAttributes')
    for (const index of [0, 31, 32, 47]) {
      const mrServiceTd = new Uint8Array(48)
      mrServiceTd[index] = 1
      await expect(verifier.verify(quoted({ version: 5, td: { mrServiceTd } }))).to.be.revertedWithCustomError(verifier, 'ServiceTdBound')
    }
  })

  it('refuses a TDX module that is not known, by another signer, or with other attributes', async () => {
    const { verifier } = await networkHelpers.loadFixture(deployed)
    const td = (tdx: SimulatedQuoteOptions['td']) => verifier.verify(quoted({ td: tdx }))
    const svn = (...first: number[]) => Uint8Array.from({ length: 16 }, (_, i) => first[i] ?? 0)
    await expect(td({ teeTcbSvn: svn(6, 2, 6) }))
      .to.be.revertedWithCustomError(verifier, 'UnknownTdxModule')
      .withArgs(2)
    for (const index of [0, 31, 32, 47]) {
      const mrSignerSeam = new Uint8Array(48)
      mrSignerSeam[index] = 1
      await expect(td({ mrSignerSeam })).to.be.revertedWithCustomError(verifier, 'WrongTdxModule').withArgs(1)
      await expect(td({ mrSignerSeam, teeTcbSvn: svn(6, 0, 6) }))
        .to.be.revertedWithCustomError(verifier, 'WrongTdxModule')
        .withArgs(0)
    }
    for (const index of [0, 7]) {
      const seamAttributes = new Uint8Array(8)
      seamAttributes[index] = 1
      await expect(td({ seamAttributes })).to.be.revertedWithCustomError(verifier, 'WrongTdxModule')
    }
  })

  it('lets the mask say which attributes of the module matter', async () => {
    const { verifier, collateral } = await networkHelpers.loadFixture(deployed)
    const editTcbInfo = (info: TcbInfoText) => {
      info.tdxModuleIdentities![0]!.attributesMask = 'FEFFFFFFFFFFFFFF'
    }
    const { tcbInfo, tcbSigner } = await next({ editTcbInfo })
    await mined(collateral.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id))
    await verifier.verify(quoted({ td: { seamAttributes: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) } }))
    await expect(verifier.verify(quoted({ td: { seamAttributes: Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0) } }))).to.be.revertedWithCustomError(
      verifier,
      'WrongTdxModule',
    )
  })

  it('judges platform and module by the first level that each reaches, and combines what is said', async () => {
    const { verifier } = await networkHelpers.loadFixture(deployed)
    const svn = (...first: number[]) => Uint8Array.from({ length: 16 }, (_, i) => first[i] ?? 0)
    const status = async (teeTcbSvn: Uint8Array) => (await verifier.verify(quoted({ td: { teeTcbSvn } }))).status
    expect(await status(svn(6, 1, 6))).to.equal(0n)
    expect(await status(svn(200, 1, 200))).to.equal(0n)
    // the module's own level
    expect(await status(svn(5, 1, 6))).to.equal(4n)
    expect(await status(svn(2, 1, 6))).to.equal(4n)
    await expect(status(svn(1, 1, 6))).to.be.revertedWithCustomError(verifier, 'NoTcbLevel')
    // the platform's components, from the third on
    expect(await status(svn(6, 1, 5))).to.equal(4n)
    // the module of version 0 has no level of its own: all components count
    expect(await status(svn(5, 0, 6))).to.equal(0n)
    expect(await status(svn(4, 0, 6))).to.equal(4n)
  })

  it('compares every component of the platform, and its PCE', async () => {
    const { verifier, collateral } = await networkHelpers.loadFixture(deployed)
    const raised: ((info: TcbInfoText) => void)[] = [
      ...Array.from({ length: 16 }, (_, i) => (info: TcbInfoText) => {
        info.tcbLevels[0]!.tcb.sgxtcbcomponents[i]!.svn += 1
      }),
      ...Array.from({ length: 14 }, (_, i) => (info: TcbInfoText) => {
        info.tcbLevels[0]!.tcb.tdxtcbcomponents![i + 2]!.svn += 1
      }),
      (info) => {
        info.tcbLevels[0]!.tcb.pcesvn += 1
      },
    ]
    for (const [i, editTcbInfo] of raised.entries()) {
      const { tcbInfo, tcbSigner } = await next({ editTcbInfo })
      await mined(collateral.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id))
      expect((await verifier.verify(quoted())).status, `${i}`).to.equal(4n)
    }
  })

  it('combines the states of platform, module and quoting enclave as the verifier off chain does', async () => {
    const { verifier, collateral } = await networkHelpers.loadFixture(deployed)
    for (const platform of TCB_STATUSES)
      for (const other of TCB_STATUSES) {
        const editTcbInfo = (info: TcbInfoText) => {
          info.tdxModuleIdentities![0]!.tcbLevels[0]!.tcbStatus = other
        }
        const { tcbInfo, tcbSigner } = await next({ tcbStatus: platform, editTcbInfo })
        await mined(collateral.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id))
        const expected = combined([platform, other].map((status) => ({ status, advisories: [] }))).status
        expect(TCB_STATUSES[Number((await verifier.verify(quoted())).status)], `${platform}, ${other}`).to.equal(expected)
      }
  }).timeout(60_000)
})

describe('CollateralRegistry: attestation keys', () => {
  type All = Awaited<ReturnType<typeof deployed>>
  const add = ({ collateral }: All, { pck, attestationKey, certification }: QuoteParts) =>
    collateral.addAttestationKey(pck.key, attestationKey.key, certification)
  const certified = (qe: SimulatedQuoteOptions['qe']) => quoteParts(pki.quote({ reportData, qe: qe! }))

  it('are those that the QE report, signed by the platform, vouches for', async () => {
    const all = await networkHelpers.loadFixture(deployed)
    const { collateral } = all
    const { certification, pck, attestationKey } = parts
    await mined(add(all, parts))
    const other = publicKey(newKey())
    const errors: [string, QuoteParts, string][] = [
      ['another attestation key', { ...parts, attestationKey: other }, 'UnboundAttestationKey'],
      ['other authentication data', { ...parts, certification: concat([dataSlice(certification, 0, 450), `0x${'07'.repeat(32)}`]) }, 'UnboundAttestationKey'],
      ['an unknown platform', { ...parts, pck: { ...pck, key: other.key } }, 'UnknownPck'],
      [
        'another signature',
        { ...parts, certification: concat([dataSlice(certification, 0, 384), `0x${'07'.repeat(64)}`, dataSlice(certification, 448)]) },
        'InvalidSignature',
      ],
      ['a cut certification', { ...parts, certification: dataSlice(certification, 0, 449) }, 'InvalidSignature'],
      ['cut authentication data', { ...parts, certification: dataSlice(certification, 0, 460) }, 'InvalidSignature'],
      ['bytes behind', { ...parts, certification: concat([certification, '0x00']) }, 'InvalidSignature'],
      ['a long platform key', { ...parts, pck: { ...pck, key: concat([pck.key, '0x00']) } }, 'InvalidSignature'],
      ['a short attestation key', { ...parts, attestationKey: { ...attestationKey, key: dataSlice(attestationKey.key, 0, 63) } }, 'InvalidSignature'],
    ]
    for (const [what, wrong, error] of errors) await expect(add(all, wrong), what).to.be.revertedWithCustomError(collateral, error)
    const report = getBytes(dataSlice(certification, 0, 384)).slice()
    report[383] = 1
    const padded = concat([report, signRaw(hexlify(report), keyOf(pki, 'pck')), dataSlice(certification, 448)])
    await expect(add(all, { ...parts, certification: padded })).to.be.revertedWithCustomError(collateral, 'UnboundAttestationKey')
  })

  it('are refused from a quoting enclave that differs from its identity in any part', async () => {
    const all = await networkHelpers.loadFixture(deployed)
    const flags = (first: number, xfrm = 0xe7) => Uint8Array.of(first, 0, 0, 0, 0, 0, 0, 0, xfrm, 0, 0, 0, 0, 0, 0, 0)
    const encode = (part: string) => ethers.encodeBytes32String(part)
    for (const [part, qe] of [
      ['mrsigner', { mrSigner: new Uint8Array(32) }],
      ['isvprodid', { isvProdId: 1 }],
      ['isvprodid', { isvProdId: 0x0202 }],
      ['miscselect', { miscSelect: Uint8Array.of(0, 0, 0, 1) }],
      ['attributes', { attributes: flags(0x14) }],
      ['attributes', { attributes: flags(0x17) }],
      ['isvsvn', { isvSvn: 3 }],
    ] as const)
      await expect(add(all, certified(qe)), part)
        .to.be.revertedWithCustomError(all.collateral, 'WrongQuotingEnclave')
        .withArgs(encode(part))
    await mined(add(all, certified({ attributes: flags(0x11, 0x03) }))) // outside the mask
    await mined(add(all, certified({ isvSvn: 0x0104 })))
  })

  it('are refused from a debuggable quoting enclave even if its identity let it pass', async () => {
    const all = await networkHelpers.loadFixture(deployed)
    const editQeIdentity = (identity: QeIdentityText) => {
      identity.attributesMask = 'F9FFFFFFFFFFFFFF0000000000000000'
    }
    const { qeIdentity, tcbSigner } = await next({ editQeIdentity })
    await mined(all.collateral.addQeIdentity(qeIdentity.text, qeIdentity.signature, tcbSigner.id))
    const attributes = Uint8Array.of(0x13, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0)
    await expect(add(all, certified({ attributes })))
      .to.be.revertedWithCustomError(all.collateral, 'WrongQuotingEnclave')
      .withArgs(ethers.encodeBytes32String('debug'))
  })

  it('have to be renewed when the quoting enclave has to be another, but not when only its levels change', async () => {
    const all = await networkHelpers.loadFixture(deployed)
    const { collateral, verifier } = all
    const withLevels = (tcbLevels: QeIdentityText['tcbLevels']) => next({ editQeIdentity: (identity) => Object.assign(identity, { tcbLevels }) })
    const put = async ({ qeIdentity, tcbSigner }: Awaited<ReturnType<typeof next>>) =>
      mined(collateral.addQeIdentity(qeIdentity.text, qeIdentity.signature, tcbSigner.id))
    const level = (isvsvn: number, tcbStatus: 'UpToDate' | 'OutOfDate' | 'SWHardeningNeeded') => ({
      tcb: { isvsvn },
      tcbDate: '2025-01-01T00:00:00Z',
      tcbStatus,
    })
    await put(await withLevels([level(5, 'UpToDate'), level(4, 'SWHardeningNeeded'), level(1, 'OutOfDate')]))
    expect((await verifier.verify(quoted())).status).to.equal(1n)
    await put(await withLevels([level(6, 'UpToDate'), level(5, 'SWHardeningNeeded'), level(1, 'OutOfDate')]))
    expect((await verifier.verify(quoted())).status).to.equal(4n)
    await put(await withLevels([level(5, 'UpToDate')]))
    await expect(verifier.verify(quoted())).to.be.revertedWithCustomError(collateral, 'WrongQuotingEnclave').withArgs(ethers.encodeBytes32String('isvsvn'))
    await put(await withLevels([9, 8, 7, 6, 5, 4].map((isvsvn) => level(isvsvn, 'UpToDate'))))
    await expect(verifier.verify(quoted()), 'a sixth level').to.be.revertedWithCustomError(collateral, 'WrongQuotingEnclave')

    await put(await next({ editQeIdentity: (identity) => Object.assign(identity, { miscselectMask: 'FFFFFFFE' }) }))
    await expect(verifier.verify(quoted())).to.be.revertedWithCustomError(collateral, 'WrongQuotingEnclave').withArgs(ethers.encodeBytes32String('identity'))
    await mined(add(all, parts))
    expect((await verifier.verify(quoted())).status).to.equal(0n)
    await networkHelpers.time.increase(31 * 86_400)
    const { pckCrl } = await next()
    await mined(collateral.addCrl(parts.issuer, pckCrl))
    await expect(add(all, parts)).to.be.revertedWithCustomError(collateral, 'NoQeIdentity')
  })

  it('are certified again by a better platform certificate, never by a worse one that others kept', async () => {
    const all = await networkHelpers.loadFixture(deployed)
    const { collateral, given } = all
    const ca = keyOf(pki, 'platformCa')
    const report = dataSlice(parts.certification, 0, 384)
    const by = async (serial: number, platform: { components?: number[]; pceSvn?: number }) => {
      const key = newKey()
      await mined(collateral.addPck(makeCertificate({ by: ca, key, serial, platform }), parts.issuer, given.pckCrl))
      const certification = concat([report, signRaw(report, key), dataSlice(parts.certification, 448)])
      return { ...parts, pck: { ...parts.pck, ...publicKey(key) }, certification, signer: key }
    }
    const components = [2, 2, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]
    const better = await by(201, { components: components.with(7, 4) })
    const worse = [await by(202, { components: components.with(7, 2) }), await by(203, { pceSvn: 12 })]
    for (const one of worse) await expect(add(all, one)).to.be.revertedWithCustomError(collateral, 'WorseCertification').withArgs(one.pck.id, parts.pck.id)
    await mined(add(all, better))
    expect((await collateral.attestationKeyOf(parts.attestationKey.id)).pck).to.equal(better.pck.id)
    await expect(add(all, parts)).to.be.revertedWithCustomError(collateral, 'WorseCertification')
    await mined(add(all, certifiedBy(better, 5)))
    await expect(add(all, better)).to.be.revertedWithCustomError(collateral, 'WorseCertification')

    /** As `parts`, by a quoting enclave of another isvsvn. */
    function certifiedBy(platform: typeof better, isvSvn: number) {
      const made = certified({ isvSvn })
      const qe = dataSlice(made.certification, 0, 384)
      return { ...platform, certification: concat([qe, signRaw(qe, platform.signer), dataSlice(made.certification, 448)]) }
    }
  })
})
