// SPDX-License-Identifier: Apache-2.0
import { type AccessManager, Flow__factory, PoraMine__factory, StorageMarket__factory, StorageRewards__factory } from '../typechain-types/index.ts'
import { allow } from './access.ts'
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
  const flow = await deployer.contract('Flow.implementation', new Flow__factory(), [])
  const market = await deployer.contract('StorageMarket.implementation', new StorageMarket__factory(), [])
  const mine = await deployer.contract('PoraMine.implementation', new PoraMine__factory(), [])
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
  const flow = Flow__factory.createInterface()
  const market = StorageMarket__factory.createInterface()
  const rewards = StorageRewards__factory.createInterface()
  const mine = PoraMine__factory.createInterface()
  const mineParameters = ['setSchedule', 'setTargetSubmissions', 'setDifficultyAdjustRatio', 'setMinDifficulty', 'setMaxShards']
  const select = (contract: { getFunction(name: never): { selector: string } | null }, ...names: string[]) =>
    names.map((name) => contract.getFunction(name as never)!.selector)

  await allow(deployer, manager, at.Flow!, 'GUARDIAN', select(flow, 'pause', 'unpause'))
  await allow(deployer, manager, at.Flow!, 'UPGRADER', select(flow, 'upgradeToAndCall'))
  await allow(deployer, manager, at.StorageMarket!, 'GOVERNOR', select(market, 'schedulePrice'))
  await allow(deployer, manager, at.StorageMarket!, 'UPGRADER', select(market, 'upgradeToAndCall'))
  await allow(deployer, manager, at.StorageRewards!, 'GOVERNOR', select(rewards, 'setBaseReward', 'setServiceFee'))
  await allow(deployer, manager, at.PoraMine!, 'GOVERNOR', select(mine, ...mineParameters))
  await allow(deployer, manager, at.PoraMine!, 'UPGRADER', select(mine, 'upgradeToAndCall'))
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
