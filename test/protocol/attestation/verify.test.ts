import { expect } from 'chai'
import { TCB_STATUSES } from '../../../protocol/attestation/collateral.ts'
import { verifyQuote } from '../../../protocol/attestation/verify.ts'
import { EVIDENCE } from './evidence.ts'

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
  })
})
