import { expect } from 'chai'
import { checkCollateral } from '../../../protocol/attestation/checked-collateral.ts'
import { TCB_STATUSES } from '../../../protocol/attestation/collateral.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { judgeQuote } from '../../../protocol/attestation/verify.ts'
import { EVIDENCE } from './evidence.ts'

/**
 * Positions of the quote at which a flipped byte goes unnoticed. The list of allowed ones is empty: header and body are signed by the attestation
 * key, which the QE report binds together with the authentication data; the platform signed the QE report; every certificate is signed, and its
 * PEM has one encoding only; sizes and types must fit; what follows must be zeros.
 */
function unnoticed(quote: Uint8Array, isRefused: (changed: Uint8Array) => boolean): string[] {
  const text = Buffer.from(quote).indexOf('-----BEGIN')
  const found: string[] = []
  const changed = quote.slice()
  for (let at = 0; at < quote.length; at++) {
    // Of text every other letter gets the other case, which a lax reader forgives.
    const mask = at >= text && at % 2 === 0 ? 0x20 : 0x01
    changed[at] = quote[at]! ^ mask
    if (!isRefused(changed)) found.push(`${at} ^ ${mask}`)
    changed[at] = quote[at]!
  }
  return found
}

describe('I48: every byte of a quote is covered', () => {
  it('of a simulated TDX v4 quote', function () {
    this.timeout(300_000)
    const now = new Date('2026-02-20T00:00:00Z')
    const pki = createSimulatedPki()
    const collateral = checkCollateral(pki.collateral(now), { now, root: pki.rootCertificate })
    const isRefused = (quote: Uint8Array) => !judgeQuote(quote, collateral, TCB_STATUSES).ok
    const quote = pki.quote({ reportData: new Uint8Array(64).fill(7) })
    expect(isRefused(quote)).to.equal(false)
    expect(unnoticed(quote, isRefused)).to.deep.equal([])
  })

  it('of a real SGX v3 quote, by each single bit of a byte in 131', function () {
    this.timeout(300_000)
    const { quote, collateral, now } = EVIDENCE.find(({ name }) => name.includes('sgx_quote'))!
    const checked = checkCollateral(collateral, { now })
    const isAccepted = (changed: Uint8Array) => judgeQuote(changed, checked, TCB_STATUSES).ok
    expect(isAccepted(quote)).to.equal(true)
    for (let at = 0; at < quote.length; at += 131) {
      for (let bit = 0; bit < 8; bit++) expect(isAccepted(quote.with(at, quote[at]! ^ (1 << bit))), `bit ${bit} of byte ${at}`).to.equal(false)
    }
  })
})
