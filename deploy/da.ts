import { type Interface, type JsonRpcApiProvider, toQuantity } from 'ethers'
import { type AccessManager, DataAvailability__factory, PrevRandao__factory } from '../typechain-types/index.ts'
import { allow } from './access.ts'
import { type Deployer, type GroupMember, IMPLEMENTATION, proxy } from './deployer.ts'

export interface DaParameters {
  /** Seconds. */
  epochLength: bigint
  /** Signers that an epoch needs. */
  minSigners: bigint
  /** Wei that a signer must have bonded. */
  minStake: bigint
  /** Seconds after its certificate in which a blob must be held. */
  retention: bigint
  /** Seconds in which a challenge must be answered. */
  answerTime: bigint
}

/** Blocks before the latest whose randomness is compared: some far apart, as a rollup may repeat the value of its parent chain for a while. */
const COMPARED_BLOCKS = [0, 1, 2, 4, 8, 16, 32, 64, 128]

/** Signers, epochs and certificates, and the randomness of their seeds. */
export async function deployDa(deployer: Deployer, manager: AccessManager, parameters: DaParameters): Promise<void> {
  const authority = await manager.getAddress()
  const bonds = deployer.book.get('Bonds')
  const randomness = await deployRandomness(deployer)
  const { epochLength, minSigners, minStake, retention, answerTime } = parameters
  const challenges = await deployer.signer.getAddress()
  const implementation: GroupMember = {
    name: `DataAvailability${IMPLEMENTATION}`,
    factory: new DataAvailability__factory(),
    args: () => [bonds, randomness, challenges, epochLength, retention + answerTime],
  }
  const at = await deployer.contract(implementation.name, implementation.factory, implementation.args({}))
  const { name, factory, args } = proxy('DataAvailability', at, () =>
    DataAvailability__factory.createInterface().encodeFunctionData('initialize', [authority, minStake, minSigners]),
  )
  await deployer.contract(name, factory, args({}))
  await permit(deployer, manager)
}

async function deployRandomness(deployer: Deployer): Promise<string> {
  if (!deployer.book.find('Randomness')) await checkRandomness(deployer.provider as JsonRpcApiProvider)
  return deployer.contract('Randomness', new PrevRandao__factory(), [])
}

/** Throws if recent blocks all have one prevrandao, or none: seeds would be for anybody to compute in advance. */
export async function checkRandomness(provider: Pick<JsonRpcApiProvider, 'send' | 'getBlockNumber'>): Promise<void> {
  const latest = await provider.getBlockNumber()
  const numbers = COMPARED_BLOCKS.map((back) => latest - back).filter((number) => number >= 0)
  const blocks: { mixHash?: string }[] = await Promise.all(numbers.map((number) => provider.send('eth_getBlockByNumber', [toQuantity(number), false])))
  const values = new Set(blocks.map(({ mixHash }) => mixHash))
  if (values.size === 1 && numbers.length > 1)
    throw new Error(
      `this chain has no randomness: blocks ${numbers.at(-1)} to ${latest} all have the mixHash ${[...values][0]}. Data availability draws the seeds of its epochs from it: deploy it to a chain with EIP-4399, or leave it out of the profile`,
    )
}

async function permit(deployer: Deployer, manager: AccessManager): Promise<void> {
  const dataAvailability = {
    name: 'DataAvailability',
    address: deployer.book.get('DataAvailability'),
    interface: DataAvailability__factory.createInterface() as unknown as Interface,
  }
  await allow(deployer, manager, dataAvailability, 'GOVERNOR', ['setMinStake', 'setMinSigners'])
  await allow(deployer, manager, dataAvailability, 'UPGRADER', ['upgradeToAndCall'])
}
