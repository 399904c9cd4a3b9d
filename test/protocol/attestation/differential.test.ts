import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { QuoteVerifier, verify as verifyJs } from '@phala/dcap-qvl'
import { initSync, js_verify as verifyWasm } from '@phala/dcap-qvl-web/dcap-qvl-web.js'
import { expect } from 'chai'
import fc from 'fast-check'
import { TCB_STATUSES } from '../../../protocol/attestation/collateral.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import type { Check, Verdict } from '../../../protocol/attestation/verdict.ts'
import { verifyQuote } from '../../../protocol/attestation/verify.ts'
import { EVIDENCE } from './evidence.ts'
import { type Case, type Mutation, mutations } from './mutations.ts'

const MUTATIONS = 1000

initSync({ module: readFileSync(createRequire(import.meta.url).resolve('@phala/dcap-qvl-web/dcap-qvl-web_bg.wasm')) })

const REFUSED = 'refused'
const seconds = (date: Date) => Math.floor(date.getTime() / 1000)

/** A status, or `refused`. The WASM package says "Unknown" of a platform below every level, where the others refuse. */
function statusOf(verify: () => { status: string }): string {
  try {
    const { status } = verify()
    return status === 'Unknown' ? REFUSED : status
  } catch {
    return REFUSED
  }
}
const statusOfVerdict = ({ ok, status }: Verdict): string => (ok ? status! : REFUSED)

const PEERS = {
  js: ({ quote, collateral, now }: Case) => statusOf(() => verifyJs(Buffer.from(quote), collateral, seconds(now))),
  wasm: ({ quote, collateral, now }: Case) => statusOf(() => verifyWasm(quote, collateral, BigInt(seconds(now)))),
}
type Peer = keyof typeof PEERS

/** Why a peer accepts what a check of ours refuses. Each is a check that the peer does not make. */
const LAXITIES: { why: string; peers: Peer[]; covers(check: Check): boolean }[] = [
  {
    why: 'JS: revocation lists that cannot be read, are not signed or are out of date count as empty ones',
    peers: ['js'],
    covers: ({ name }) => name === 'root CRL' || name === 'PCK revocation',
  },
  {
    why: 'WASM: the identity of the quoting enclave is not looked at, nor who signed it',
    peers: ['wasm'],
    covers: ({ name }) => name === 'QE identity' || name === 'QE identity signer',
  },
  {
    why: 'WASM: TCB info and revocation lists may come from the future',
    peers: ['wasm'],
    covers: ({ name, detail }) => (name === 'TCB info' || name.endsWith('CRL') || name === 'PCK revocation') && detail.includes('valid from'),
  },
  {
    why: 'both: bytes behind the quote are ignored',
    peers: ['js', 'wasm'],
    covers: ({ detail }) => detail.startsWith('bytes other than zero follow the quote'),
  },
  {
    why: 'both: text between certificates, and base64 that is not in its one form, are ignored',
    peers: ['js', 'wasm'],
    covers: ({ detail }) => /not the beginning of a certificate|not base64 in lines|the chain has \d certificates|the chain is cut short/.test(detail),
  },
  {
    why: 'both: the root certificate in a chain is not looked at, for the pinned one is used',
    peers: ['js', 'wasm'],
    covers: ({ detail }) => detail.includes('does not end in the pinned root'),
  },
]

/** The one case in which all accept and name different states. */
const MAJOR_VERSION =
  'both: for TDX modules of major version 1 and above, bytes 0 and 1 of TEE_TCB_SVN are compared with the components of the platform, where Intel has the module identity judge them'

/** Why the peer says something else than we do; `undefined` if there is no reason that is known. */
function explain(peer: Peer, theirs: string, ours: Verdict): string[] | undefined {
  const failed = ours.checks.filter(({ ok }) => !ok)
  if (failed.length === 0) {
    const isLaterModule = ours.quote?.tee === 'tdx' && ours.quote.report.teeTcbSvn[1]! > 0
    return isLaterModule && ours.status === 'UpToDate' && theirs === 'OutOfDate' ? [MAJOR_VERSION] : undefined
  }
  const reasons = failed.map((check) => LAXITIES.find(({ peers, covers }) => peers.includes(peer) && covers(check))?.why)
  return reasons.every((why) => why !== undefined) ? reasons : undefined
}

describe('compared with public verifiers', () => {
  describe('real quotes', () => {
    for (const evidence of EVIDENCE) {
      it(`${evidence.name}: all agree, or differ for a known reason`, () => {
        const ours = verifyQuote(evidence.quote, evidence.collateral, { now: evidence.now, accept: TCB_STATUSES })
        for (const peer of ['js', 'wasm'] as const) {
          const theirs = PEERS[peer](evidence)
          if (theirs !== statusOfVerdict(ours)) expect(explain(peer, theirs, ours), `${peer} says ${theirs}`).to.deep.equal([MAJOR_VERSION])
          expect(theirs !== statusOfVerdict(ours)).to.equal(evidence.name === 'go-tdx cos-113')
        }
      })
    }
  })

  describe('simulated quotes', () => {
    const now = new Date('2026-02-20T00:00:00Z')
    const pki = createSimulatedPki()
    const peer = QuoteVerifier.newWithRootCa(Buffer.from(pki.rootCertificate))
    const reportData = new Uint8Array(64).fill(7)
    const both = (quote: Uint8Array, collateral = pki.collateral(now)) => ({
      ours: statusOfVerdict(verifyQuote(quote, collateral, { now, root: pki.rootCertificate, accept: TCB_STATUSES })),
      theirs: statusOf(() => peer.verify(Buffer.from(quote), collateral, seconds(now))),
    })

    it('the JS package agrees under the simulated root, in versions 4 and 5', () => {
      for (const version of [4, 5] as const) {
        const quote = pki.quote({ reportData, version })
        expect(both(quote)).to.deep.equal({ ours: 'UpToDate', theirs: 'UpToDate' })
        for (const tcbStatus of TCB_STATUSES.filter((status) => status !== 'Revoked')) {
          expect(both(quote, pki.collateral(now, { tcbStatus }))).to.deep.equal({ ours: tcbStatus, theirs: tcbStatus })
        }
        expect(both(quote, pki.collateral(now, { revoked: ['pck'] }))).to.deep.equal({ ours: REFUSED, theirs: REFUSED })
        expect(both(quote, pki.collateral(now, { revoked: ['tcbSigner'] }))).to.deep.equal({ ours: REFUSED, theirs: REFUSED })
        expect(both(pki.quote({ reportData, version, debug: true }))).to.deep.equal({ ours: REFUSED, theirs: REFUSED })
      }
    })

    it("the JS package accepts a TDX module that is not Intel's", () => {
      const quote = pki.quote({ reportData, td: { mrSignerSeam: new Uint8Array(48).fill(1) } })
      expect(both(quote)).to.deep.equal({ ours: REFUSED, theirs: 'UpToDate' })
    })

    it('both packages refuse it under the root of Intel, and the WASM package cannot read version 5', () => {
      const collateral = pki.collateral(now)
      for (const version of [4, 5] as const) {
        const quote = pki.quote({ reportData, version })
        expect(PEERS.js({ quote, collateral, now })).to.equal(REFUSED)
        expect(PEERS.wasm({ quote, collateral, now })).to.equal(REFUSED)
        const read = () => verifyWasm(quote, collateral, BigInt(seconds(now)))
        if (version === 5)
          expect(read)
            .to.throw()
            .that.satisfies((error: unknown) => String(error).includes('decode quote'))
      }
    })
  })

  it(`I47: ${MUTATIONS} mutations of quotes and collateral: nothing is accepted that a peer refuses, and every difference has a known reason`, function () {
    this.timeout(300_000)
    const accepted = EVIDENCE.filter(({ status, failed }) => status && Object.keys(failed).length === 0)
    const samples = fc.sample(fc.noBias(fc.tuple(fc.constantFrom(...accepted), mutations(EVIDENCE))), { numRuns: MUTATIONS, seed: 1 })
    const reasons = new Set<string>()
    const outcomes = { accepted: 0, refused: 0 }
    for (const [evidence, mutation] of samples) {
      const mutated = mutation.apply(evidence)
      const ours = verifyQuote(mutated.quote, mutated.collateral, { now: mutated.now, accept: TCB_STATUSES })
      outcomes[ours.ok ? 'accepted' : 'refused']++
      for (const peer of ['js', 'wasm'] as const) {
        const theirs = PEERS[peer](mutated)
        if (theirs === statusOfVerdict(ours)) continue
        const why = explain(peer, theirs, ours)
        expect(why, `${peer} says ${theirs}, we ${describeVerdict(ours)}, of ${evidence.name} with ${describeMutation(mutation)}`).not.to.equal(undefined)
        for (const reason of why!) reasons.add(reason)
      }
    }
    expect(outcomes.accepted).to.be.greaterThan(50)
    expect(outcomes.refused).to.be.greaterThan(500)
    expect([...reasons].sort(), 'reasons that occurred').to.deep.equal([MAJOR_VERSION, ...LAXITIES.map(({ why }) => why)].sort())
  })
})

const describeMutation = ({ field, what }: Mutation) => `${field} (${what})`
const describeVerdict = (verdict: Verdict) =>
  `${statusOfVerdict(verdict)} ${verdict.checks
    .filter(({ ok }) => !ok)
    .map(({ name, detail }) => `${name}: ${detail}`)
    .join('; ')}`
