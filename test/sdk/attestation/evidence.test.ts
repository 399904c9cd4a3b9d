import { expect } from 'chai'
import { evidenceDocument, readEvidence } from '../../../sdk/attestation/evidence.ts'
import { PerigeeError } from '../../../sdk/errors.ts'

const evidence = { quote: Uint8Array.of(4, 0, 2), eventLog: '[{"imr":3}]', tcbInfo: '{"mrtd":"aa"}', vmConfig: '{"cpu_count":2}' }

describe('evidence', () => {
  it('given evidence, when it is written as a document and read, then it is the same', () => {
    const document = evidenceDocument(evidence, new Uint8Array(64).fill(1))
    expect(readEvidence(JSON.parse(JSON.stringify(document)))).to.deep.equal(evidence)
    expect(Buffer.from(document.report_data!, 'base64')).to.deep.equal(Buffer.alloc(64, 1))
  })

  it('given an agent that nests JSON instead of carrying it as text, then it is read all the same', () => {
    const read = readEvidence({ quote: '0x040002', event_log: [{ imr: 3 }], vm_config: { cpu_count: 2 }, info: { tcb_info: { mrtd: 'aa' } } })
    expect(read).to.deep.equal(evidence)
  })

  for (const [what, document] of Object.entries({ nothing: {}, 'a quote that is not hex': { quote: 'zz' }, 'half a byte': { quote: '040' }, text: 'quote' })) {
    it(`given ${what}, then it says that this is no evidence`, () => {
      expect(() => readEvidence(document)).to.throw(PerigeeError, 'what was given as evidence is none')
    })
  }
})
