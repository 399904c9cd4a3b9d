import { expect } from 'chai'
import { type Row, resultOf, tableOf } from '../../bench/report.ts'

const row: Row = { id: 'x', what: 'a thing', value: 300, unit: 'MB/s', better: 'more', reference: 100, peer: 'peer', target: 250 }

describe('Benchmark reports', () => {
  it('say how many times better a value is than the reference, and whether it meets the target', () => {
    expect(resultOf(row)).to.deep.equal({ id: 'x', value: 300, unit: 'MB/s', reference: 100, target: 250, ratio: 3, ok: true })
    expect(resultOf({ ...row, better: 'less', unit: 'gas' })).to.include({ ratio: 0.333, ok: false })
    expect(resultOf({ ...row, better: 'less', value: 250 })).to.include({ ratio: 0.4, ok: true })
    expect(resultOf({ ...row, value: 249.9 })).to.include({ value: 250, ok: false })
  })

  it('leave open what has no reference or target', () => {
    const { reference, target, ...bare } = row
    expect(resultOf(bare)).to.include({ reference: null, target: null, ratio: null, ok: null })
  })

  it('keep every digit of a whole number and three of any other', () => {
    expect(resultOf({ ...row, value: 16_777_216 }).value).to.equal(16_777_216)
    expect(resultOf({ ...row, value: 1234.567 }).value).to.equal(1235)
    expect(resultOf({ ...row, value: 12.3456 }).value).to.equal(12.3)
  })

  it('show a table that names what missed its target', () => {
    const [met, missed] = [tableOf([row]), tableOf([{ ...row, value: 200 }])]
    for (const text of ['a thing', '300', 'MB/s', '100 (peer)', '3', '≥ 250', 'yes']) expect(met).to.contain(text)
    expect(missed).to.contain('NO')
  })
})
