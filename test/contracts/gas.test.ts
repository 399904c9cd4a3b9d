import { expect } from 'chai'
import { rows } from '../../bench/gas.ts'
import recorded from '../../bench/results/gas.json' with { type: 'json' }

describe('Gas', () => {
  it('is, to the unit, what bench/results/gas.json records, and within its targets', async function () {
    this.timeout(120_000)
    const measured = await rows(() => {})
    const values = (list: readonly { id: string; value: number }[]) => Object.fromEntries(list.map(({ id, value }) => [id, value]))
    expect(values(measured), 'if this change of gas is meant, record it: npm run bench -- gas --save').to.deep.equal(values(recorded.results))
    for (const { what, value, target } of measured) if (target !== undefined) expect(value, what).to.be.at.most(target)
  })
})
