import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { EventLogError, type EventLogEvidence, parseEventLog, replay, verifyEventLog } from '../../../protocol/attestation/event-log.ts'
import { parseQuote, type TdxQuote } from '../../../protocol/attestation/quote.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { brokerReport, llmReport, read } from './evidence.ts'

const SAMPLES = {
  broker: { quote: brokerReport.quote, eventLog: brokerReport.event_log, appCompose: JSON.parse(brokerReport.tcb_info).app_compose },
  llm: { quote: llmReport.quote, eventLog: llmReport.event_log, appCompose: llmReport.info.tcb_info.app_compose },
}

interface RawEvent {
  imr: number
  event_type: number
  digest: string
  event: string
  event_payload: string
}

const failures = (quote: TdxQuote, evidence: EventLogEvidence) =>
  Object.fromEntries(
    verifyEventLog(quote, evidence)
      .checks.filter(({ ok }) => !ok)
      .map(({ name, detail }) => [name, detail]),
  )

/** An event whose digest is that of its payload. */
function runtimeEvent(event: string, payload: string, type = 0x0800_0001): RawEvent {
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32LE(type)
  const digest = createHash('sha384').update(prefix).update(`:${event}:`).update(Buffer.from(payload, 'hex')).digest('hex')
  return { imr: 3, event_type: type, digest, event, event_payload: payload }
}

describe('event log', () => {
  for (const [name, { quote, eventLog, appCompose }] of Object.entries(SAMPLES)) {
    it(`of the public sample "${name}" replays to the RTMRs of its quote and names the application`, () => {
      const findings = verifyEventLog(parseQuote(Buffer.from(quote, 'hex')), { eventLog, appCompose })
      expect(findings.checks.filter(({ ok }) => !ok)).to.deep.equal([])
      expect(findings.checks.map((check) => check.name)).to.deep.equal([
        'event log',
        'RTMR replay',
        'runtime events',
        'compose hash',
        'MRCONFIGID',
        'compose file',
      ])
      expect(findings.ok).to.equal(true)
      expect(findings.composeHash).to.equal(createHash('sha256').update(appCompose).digest('hex'))
      expect(findings.runtime['os-image-hash']).to.equal('1d5283fb98a72814aa092f6041c6ffa8a6785499c479ad6697b07534e6de0c1d')
    })
  }

  describe('that was changed', () => {
    const quote = parseQuote(Buffer.from(SAMPLES.broker.quote, 'hex')) as TdxQuote
    const events = (): RawEvent[] => JSON.parse(SAMPLES.broker.eventLog)
    const { appCompose } = SAMPLES.broker

    it('is given as text or as what it parses to', () => {
      expect(verifyEventLog(quote, { eventLog: events() }).ok).to.equal(true)
      expect(verifyEventLog(quote, { eventLog: SAMPLES.broker.eventLog }).ok).to.equal(true)
    })

    it('by one digest, one event less, one more, or two swapped does not replay', () => {
      const log = events()
      const changed = log.map((event, i) => (i === 5 ? { ...event, digest: '00'.repeat(48) } : event))
      const swapped = [log[1]!, log[0]!, ...log.slice(2)]
      for (const eventLog of [changed, log.slice(0, -1), [...log, runtimeEvent('mine', '')], swapped]) {
        expect(failures(quote, { eventLog })['RTMR replay']).to.match(/^the log gives RTMR\d [0-9a-f]{96}, the quote has [0-9a-f]{96}$/)
      }
    })

    it('by the payload of a runtime event alone replays, but is refused', () => {
      for (const name of ['compose-hash', 'app-id', 'key-provider']) {
        const eventLog = events().map((event) => (event.event === name ? { ...event, event_payload: '11'.repeat(32) } : event))
        const failed = failures(quote, { eventLog })
        expect(failed['runtime events']).to.equal(`the payload of event "${name}" is not what was measured`)
        expect(failed).not.to.have.property('RTMR replay')
      }
    })

    it('by the type of a runtime event is refused', () => {
      const eventLog = events().map((event) => (event.event === 'app-id' ? { ...event, event_type: 4 } : event))
      expect(failures(quote, { eventLog })['runtime events']).to.equal('event "app-id" in RTMR3 has type 4 instead of 134217729')
    })

    it('is refused with another compose file', () => {
      expect(failures(quote, { eventLog: events(), appCompose: `${appCompose} ` })).to.have.all.keys('compose file')
    })
  })

  describe('of an application of ours', () => {
    const compose = '{"name":"ours"}'
    const composeHash = createHash('sha256').update(compose).digest('hex')
    const pki = createSimulatedPki()

    function quoteOf(log: RawEvent[], mrConfigId: Uint8Array): TdxQuote {
      const rtMr = replay(parseEventLog(log)) as TdxQuote['report']['rtMr']
      return parseQuote(pki.quote({ reportData: new Uint8Array(64), measurement: { rtMr, mrConfigId } })) as TdxQuote
    }
    const mrConfigId = (first: number, hash: string) => new Uint8Array(Buffer.concat([Uint8Array.of(first), Buffer.from(hash, 'hex'), Buffer.alloc(15)]))
    const log = [runtimeEvent('app-id', '01'), runtimeEvent('compose-hash', composeHash)]

    it('is accepted with MRCONFIGID 01 ‖ compose hash', () => {
      expect(verifyEventLog(quoteOf(log, mrConfigId(1, composeHash)), { eventLog: log, appCompose: compose }).ok).to.equal(true)
    })

    it('is accepted with MRCONFIGID zero, which the findings say', () => {
      const { ok, checks } = verifyEventLog(quoteOf(log, new Uint8Array(48)), { eventLog: log })
      expect(ok).to.equal(true)
      expect(checks.find(({ name }) => name === 'MRCONFIGID')?.detail).to.contain('RTMR3 alone')
    })

    it('is refused with an MRCONFIGID of another kind or another hash', () => {
      for (const wrong of [mrConfigId(2, composeHash), mrConfigId(1, '11'.repeat(32)), new Uint8Array(48).fill(1)]) {
        expect(failures(quoteOf(log, wrong), { eventLog: log })).to.have.all.keys('MRCONFIGID')
      }
    })

    it('is refused without a compose hash, with two, and with one of another size', () => {
      const two = [...log, runtimeEvent('compose-hash', '22'.repeat(32))]
      const short = [runtimeEvent('compose-hash', '22')]
      for (const [wrong, detail] of [
        [[log[0]!], '0 events "compose-hash"'],
        [two, '2 events "compose-hash"'],
        [short, 'has 1 bytes instead of 32'],
      ] as const) {
        expect(failures(quoteOf([...wrong], new Uint8Array(48)), { eventLog: wrong })['compose hash']).to.contain(detail)
      }
    })
  })

  it('of an SGX quote does not exist', () => {
    const quote = parseQuote(read('phala-dcap-qvl/sgx_quote'))
    const failed = verifyEventLog(quote, { eventLog: SAMPLES.broker.eventLog }).checks.filter(({ ok }) => !ok)
    expect(failed.map(({ name }) => name)).to.deep.equal(['RTMR replay', 'MRCONFIGID'])
  })

  it('that is malformed is told, not thrown; parsed by itself, it throws EventLogError', () => {
    const [event] = JSON.parse(SAMPLES.broker.eventLog)
    const wrong = [
      '{',
      '{}',
      null,
      [{ ...event, imr: 4 }],
      [{ ...event, digest: '00' }],
      [{ ...event, digest: 'zz'.repeat(48) }],
      [{ ...event, event_payload: '0' }],
      Array(4097).fill(event),
    ]
    for (const eventLog of wrong) {
      expect(() => parseEventLog(eventLog)).to.throw(EventLogError)
      const { ok, checks } = verifyEventLog(parseQuote(Buffer.from(SAMPLES.llm.quote, 'hex')), { eventLog })
      expect(ok).to.equal(false)
      expect(checks.map(({ name }) => name)).to.deep.equal(['event log'])
    }
  })
})
