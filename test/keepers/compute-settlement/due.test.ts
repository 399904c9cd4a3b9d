import { expect } from 'chai'
import fc from 'fast-check'
import { type DuePolicy, dueNow, type Owed } from '../../../keepers/compute/provider/settlement/due.ts'
import { chargeable, type Funds, nextUnlock } from '../../../keepers/compute/provider/settlement/funds.ts'
import { allocate, payable } from '../../../keepers/compute/provider/settlement/selection.ts'

const NOW = 1_000_000
const GWEI = 10n ** 9n
/** Gas of a batch with one user, at 1 gwei. */
const ONE = 81_000n * GWEI
const policy: DuePolicy = { settleValue: 10n ** 18n, settleAfterSeconds: 600, settleLatestSeconds: 43_200, settleGasPercent: 10, settleMarginSeconds: 1800 }
const owes = (fees: bigint, changes: Partial<Owed> = {}): Owed => ({ user: 'a', fees, oldest: NOW, until: undefined, ...changes })
const due = (owed: Owed[], gasPrice = GWEI, changes: Partial<DuePolicy> = {}) => dueNow(owed, NOW, gasPrice, { ...policy, ...changes })

describe('when to settle', () => {
  it('at once, when enough is owed by all together', () => {
    expect(due([])).to.equal(undefined)
    expect(due([owes(10n ** 18n - 1n)])).to.equal(undefined)
    expect(due([owes(10n ** 18n)])?.reason).to.equal('value')
    expect(due([owes(5n * 10n ** 17n), owes(5n * 10n ** 17n, { user: 'b' })])?.users).to.have.members(['a', 'b'])
  })

  it('after a while, when gas takes no more than its share', () => {
    expect(due([owes(10n * ONE, { oldest: NOW - 599 })])).to.equal(undefined)
    expect(due([owes(10n * ONE, { oldest: NOW - 600 })])?.reason).to.equal('age')
    expect(due([owes(10n * ONE - 1n, { oldest: NOW - 600 })])).to.equal(undefined)
    expect(due([owes(10n * ONE - 1n, { oldest: NOW - 600 })], GWEI / 2n)?.reason).to.equal('age')
    expect(due([owes(1n, { oldest: NOW - 600 })], GWEI, { settleGasPercent: 9 * 10 ** 15 })?.reason).to.equal('age')
  })

  it('at the latest even if gas takes more, and never if it takes all', () => {
    expect(due([owes(ONE, { oldest: NOW - 43_199 })])).to.equal(undefined)
    expect(due([owes(ONE, { oldest: NOW - 43_200 })])?.users).to.deep.equal(['a'])
    expect(due([owes(ONE - 1n, { oldest: NOW - 43_200 })])).to.equal(undefined)
  })

  it('before the money is out of reach, the first to leave first', () => {
    const leaving = owes(ONE, { user: 'b', until: NOW + 1800 })
    expect(due([owes(ONE, { until: NOW + 1801 })])).to.equal(undefined)
    expect(due([leaving])?.reason).to.equal('leaving')
    expect(due([{ ...leaving, until: NOW }])).to.equal(undefined)
    const all = due([owes(10n ** 18n, { oldest: 5 }), leaving, owes(ONE, { user: 'c', until: NOW + 900 })])
    expect(all?.users).to.deep.equal(['c', 'b', 'a'])
    expect([...all!.urgent]).to.have.members(['c', 'b'])
  })

  it('without those who owe less than their own gas', () => {
    const few = owes(9_000n * GWEI * 10n - 1n, { user: 'few' })
    expect(due([owes(10n ** 18n), few])?.users).to.deep.equal(['a'])
    expect(due([owes(10n ** 18n), { ...few, fees: few.fees + 1n }])?.users).to.deep.equal(['a', 'few'])
    expect(due([owes(0n, { oldest: 0 })])).to.equal(undefined)
  })
})

describe('what to settle', () => {
  const row = (user: string, sequence: number, fee: number) => ({ id: `${user}${sequence}`, user, sequence, price_version: 1, fee: `${fee}` })
  const limits = (...entries: [string, number, boolean?][]) => new Map(entries.map(([user, wei, takeAll = false]) => [user, { wei: BigInt(wei), takeAll }]))
  const ids = (rows: { id: string }[]) => rows.map(({ id }) => id).join(' ')

  it('is what each user can pay, from the first answer on', () => {
    const rows = [row('a', 4, 10), row('a', 5, 10), row('a', 6, 1), row('b', 1, 5)]
    expect(ids(payable(rows, limits(['a', 21], ['b', 5])))).to.equal('a4 a5 a6 b1')
    expect(ids(payable(rows, limits(['a', 20], ['b', 4])))).to.equal('a4 a5')
    expect(ids(payable(rows, limits(['a', 19], ['b', 5])))).to.equal('a4 b1')
    expect(ids(payable(rows, limits(['a', 11])))).to.equal('a4')
  })

  it('is all there is, when the money is about to go', () => {
    const rows = [row('a', 1, 10), row('a', 2, 10), row('a', 3, 10)]
    expect(ids(payable(rows, limits(['a', 15, true])))).to.equal('a1 a2')
    expect(ids(payable(rows, limits(['a', 10, true])))).to.equal('a1')
    expect(ids(payable(rows, limits(['a', 0, true])))).to.equal('')
  })

  it('has no gaps, so that receipts add up', () => {
    expect(ids(payable([row('a', 1, 1), row('a', 3, 1), row('a', 4, 1), row('b', 9, 1)], limits(['a', 9], ['b', 9])))).to.equal('a1 b9')
  })

  it('is settled as far as the charge reaches', () => {
    const rows = [row('a', 1, 10), row('a', 2, 10), row('a', 3, 10)]
    const of = (charged: number) => {
      const { paid, inPart, unpaid } = allocate(rows, BigInt(charged))
      return [ids(paid), inPart?.id, ids(unpaid)]
    }
    expect(of(30)).to.deep.equal(['a1 a2 a3', undefined, ''])
    expect(of(29)).to.deep.equal(['a1 a2', 'a3', ''])
    expect(of(10)).to.deep.equal(['a1', undefined, 'a2 a3'])
    expect(of(5)).to.deep.equal(['', 'a1', 'a2 a3'])
    expect(of(0)).to.deep.equal(['', undefined, 'a1 a2 a3'])
  })

  it('never charges more than there is, or an answer of somebody without', () => {
    const rows = fc
      .array(fc.record({ user: fc.constantFrom('a', 'b', 'c'), fee: fc.nat(20) }), { maxLength: 20 })
      .map((list) => list.sort((x, y) => (x.user < y.user ? -1 : 1)).map(({ user, fee }, i) => row(user, i, fee)))
    fc.assert(
      fc.property(rows, fc.nat(60), fc.boolean(), (list, wei, takeAll) => {
        const chosen = payable(list, limits(['a', wei, takeAll], ['b', wei]))
        for (const user of ['a', 'b', 'c']) {
          const own = chosen.filter((one) => one.user === user).map(({ fee }) => Number(fee))
          const sum = own.reduce((x, y) => x + y, 0)
          expect(user === 'c' ? own.length === 0 : sum - (user === 'a' && takeAll ? (own.at(-1) ?? 0) : 0) <= wei).to.equal(true)
        }
      }),
      { seed: 15, numRuns: 200 },
    )
  })
})

describe('what can be charged', () => {
  const funds = (changes: Partial<Funds>): Funds => ({ exists: true, balance: 100n, refunds: [], underCeiling: undefined, ...changes })
  const refunds = [
    { amount: 30n, unlocksAt: NOW },
    { amount: 50n, unlocksAt: NOW + 10 },
  ]

  it('is the balance without refunds that have unlocked, under the ceiling', () => {
    expect(chargeable(funds({}), NOW)).to.equal(100n)
    expect(chargeable(funds({ refunds }), NOW - 1)).to.equal(100n)
    expect(chargeable(funds({ refunds }), NOW)).to.equal(70n)
    expect(chargeable(funds({ refunds }), NOW + 10)).to.equal(20n)
    expect(chargeable(funds({ underCeiling: 40n }), NOW)).to.equal(40n)
    expect(chargeable(funds({ refunds, underCeiling: 80n }), NOW)).to.equal(70n)
  })

  it('is less when the next refund unlocks', () => {
    expect(nextUnlock(funds({ refunds }), NOW - 1)).to.equal(NOW)
    expect(nextUnlock(funds({ refunds }), NOW)).to.equal(NOW + 10)
    expect(nextUnlock(funds({ refunds }), NOW + 10)).to.equal(undefined)
  })
})
