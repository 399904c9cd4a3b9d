import { expect } from 'chai'
import { byWeight } from '../../../sdk/da/order.ts'

describe('the order in which signers are asked', () => {
  const signers = [1n, 2n, 3n, 1n]
  const orders = Array.from({ length: 4000 }, () => byWeight([...signers.keys()], (i) => signers[i]!))

  it('given signers, when they are put in order, then each is there once', () => {
    for (const order of orders) expect([...order].sort()).to.deep.equal([0, 1, 2, 3])
  })

  it('given weights, when they are put in order, then each is first as often as its part of the weight says, those of equal weight alike', () => {
    for (const [signer, weight] of signers.entries()) {
      const first = orders.filter(([first]) => first === signer).length
      // More than six standard deviations.
      expect(first).to.be.closeTo(Math.round((orders.length * Number(weight)) / 7), 200)
    }
  })
})
