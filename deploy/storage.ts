import type { Interface } from 'ethers'
import { type AccessManager, Flow__factory, PoraMine__factory, StorageMarket__factory, StorageRewards__factory } from '../typechain-types/index.ts'
import { allow, type GovernedContract } from './access.ts'
import { type Deployer, type GroupMember, proxy } from './deployer.ts'

export interface StorageParameters {
  /** Blocks of a mining epoch. */
  blocksPerEpoch: bigint
  /** Wei for one sector of 256 bytes and one lease period. */
  pricePerSector: bigint
  /** Seconds that one payment buys, and for which nodes keep the data after that. */
  leasePeriod: bigint
  gracePeriod: bigint
  /** Sectors over which fees are pooled for whoever proves one of them: a power of two, at least 1024. */
  chunkSectors: bigint
  /** Seconds over which a fee is released to miners. */
  releaseSeconds: bigint
  /** Wei paid per answer on top of fees, from a pool that the deployer fills up to `basePool` when fewer than a tenth of it is left. */
  baseReward: bigint
  basePool: bigint
  /** The proof of random access; see the contract for each. */
  pora: {
    difficulty: bigint
    targetMineBlocks: bigint
    targetSubmissions: bigint
    difficultyAdjustRatio: bigint
    maxShards: bigint
    nSubtasks: bigint
    subtaskInterval: bigint
    minDifficulty: bigint
  }
}

/** Flow, its market, the rewards of miners and the proof they are paid for. Proxies, but for the rewards, which only hold money. */
export async function deployStorage(deployer: Deployer, manager: AccessManager, parameters: StorageParameters): Promise<void> {
  const authority = await manager.getAddress()
  const flow = await deployer.implementation('Flow', new Flow__factory())
  const market = await deployer.implementation('StorageMarket', new StorageMarket__factory())
  const mine = await deployer.implementation('PoraMine', new PoraMine__factory())
  const { blocksPerEpoch, pricePerSector, leasePeriod, gracePeriod, chunkSectors, releaseSeconds } = parameters

  const rewards: GroupMember = {
    name: 'StorageRewards',
    factory: new StorageRewards__factory(),
    args: ({ PoraMine }) => [authority, PoraMine, chunkSectors, releaseSeconds],
  }
  const at = await deployer.group([
    proxy('StorageMarket', market, ({ Flow, StorageRewards }) =>
      StorageMarket__factory.createInterface().encodeFunctionData('initialize', [authority, Flow!, StorageRewards!, pricePerSector, leasePeriod, gracePeriod]),
    ),
    proxy('Flow', flow, ({ StorageMarket, StorageRewards }) =>
      Flow__factory.createInterface().encodeFunctionData('initialize', [authority, StorageMarket!, StorageRewards!, blocksPerEpoch]),
    ),
    rewards,
    // Last, as it reads the rules of the log and of the rewards.
    proxy('PoraMine', mine, ({ Flow, StorageRewards }) =>
      PoraMine__factory.createInterface().encodeFunctionData('initialize', [authority, Flow!, StorageRewards!, parameters.pora]),
    ),
  ])
  await permit(deployer, manager, at)
  await fund(deployer, at.StorageRewards!, parameters)
}

async function permit(deployer: Deployer, manager: AccessManager, at: Record<string, string>): Promise<void> {
  const governed = (name: string, { createInterface }: { createInterface(): unknown }): GovernedContract => ({
    name,
    address: at[name]!,
    interface: createInterface() as Interface,
  })
  const flow = governed('Flow', Flow__factory)
  const market = governed('StorageMarket', StorageMarket__factory)
  const rewards = governed('StorageRewards', StorageRewards__factory)
  const mine = governed('PoraMine', PoraMine__factory)
  await allow(deployer, manager, flow, 'GUARDIAN', ['pause', 'unpause'])
  await allow(deployer, manager, market, 'GOVERNOR', ['schedulePrice'])
  await allow(deployer, manager, rewards, 'GOVERNOR', ['setBaseReward', 'setServiceFee'])
  await allow(deployer, manager, mine, 'GOVERNOR', ['setSchedule', 'setTargetSubmissions', 'setDifficultyAdjustRatio', 'setMinDifficulty', 'setMaxShards'])
  for (const contract of [flow, market, mine]) await allow(deployer, manager, contract, 'UPGRADER', ['upgradeToAndCall'])
}

async function fund(deployer: Deployer, address: string, { baseReward, basePool }: StorageParameters): Promise<void> {
  const rewards = StorageRewards__factory.connect(address, deployer.signer)
  await deployer.ensure(
    'set the base reward',
    async () => (await rewards.baseReward()) !== 0n || baseReward === 0n,
    () => rewards.setBaseReward(baseReward),
  )
  const pool = await rewards.totalBaseReward()
  await deployer.ensure(
    'fill the pool of base rewards',
    async () => pool >= basePool / 10n,
    () => rewards.donate({ value: basePool - pool }),
  )
}
