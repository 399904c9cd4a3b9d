import { expect } from 'chai'
import { TypedDataEncoder, Wallet } from 'ethers'
import { type Kept, type KeptReceipt, keptTypedData, signKept, verifyKept } from '../../protocol/storage/kept.ts'

const kept: Kept = { root: `0x${'ab'.repeat(32)}`, submission: 7, until: 1_800_000_000, chainId: 31337, contract: `0x${'12'.repeat(20)}` }
const wallet = new Wallet(`0x${'01'.repeat(32)}`)

describe('Kept receipts', () => {
  it('verify as signed by the node they name', async () => {
    const receipt = await signKept(wallet, kept)
    expect(receipt).to.deep.include({ ...kept, node: wallet.address })
    expect(verifyKept(receipt)).to.equal(true)
    expect(verifyKept({ ...receipt, node: receipt.node.toLowerCase() })).to.equal(true)
  })

  it('sign the type that a contract would check', () => {
    const { types, domain } = keptTypedData(kept)
    expect(TypedDataEncoder.from(types).encodeType('Kept')).to.equal('Kept(bytes32 root,uint256 submission,uint256 until)')
    expect(domain).to.deep.equal({ name: 'Perigee Storage', version: '1', chainId: 31337, verifyingContract: kept.contract })
  })

  it('do not verify when any field is another', async () => {
    const receipt = await signKept(wallet, kept)
    const others: Partial<KeptReceipt>[] = [
      { root: `0x${'ac'.repeat(32)}` },
      { submission: 8 },
      { until: 1_800_000_001 },
      { chainId: 1 },
      { contract: `0x${'13'.repeat(20)}` },
      { node: Wallet.createRandom().address },
      { signature: (await signKept(wallet, { ...kept, submission: 8 })).signature },
      { signature: '0x1234' },
      { root: '0x12' },
      { node: 'nobody' },
      { submission: -1 },
    ]
    for (const other of others) expect(verifyKept({ ...receipt, ...other }), JSON.stringify(other)).to.equal(false)
  })
})
