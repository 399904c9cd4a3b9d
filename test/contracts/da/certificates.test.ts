import { expect } from 'chai'
import { network } from 'hardhat'
import { certificate, deployDa, signatures, started } from './deploy.ts'

const { ethers, networkHelpers } = await network.create()
const ROOT = ethers.id('a batch')
const COIN = 10n ** 18n

async function four() {
  const of = await deployDa(ethers)
  return { ...of, signers: await started(of) }
}

describe('Data availability: certificates', () => {
  it('one signature of all certifies a batch, and so do their signatures one by one', async () => {
    const of = await networkHelpers.loadFixture(four)
    await expect(of.da.certify(...certificate(of, of.signers, ROOT)))
      .to.emit(of.da, 'BatchCertified')
      .withArgs(ROOT, 1n, 400n * COIN, 400n * COIN, '0x')
    const other = ethers.id('another batch')
    await expect(of.da.certifyBySignatures(...signatures(of, of.signers, other, { absent: [1] })))
      .to.emit(of.da, 'BatchCertified')
      .withArgs(other, 1n, 300n * COIN, 400n * COIN, '0x0001')
  })
})
