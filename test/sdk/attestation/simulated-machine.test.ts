import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { simulatedMachine } from '../../../sdk/attestation/simulated-machine.ts'

describe('simulated machine', () => {
  const first = simulatedMachine('compute/provider', 'compute/provider/0')

  it('given two instances of one application, then what runs is the same and only RTMR3 differs', () => {
    const second = simulatedMachine('compute/provider', 'compute/provider/1')
    expect(second.mrTd).to.deep.equal(first.mrTd)
    expect(second.mrConfigId).to.deep.equal(first.mrConfigId)
    expect(second.rtMr.slice(0, 3)).to.deep.equal(first.rtMr.slice(0, 3))
    expect(second.rtMr[3]).to.not.deep.equal(first.rtMr[3])
  })

  it('given another application, then MRCONFIGID, which commits to what runs, is another', () => {
    expect(simulatedMachine('compute/tuning', 'compute/provider/0').mrConfigId).to.not.deep.equal(first.mrConfigId)
  })

  it('given its event log, then the compose hash is that of the application it names, as clients of dstack check', () => {
    const { app_compose, compose_hash } = JSON.parse(first.tcbInfo) as Record<string, string>
    const hash = createHash('sha256').update(app_compose!).digest('hex')
    const log = JSON.parse(first.eventLog) as { event: string; event_payload: string }[]
    expect(log.find(({ event }) => event === 'compose-hash')!.event_payload).to.equal(hash)
    expect(compose_hash).to.equal(hash)
    expect(Buffer.from(first.mrConfigId).toString('hex')).to.equal(`01${hash}${'00'.repeat(15)}`)
  })
})
