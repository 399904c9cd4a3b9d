import { createRequire } from 'node:module'
import { expect } from 'chai'
import { Interface, type InterfaceAbi, type ParamType } from 'ethers'
import { InferenceServing__factory, LedgerManager__factory } from '../../../typechain-types/index.ts'

const require = createRequire(import.meta.url)
const root = require.resolve('@0gfoundation/0g-compute-ts-sdk').replace(/lib\.commonjs.*/, 'lib.commonjs')
const theirs = (folder: string, name: string): Interface => {
  const factories = require(`${root}/${folder}/contract/typechain/factories/${name}__factory.js`) as Record<string, { abi: InterfaceAbi }>
  return new Interface(factories[`${name}__factory`]!.abi)
}

/** Contracts, the client's folder of each, and what the client 0.9.0 calls there. */
const CONTRACTS = [
  {
    name: 'LedgerManager',
    folder: 'ledger',
    ours: LedgerManager__factory.createInterface() as Interface,
    called:
      'getServiceInfo getLedger getAllLedgers getLedgerProviders addLedger depositFund depositFundFor refund transferFund retrieveFund deleteLedger'.split(' '),
  },
  {
    name: 'InferenceServing',
    folder: 'inference',
    ours: InferenceServing__factory.createInterface() as Interface,
    called:
      'getAllServices getService getAccount getAllAccounts lockTime acknowledgeTEESigner acknowledgeTEESignerByOwner revokeTEESignerAcknowledgement addOrUpdateService removeService revokeToken revokeTokens revokeAllTokens settleFeesWithTEE'.split(
        ' ',
      ),
  },
]

/** A type with the names of its members, by which the client reads results. */
const shape = (type: ParamType): string => {
  if (type.baseType === 'array') return `${shape(type.arrayChildren!)}[]`
  return type.baseType === 'tuple' ? `(${type.components!.map((each) => `${shape(each)} ${each.name}`)})` : type.type
}

for (const { name, folder, ours, called } of CONTRACTS)
  describe(`${name}: the ABI of the public client`, () => {
    const client = theirs(folder, name)
    for (const each of called)
      it(`${each} takes and gives what the client expects`, () => {
        const [their, our] = [client.getFunction(each)!, ours.getFunction(each)!]
        expect(our.selector).to.equal(their.selector)
        // Of several results the client reads names; that of a single one it does not know.
        const results = ({ outputs }: typeof our) =>
          outputs.map((output) => (outputs.length > 1 && output.name ? `${shape(output)} ${output.name}` : shape(output)))
        expect(results(our).map((text, i) => (results(their)[i]?.includes(' ') ? text : shape(our.outputs[i]!)))).to.deep.equal(results(their))
      })

    it('has the events that both have under the same signatures, but for the initialiser’s', () => {
      ours.forEachEvent((event) => {
        const their = client.getEvent(event.name)
        if (their && event.name !== 'Initialized') expect(event.format('sighash')).to.equal(their.format('sighash'))
      })
    })

    it('has the errors that both have under the same selectors', () => {
      ours.forEachError((error) => {
        const their = client.getError(error.name)
        if (their) expect(error.selector, error.name).to.equal(their.selector)
      })
    })
  })
