import { Bonds__factory } from '../typechain-types/index.ts'
import type { Deployer } from './deployer.ts'

/** All stake, in one contract that nobody governs. */
export async function deployStake(deployer: Deployer): Promise<string> {
  return deployer.contract('Bonds', new Bonds__factory(), [])
}
