import { expect } from 'chai'
import { hexlify, sha256 } from 'ethers'
import { network } from 'hardhat'
import { TCB_STATUSES } from '../../../protocol/attestation/collateral.ts'
import { INTEL_SGX_ROOT_CA } from '../../../protocol/attestation/intel-root.ts'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import { measurementOf } from '../../../protocol/attestation/report-data.ts'
import { verifyQuote } from '../../../protocol/attestation/verify.ts'
import { platformCertificates } from '../../../sdk/attestation/platform.ts'
import type { CollateralRegistry, QuoteVerifier } from '../../../typechain-types/index.ts'
import { EVIDENCE, type Evidence } from '../../protocol/attestation/evidence.ts'
import { deployVerifier } from './deploy.ts'
import { addPlatform, type Calldata, calldata, flipped, publish, quoteParts } from './platform.ts'

/** A chain at the time of the evidence, where all that Intel signed for its platform is in place. */
async function chainOf({ quote, collateral: signed, now }: Evidence) {
  const { ethers } = await network.create({ override: { initialDate: now, gas: 8_000_000 } })
  const { collateral, verifier } = await deployVerifier(ethers, INTEL_SGX_ROOT_CA)
  const given = calldata(signed, platformCertificates(parseQuote(quote)).issuer)
  await publish(collateral, given)
  return { collateral, verifier, parts: quoteParts(quote), given }
}

/** What the chain says of a quote: its status, or the error of the step that fails. */
async function judged(
  chain: { collateral: CollateralRegistry; verifier: QuoteVerifier; given: Calldata },
  parts: ReturnType<typeof quoteParts>,
): Promise<string> {
  try {
    await addPlatform(chain.collateral, chain.given, parts)
    return TCB_STATUSES[Number((await chain.verifier.verify(parts.quote)).status)]!
  } catch (error) {
    return /custom error '(\w+)/.exec((error as Error).message)?.[1] ?? (error as Error).message
  }
}

describe('Real evidence, under Intel’s root', () => {
  const tdx = EVIDENCE.filter(({ name, failed }) => !name.includes('sgx') && !failed['quote format'])
  /** Where the chain refuses what the off-chain verifier refuses, it says why. */
  const refusals: Record<string, string> = {
    'phala tdx-quote.hex': 'NoTcbLevel',
    'phala quote-from-tappd': 'NoTcbLevel',
    'phala tdx_quote_outdated (v5)': 'NoTcbLevel',
    'automata alibaba (v5)': 'ServiceTdBound',
    'automata tdx (v5)': 'ServiceTdBound',
    'go-tdx SPR_E4': 'ForbiddenTdAttributes',
    '0g cryptopilot': 'NoTcbInfo',
  }

  for (const evidence of tdx)
    it(`${evidence.name}: ${refusals[evidence.name] ?? evidence.status}, as off chain`, async () => {
      const chain = await chainOf(evidence)
      const offChain = verifyQuote(evidence.quote, evidence.collateral, { now: evidence.now, accept: TCB_STATUSES })
      const said = await judged(chain, chain.parts)
      expect(said).to.equal(refusals[evidence.name] ?? evidence.status)
      expect(offChain.ok).to.equal(refusals[evidence.name] === undefined)
      if (offChain.ok) expect(said).to.equal(offChain.status)
    })

  it('the registry is not one of development, and its root is Intel’s', async () => {
    const { collateral, verifier } = await chainOf(tdx[0]!)
    expect(await collateral.development()).to.equal(false)
    expect(await verifier.development()).to.equal(false)
    expect(await collateral.rootFingerprint()).to.equal(sha256(INTEL_SGX_ROOT_CA))
  })

  it('a quote proves its report', async () => {
    const evidence = EVIDENCE.find(({ name }) => name === '0g broker')!
    const { collateral, verifier, parts, given } = await chainOf(evidence)
    await addPlatform(collateral, given, parts)
    const verdict = await verifier.verify(parts.quote)
    const quote = parseQuote(evidence.quote)
    expect(verdict.measurement).to.equal(measurementOf(quote))
    expect(verdict.reportData).to.equal(hexlify(quote.report.reportData.subarray(0, 32)))
    expect(verdict.freshness).to.equal(hexlify(quote.report.reportData.subarray(32)))
    expect(verdict.pck).to.equal(parts.pck.id)
    expect(verdict.evaluation).to.equal(18n)
  })

  it('collateral of 57 revocations costs no storage for platforms that nobody uses', async () => {
    const evidence = EVIDENCE.find(({ name }) => name === '0g broker')!
    const { collateral, given } = await chainOf(evidence)
    const sent = await collateral.addCrl(given.pckIssuer.id, given.pckCrl)
    expect((await sent.wait())!.logs.length).to.equal(1)
  })

  it('one bit flipped, anywhere: chain and off-chain verifier agree on 300 mutations', async function () {
    this.timeout(240_000)
    const evidence = EVIDENCE.find(({ name }) => name === 'phala tdx_quote')!
    const { collateral, verifier, parts, given } = await chainOf(evidence)
    await addPlatform(collateral, given, parts)
    const size = parts.quote.length / 2 - 1
    // a linear congruential generator: the same places in every run
    let seed = 1
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    for (let i = 0; i < 300; i++) {
      const place = random(size)
      const bit = random(8)
      if (place >= size - 132 && place < size - 128) continue // the size of the signature data, which only a parser of the whole quote reads
      const mutated = evidence.quote.slice()
      mutated[place]! ^= 1 << bit
      const offChain = verifyQuote(mutated, evidence.collateral, { now: evidence.now })
      const onChain = await verifier.verify(flipped(parts.quote, place, bit)).then(
        () => true,
        () => false,
      )
      expect(onChain, `bit ${bit} of byte ${place}`).to.equal(offChain.ok)
    }
  })
})
