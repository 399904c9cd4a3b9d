import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { expect } from 'chai'
import fc from 'fast-check'
import { parseEventLog } from '../../../protocol/attestation/event-log.ts'
import { EvidenceError } from '../../../protocol/attestation/evidence-error.ts'
import { parseNvidiaPayload, verifyGpuEvidence } from '../../../protocol/attestation/nvidia.ts'
import { platformOf } from '../../../protocol/attestation/pck.ts'
import { parseChain } from '../../../protocol/attestation/pem.ts'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import { parseRevocationList } from '../../../protocol/attestation/revocation-list.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { parseSpdmReport } from '../../../protocol/attestation/spdm.ts'
import { verifyQuote } from '../../../protocol/attestation/verify.ts'
import { parseCertificate } from '../../../protocol/attestation/x509.ts'
import { llmReport, read, readText } from './evidence.ts'

const now = new Date('2026-02-20T00:00:00Z')
const pki = createSimulatedPki()
const collateral = pki.collateral(now)
const [gpu] = JSON.parse(readText('nvtrust/gpu_evidence.json'))
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
const chain = text(pki.quote({ reportData: new Uint8Array(64) })).match(/-----BEGIN[\s\S]*/)![0]

/** All of a parsed value, so that two can be compared quickly. */
const hash = (value: unknown) =>
  createHash('sha256')
    .update(inspect(value, { depth: 9, maxArrayLength: null, maxStringLength: null }))
    .digest('hex')

/** Every parser, with something that it reads. */
const PARSERS: Record<string, { parse(bytes: Uint8Array): unknown; valid: Uint8Array }> = {
  'quote of version 3': { parse: parseQuote, valid: read('phala-dcap-qvl/sgx_quote') },
  'quote of version 4': { parse: parseQuote, valid: new Uint8Array(Buffer.from(llmReport.quote, 'hex')) },
  'quote of version 5': { parse: parseQuote, valid: pki.quote({ reportData: new Uint8Array(64), version: 5 }) },
  certificate: { parse: parseCertificate, valid: pki.certificates.pck },
  'certificate of a platform': { parse: (bytes) => platformOf(parseCertificate(bytes)), valid: pki.certificates.pck },
  'revocation list': { parse: parseRevocationList, valid: new Uint8Array(Buffer.from(collateral.pck_crl, 'hex')) },
  'chain of certificates': { parse: (bytes) => parseChain(text(bytes), 3), valid: new Uint8Array(Buffer.from(chain)) },
  'report of a GPU': { parse: parseSpdmReport, valid: new Uint8Array(Buffer.from(gpu.evidence, 'base64')) },
  'event log': { parse: (bytes) => parseEventLog(text(bytes)), valid: new Uint8Array(Buffer.from(llmReport.event_log)) },
  'payload of GPUs': { parse: (bytes) => parseNvidiaPayload(text(bytes)), valid: new Uint8Array(Buffer.from(llmReport.nvidia_payload)) },
}

/** Somewhere in `valid`: bytes changed, left out, repeated or added. */
function damaged(valid: Uint8Array): fc.Arbitrary<Uint8Array> {
  const position = fc.noBias(fc.nat(valid.length - 1))
  const splice = fc.tuple(position, fc.nat(5), fc.uint8Array({ maxLength: 5 }))
  return fc.array(splice, { minLength: 1, maxLength: 3 }).map((splices) => {
    const bytes = [...valid]
    for (const [at, remove, add] of splices) bytes.splice(at, remove, ...add)
    return Uint8Array.from(bytes)
  })
}

describe('whatever bytes arrive', () => {
  for (const [name, { parse, valid }] of Object.entries(PARSERS)) {
    const onlyEvidenceErrors = (bytes: Uint8Array) => {
      try {
        parse(bytes)
      } catch (error) {
        expect(error).to.be.instanceOf(EvidenceError)
      }
    }

    it(`${name}: the parser reads what it should, and otherwise throws an EvidenceError and nothing else`, () => {
      expect(() => parse(valid)).not.to.throw()
      fc.assert(
        fc.property(fc.oneof({ weight: 3, arbitrary: damaged(valid) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 800 }) }), onlyEvidenceErrors),
        {
          seed: 1,
          numRuns: 250,
        },
      )
    })

    it(`${name}: the parser reads nothing outside of it`, () => {
      const padded = new Uint8Array(valid.length + 64).fill(0xff)
      padded.set(valid, 32)
      const inside = padded.subarray(32, 32 + valid.length)
      expect(hash(parse(inside))).to.equal(hash(parse(valid)))
      for (const size of [1, 2, 47, valid.length >> 1, valid.length - 1]) {
        const outcome = (bytes: Uint8Array) => {
          try {
            return parse(bytes)
          } catch (error) {
            return (error as Error).message
          }
        }
        expect(hash(outcome(inside.subarray(0, size)))).to.equal(hash(outcome(valid.slice(0, size))))
      }
    })
  }

  it('verification gives a verdict', () => {
    const quote = pki.quote({ reportData: new Uint8Array(64) })
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.base64String(),
      fc.json(),
      fc.string().map((value) => Buffer.from(value).toString('hex')),
    )
    const fields = fc.record(Object.fromEntries(Object.keys(collateral).map((key) => [key, anything])), { requiredKeys: [] })
    fc.assert(
      fc.property(fc.oneof(damaged(quote), fc.uint8Array({ maxLength: 700 })), fields, (bytes, changes) => {
        const verdict = verifyQuote(bytes, { ...collateral, ...changes }, { now, root: pki.rootCertificate })
        expect(verdict.ok).to.equal(false)
        expect(verdict.checks.some(({ ok }) => !ok)).to.equal(true)
        expect(verifyGpuEvidence({ certificate: text(bytes), evidence: gpu.evidence }, { now, nonce: new Uint8Array(32) }).ok).to.equal(false)
      }),
      { seed: 1, numRuns: 80 },
    )
  })
})
