import type { HardhatEthers, HardhatEthersSigner } from '@nomicfoundation/hardhat-ethers/types'
import { isReserved } from '../deploy/networks.ts'

/** The first account of the network that may deploy. */
export async function deploymentSigner(ethers: HardhatEthers): Promise<HardhatEthersSigner> {
  const { chainId } = await ethers.provider.getNetwork()
  const signer = (await ethers.getSigners()).find(({ address }) => !isReserved(Number(chainId), address))
  if (!signer) throw new Error('the network has no account to send from: set its key, as `npx hardhat keystore set DEPLOYER_PRIVATE_KEY` does')
  return signer
}
