import { expect } from 'chai'
import fc from 'fast-check'
import { MAX_UNITS } from '../../../protocol/compute/receipt.ts'
import { advertisedRule, parseRule, ruleName, TOKENS, type UnitsRule, unitsOf } from '../../../protocol/compute/units.ts'

const tokens = (promptTokens: number, completionTokens: number, cachedTokens = 0) => ({ kind: 'tokens' as const, promptTokens, completionTokens, cachedTokens })
const units = (rule: string, usage: Parameters<typeof unitsOf>[1]) => Object.values(unitsOf(parseRule(rule), usage)).map(Number)
const TIERED = 'tokens/1;tiers=32000:1/1:1/1,0:3/2:2/1'

describe('units of usage', () => {
  it('are tokens, images or seconds by the rule that the receipt names', () => {
    expect(units('tokens/1', tokens(10, 3))).to.deep.equal([10, 3])
    expect(units('tokens/1', tokens(10, 3, 8))).to.deep.equal([10, 3])
    expect(units('images/1', { kind: 'images', images: 4 })).to.deep.equal([4, 0])
    expect([0, 0.1, 1.4, 1.5, 90].map((seconds) => units('seconds/1', { kind: 'seconds', seconds })[0])).to.deep.equal([0, 1, 1, 2, 90])
  })

  it('count a cached token a part of a token, and charge no fraction', () => {
    expect(units('tokens/1;cache=4', tokens(10, 3, 8))).to.deep.equal([4, 3])
    expect(units('tokens/1;cache=4', tokens(10, 3, 9))).to.deep.equal([3, 3])
    expect(units('tokens/1;cache=4', tokens(10, 3, 10))).to.deep.equal([2, 3])
  })

  it('cost more in the tier of the prompt', () => {
    expect(units(TIERED, tokens(32_000, 3))).to.deep.equal([32_000, 3])
    expect(units(TIERED, tokens(32_001, 3))).to.deep.equal([48_001, 6])
    expect(units('tokens/1;tiers=10:1/2:1/1', tokens(50, 3))).to.deep.equal([25, 3])
    expect(units('tokens/1;cache=4;tiers=0:3/2:1/1', tokens(10, 1, 8))).to.deep.equal([6, 1])
  })

  it('are refused when usage is not what a backend can have counted', () => {
    for (const usage of [tokens(-1, 0), tokens(0, 0.5), tokens(1, 1, 2), tokens(Number.NaN, 0), tokens(1, 1, -1), tokens(2 ** 40, 0), tokens(0, 2 ** 53)]) {
      expect(() => unitsOf(TOKENS, usage), JSON.stringify(usage)).to.throw(/tokens|receipt/)
    }
    expect(() => units('images/1', { kind: 'images', images: -1 })).to.throw(/images/)
    expect(() => units('seconds/1', { kind: 'seconds', seconds: Number.POSITIVE_INFINITY })).to.throw(/duration/)
    expect(() => units('images/1', tokens(1, 1))).to.throw(/can't be charged by images\/1/)
    expect(() => units('tokens/1', { kind: 'images', images: 1 })).to.throw(/can't be charged/)
  })

  it('are never more than the usage times its highest factor, nor below its cached share', () => {
    const usages = fc.tuple(fc.nat(1_000_000), fc.nat(1_000_000), fc.nat(1_000_000)).map(([a, b, c]) => tokens(Math.max(a, c), b, Math.min(a, c)))
    fc.assert(
      fc.property(usages, fc.integer({ min: 1, max: 20 }), (usage, cacheDivisor) => {
        const { inputUnits, outputUnits } = unitsOf({ kind: 'tokens', cacheDivisor }, usage)
        expect(Number(inputUnits))
          .to.be.at.most(usage.promptTokens)
          .and.at.least(Math.floor(usage.promptTokens / cacheDivisor))
        expect(Number(outputUnits)).to.equal(usage.completionTokens)
        expect(inputUnits <= MAX_UNITS).to.equal(true)
      }),
      { seed: 8, numRuns: 200 },
    )
  })

  it('have rules with one name each', () => {
    const fraction = fc.tuple(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: 99 }))
    const tiers = fc
      .array(fc.record({ input: fraction, output: fraction }), { minLength: 1, maxLength: 4 })
      .map((list) => list.map((tier, i) => ({ maxInputTokens: i === list.length - 1 ? 0 : 10 ** (i + 2), ...tier })))
    const rules: fc.Arbitrary<UnitsRule> = fc.record(
      { kind: fc.constant('tokens' as const), cacheDivisor: fc.integer({ min: 2, max: 99 }), tiers },
      { requiredKeys: ['kind'] },
    )
    fc.assert(
      fc.property(rules, (rule) => {
        expect(parseRule(ruleName(rule))).to.deep.equal(rule)
      }),
      { seed: 9, numRuns: 100 },
    )
    for (const name of [
      '',
      'tokens',
      'tokens/2',
      'tokens/1;cache=0',
      'tokens/1;cache=1',
      'tokens/1;tiers=',
      'tokens/1;tiers=1:1/0:1/1',
      'tokens/1;tiers=5:1/1',
    ]) {
      expect(() => parseRule(name), name).to.throw(/rule|tier|written/)
    }
    expect(() => parseRule('tokens/1;tiers=0:1/1:1/1,5:1/1:1/1')).to.throw(/ascend/)
    expect(() => parseRule('tokens/1;tiers=5:1/1:1/1,5:1/1:1/1')).to.throw(/ascend/)
    expect(() => parseRule('tokens/1;tiers=05:1/1:1/1')).to.throw(/written/)
  })

  it("are those that the public SDK reads from a service's additionalInfo", () => {
    const tier = { maxInputTokens: 32_000, inputMultiplier: 1, outputMultiplier: 1 }
    const last = { maxInputTokens: 0, inputMultiplier: 3, inputMultiplierDenominator: 2, outputMultiplier: 2 }
    expect(ruleName(advertisedRule({ cacheTokenBilling: { divisor: 4 }, tieredPricing: { tiers: [tier, last] }, MultiModel: true }))).to.equal(
      'tokens/1;cache=4;tiers=32000:1/1:1/1,0:3/2:2/1',
    )
    expect(advertisedRule({})).to.deep.equal(TOKENS)
    expect(() => advertisedRule({ cacheTokenBilling: { divisor: -1 } })).to.throw(/divisor/)
    expect(() => advertisedRule({ tieredPricing: { tiers: [last, tier] } })).to.throw(/ascend/)
  })
})
