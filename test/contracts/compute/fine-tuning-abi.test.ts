import { createRequire } from 'node:module'
import { expect } from 'chai'
import { type Fragment, Interface, type ParamType } from 'ethers'
import { FineTuningServing__factory } from '../../../typechain-types/index.ts'

/** What the public client 0.9.0 calls of this contract. */
const CALLED = [
  'getAllServices',
  'getService',
  'getAccount',
  'getAllAccounts',
  'getDeliverable',
  'lockTime',
  'acknowledgeDeliverable',
  'acknowledgeTEESigner',
  'acknowledgeTEESignerByOwner',
  'revokeTEESignerAcknowledgement',
  'removeService',
]
/** The client's ABI has them under other arguments; ours say more. */
const OTHER_ERRORS = ['CallerNotLedger', 'LimitTooLarge', 'LockTimeOutOfRange']

const require = createRequire(import.meta.url)
const folder = require.resolve('@0gfoundation/0g-compute-ts-sdk').replace(/lib\.commonjs.*/, 'lib.commonjs/fine-tuning/contract/typechain/factories/')
const { FineTuningServing__factory: theirFactory } = require(`${folder}FineTuningServing__factory.js`) as { FineTuningServing__factory: { abi: [] } }
const theirs = new Interface(theirFactory.abi)
const ours: Interface = FineTuningServing__factory.createInterface()

/** A type with the names that the client reads; what it calls deprecated it does not read. */
const shape = (type: ParamType): string => {
  const inner = type.baseType === 'array' ? `${shape(type.arrayChildren!)}[]` : type.baseType === 'tuple' ? `(${type.components!.map(shape)})` : type.type
  return type.name.includes('processed') ? inner : `${inner} ${type.name}`
}

describe('FineTuningServing: the ABI of the public client', () => {
  for (const name of CALLED)
    it(`${name} takes and gives what the client expects`, () => {
      const [their, our] = [theirs.getFunction(name)!, ours.getFunction(name)!]
      expect(our.selector).to.equal(their.selector)
      // Of a single result the client reads the members; its name it does not know.
      const results = (of: typeof our) => of.outputs.map((output) => (of.outputs.length > 1 ? shape(output) : shape(output).replace(/ \w*$/, '')))
      expect(results(our)).to.deep.equal(results(their))
    })

  it('has its events and its errors, where both have them, under the same signatures', () => {
    const of = (abi: Interface, type: 'event' | 'error') =>
      new Map(abi.fragments.filter((each) => each.type === type).map((each) => [(each as Fragment & { name: string }).name, each.format('sighash')]))
    for (const type of ['event', 'error'] as const) {
      const [their, our] = [of(theirs, type), of(ours, type)]
      const shared = [...our.keys()].filter((name) => their.has(name) && !OTHER_ERRORS.includes(name) && name !== 'Initialized')
      expect(shared.length, type).to.be.greaterThan(5)
      for (const name of shared) expect(our.get(name), name).to.equal(their.get(name))
    }
  })

  it('settles by the client’s selector', () => {
    expect(ours.getFunction('settleFees')!.selector).to.equal(theirs.getFunction('settleFees')!.selector)
    expect(ours.getFunction('addOrUpdateService')!.selector).to.equal(theirs.getFunction('addOrUpdateService')!.selector)
  })
})
