import { expect } from 'chai'
import { network } from 'hardhat'
import { INTEL_SGX_ROOT_CA } from '../../../protocol/attestation/intel-root.ts'
import { CollateralRegistry__factory, QuoteVerifier__factory } from '../../../typechain-types/index.ts'
import { bytes32, deployVerifier, pki, proof, withCollateral } from './deploy.ts'
import { mined } from './platform.ts'

const initialDate = '2027-01-01T00:00:00Z'

describe('Attestation on other chains', () => {
  for (const chainId of [31337, 1337])
    it(`a simulated root is accepted on chain id ${chainId}`, async () => {
      const { ethers } = await network.create({ override: { initialDate, chainId } })
      const { collateral, verifier } = await deployVerifier(ethers)
      expect(await collateral.development()).to.equal(true)
      expect(await verifier.development()).to.equal(true)
    })

  for (const chainId of [1, 16661, 16602, 31338])
    it(`a simulated root is refused on chain id ${chainId}; Intel’s is not`, async () => {
      const { ethers } = await network.create({ override: { initialDate, chainId } })
      const { link, collateral, verifier } = await deployVerifier(ethers, INTEL_SGX_ROOT_CA)
      expect(await collateral.development()).to.equal(false)
      expect(await verifier.development()).to.equal(false)
      const [deployer] = await ethers.getSigners()
      await expect(new CollateralRegistry__factory(link, deployer).deploy(pki.rootCertificate))
        .to.be.revertedWithCustomError(collateral, 'DevelopmentRoot')
        .withArgs(chainId)
    })

  it('a verifier over simulated collateral is refused there, too, should there ever be such collateral', async () => {
    // where a chain forks into another chain id, contracts that were deployed before are there
    const { ethers, networkHelpers } = await network.create({ override: { initialDate, chainId: 5 } })
    const local = await network.create({ override: { initialDate } })
    const { collateral } = await deployVerifier(local.ethers)
    const address = collateral.target as string
    await networkHelpers.setCode(address, await local.ethers.provider.getCode(address))
    const [deployer] = await ethers.getSigners()
    await expect(new QuoteVerifier__factory(deployer).deploy(address))
      .to.be.revertedWithCustomError(new QuoteVerifier__factory(deployer).attach(address), 'DevelopmentRoot')
      .withArgs(5)
  })

  it('without a precompile for P-256 everything works, at a higher price', async () => {
    const { ethers } = await network.create({ override: { initialDate, hardfork: 'cancun' } })
    const { registry, alice } = await withCollateral(ethers)
    const args = await proof(ethers, registry, { signer: alice.address, encryptionKey: bytes32(1) })
    const receipt = await (await registry.register(...args)).wait()
    expect(receipt!.gasUsed).to.be.greaterThan(300_000n)
    expect(await registry.attestedUntil(alice)).not.to.equal(0n)
    const again = await proof(ethers, registry, { signer: alice.address, instead: { chainId: 1n } })
    await expect(registry.register(...again)).to.be.revertedWithCustomError(registry, 'WrongReportData')
    await mined(registry.connect(alice).revoke(alice))
    expect(await registry.attestedUntil(alice)).to.equal(0n)
  })
})
