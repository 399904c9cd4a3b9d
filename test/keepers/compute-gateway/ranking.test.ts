import { expect } from 'chai'
import { Health } from '../../../keepers/compute/gateway/health.ts'
import { type Criteria, type Provider, rank } from '../../../keepers/compute/gateway/ranking.ts'

const TIME = 1_800_000_000
const criteria: Criteria = { model: 'm', inputUnits: 100, outputUnits: 100, latencyWeight: 0.5, time: TIME, now: 0 }

const provider = (address: string, changes: Partial<Provider> = {}): Provider => ({
  address,
  url: 'http://localhost',
  models: ['m'],
  inputPrice: 10n,
  outputPrice: 20n,
  signer: address,
  attestedUntil: TIME + 100,
  acknowledged: true,
  free: 1n,
  generation: 0,
  problem: undefined,
  ...changes,
})

describe('gateway: ranking', () => {
  let healths: Record<string, Health>
  beforeEach(() => {
    healths = { a: new Health(), b: new Health(), c: new Health() }
  })
  const order = (providers: Provider[], changes: Partial<Criteria> = {}) =>
    rank(providers, (address) => healths[address]!, { ...criteria, ...changes }).candidates.map(({ provider }) => provider.address)

  it('given equal latency, then the cheaper comes first, by what this request would cost', () => {
    const inputs = provider('a', { inputPrice: 30n, outputPrice: 1n })
    const outputs = provider('b', { inputPrice: 1n, outputPrice: 30n })
    expect(order([inputs, outputs], { inputUnits: 1000, outputUnits: 1 })).to.deep.equal(['b', 'a'])
    expect(order([inputs, outputs], { inputUnits: 1, outputUnits: 1000 })).to.deep.equal(['a', 'b'])
  })

  it('given equal prices, then the faster comes first, as measured', () => {
    for (const ms of [100, 100]) healths.a!.answered(ms)
    for (const ms of [400, 10]) healths.b!.answered(ms)
    expect(healths.b!.latencyMs).to.be.closeTo(283, 1e-9)
    expect(order([provider('b'), provider('a')])).to.deep.equal(['a', 'b'])
  })

  it('given a cheap slow one and a dear fast one, then the weight decides', () => {
    const cheap = provider('a')
    const dear = provider('b', { inputPrice: 20n, outputPrice: 40n })
    healths.a!.answered(300)
    healths.b!.answered(100)
    expect(order([cheap, dear], { latencyWeight: 0 })).to.deep.equal(['a', 'b'])
    expect(order([cheap, dear], { latencyWeight: 1 })).to.deep.equal(['b', 'a'])
    expect(order([cheap, dear], { latencyWeight: 0.3 })).to.deep.equal(['a', 'b'])
    expect(order([cheap, dear], { latencyWeight: 0.4 })).to.deep.equal(['b', 'a'])
  })

  it('given one that failed a moment ago, then it comes last until it has rested, longer each time', () => {
    healths.a!.failed(0)
    const providers = [provider('a'), provider('b', { inputPrice: 1000n })]
    expect(order(providers, { now: 999 })).to.deep.equal(['b', 'a'])
    expect(order(providers, { now: 1001 })).to.deep.equal(['a', 'b'])
    healths.a!.failed(2000)
    expect(order(providers, { now: 3999 })).to.deep.equal(['b', 'a'])
    expect(order(providers, { now: 4001 })).to.deep.equal(['a', 'b'])
    healths.a!.failed(5000)
    healths.a!.answered(1)
    expect(order(providers, { now: 5001 })).to.deep.equal(['a', 'b'])
  })

  it('given one that says when to come back, then it rests as long, a minute at most', () => {
    healths.a!.failed(0, 7)
    expect(healths.a!.restsUntil).to.equal(7000)
    healths.a!.failed(0, 100_000)
    expect(healths.a!.restsUntil).to.equal(60_000)
  })

  it('given one never measured, then it counts as fast as the fastest', () => {
    healths.a!.answered(100)
    expect(order([provider('b', { inputPrice: 9n }), provider('a')])).to.deep.equal(['b', 'a'])
  })

  it('given free providers, then there is still an order', () => {
    const free = { inputPrice: 0n, outputPrice: 0n }
    expect(order([provider('b', free), provider('a', free), provider('c')])).to.deep.equal(['a', 'b', 'c'])
    expect(order([provider('b', { ...free, free: 0n })])).to.deep.equal(['b'])
  })

  const unfit: [what: string, changes: Partial<Provider>, criteria: Partial<Criteria>, reason: string][] = [
    ['does not answer', { problem: 'it does not answer: gone' }, {}, 'it does not answer: gone'],
    ['serves other models', { models: ['n'] }, {}, 'it does not serve m'],
    ['has no attested signer', { attestedUntil: 0 }, {}, 'its signer is not attested'],
    ['has a signer whose attestation ended', { attestedUntil: TIME }, {}, 'the attestation of its signer ended'],
    ['has no stake any more', { acknowledged: false }, {}, 'its stake is gone'],
    ['takes too much for input', {}, { maxInputPrice: 9n }, 'it takes 10 wei a unit of input, more than 9'],
    ['takes too much for output', {}, { maxOutputPrice: 19n }, 'it takes 20 wei a unit of output, more than 19'],
    ['has no sub-account', { free: undefined }, {}, 'there is no sub-account at it'],
    ['has an empty sub-account', { free: 0n }, {}, 'the sub-account at it is empty'],
  ]
  for (const [what, changes, wanted, reason] of unfit) {
    it(`given one that ${what}, then it is passed over and the reason is told`, () => {
      const { candidates, passedOver } = rank([provider('a', changes)], (address) => healths[address]!, { ...criteria, ...wanted })
      expect(candidates).to.deep.equal([])
      expect(passedOver.map(({ provider }) => provider)).to.deep.equal(['a'])
      expect(passedOver[0]!.reason).to.include(reason)
    })
  }

  it('given prices at the cap, then they are fine', () => {
    expect(order([provider('a')], { maxInputPrice: 10n, maxOutputPrice: 20n })).to.deep.equal(['a'])
  })
})
