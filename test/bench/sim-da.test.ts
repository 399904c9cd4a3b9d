import { expect } from 'chai'
import { createChance } from '../../bench/sim/da/chance.ts'
import { codesOf, epochOf, loadOf, SIGNERS } from '../../bench/sim/da/epoch.ts'
import { failuresOf } from '../../bench/sim/da/failures.ts'
import { svgOf, textOf } from '../../bench/sim/da/plot.ts'
import { log2AllGood, log2AtLeast, log2Choose } from '../../bench/sim/da/probability.ts'
import { seatsOfParts, THIRD, TOO_MANY } from '../../bench/sim/da/seats.ts'
import { permutationOf, soundnessOf } from '../../bench/sim/da/soundness.ts'
import { DISTRIBUTIONS, type Distribution } from '../../bench/sim/da/stake.ts'
import { CODES } from '../../protocol/da/codes.ts'

const distributions = Object.keys(DISTRIBUTIONS) as Distribution[]

/** C(n, k), exactly. */
function choose(n: number, k: number): bigint {
  let product = 1n
  for (let i = 0; i < k; i++) product = (product * BigInt(n - i)) / BigInt(i + 1)
  return product
}

describe('Simulation of data availability', () => {
  it('given the least rows of each code, a signer is wrong with at most 2^-100, by exact arithmetic, and with a row less is not', () => {
    for (const { k, t, minRows } of CODES) {
      const good = t - Math.floor((t - k) / 2)
      const convinces = (rows: number) => choose(good, rows) * 2n ** 100n <= choose(t, rows)
      expect([convinces(minRows), convinces(minRows - 1)], `K = ${k}`).to.deep.equal([true, false])
      expect(log2AllGood(t, good, minRows)).to.be.closeTo(log2Choose(good, minRows) - log2Choose(t, minRows), 1e-6)
    }
  })

  it('has the logarithms of exact binomial coefficients and tails', () => {
    expect(2 ** log2Choose(52, 5)).to.be.closeTo(2_598_960, 1e-3)
    expect(2 ** log2AtLeast(10, 0.5, 8)).to.be.closeTo(56 / 1024, 1e-12)
    expect(log2AtLeast(10, 0.5, 0)).to.be.closeTo(0, 1e-9)
  })

  it('whoever refuses, lies or colludes, also in a committee: honest signers of a certificate hold K distinct rows', () => {
    for (const distribution of distributions)
      for (const signers of [4, 7, 28, 111, 1000]) {
        const epoch = epochOf(distribution, signers)
        expect(epoch.shares.committee).to.equal(signers === 1000)
        for (const { adversary, order, failed, least } of failuresOf(epoch, createChance('test')))
          expect([failed, least >= 1], `${distribution} ${signers} ${adversary} ${order}`).to.deep.equal([0, true])
      }
  })

  it('all shares of an epoch fit into its rows, and three times K are given out', () => {
    for (const distribution of distributions)
      for (const signers of SIGNERS) {
        const { filled } = loadOf(epochOf(distribution, signers), 2 ** 20)
        expect(filled, `${distribution} ${signers}`).to.be.within(0.7, 1)
      }
  })

  it('every signer is convinced on its own', () => {
    for (const distribution of distributions)
      for (const signers of SIGNERS) {
        const sound = soundnessOf(epochOf(distribution, signers))
        expect(sound.map(({ k }) => k)).to.deep.equal(codesOf(epochOf(distribution, signers).shares).map(({ k }) => k))
        for (const { log2Accepts } of sound) expect(log2Accepts).to.be.at.most(-100)
      }
  })

  it('a quarter of the stake never gets a third of the seats in some hundred committees, nor a third of it too many', () => {
    for (const distribution of distributions)
      for (const { part, mean, most, log2Third, log2TooMany } of seatsOfParts(distribution, 600, createChance('test'))) {
        expect(mean / 442, `${distribution} ${part}`).to.be.closeTo(part, 0.02)
        expect(most).to.be.below(part > 0.29 ? TOO_MANY : THIRD)
        expect(log2TooMany).to.be.below(-13)
        if (part <= 0.2) expect(log2Third).to.be.below(-30)
      }
  })

  it('rows of members are like rows drawn at random', () => {
    for (const { valid, deviation } of permutationOf(epochOf('equal', 7), 400, 8, createChance('test'))) expect(Math.abs(deviation), valid).to.be.below(4)
  })

  it('a plot has every series in text and picture', () => {
    const plot = { title: 'A plot', x: 'signers', y: 'MB/s', series: [{ name: 'one', mark: 'o', points: [[1, 10] as const, [100, 1000] as const] }] }
    expect(textOf(plot).match(/o/g)!.length).to.be.at.least(3)
    expect(svgOf(plot).match(/<circle/g)).to.have.length(2)
  })
})
