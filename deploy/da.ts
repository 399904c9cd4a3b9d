import type { Interface } from 'ethers'
import {
  type AccessManager,
  AvailabilityChallenges__factory,
  BlobPayments__factory,
  DAEntrance__factory,
  DataAvailability__factory,
  ERC1967Proxy__factory,
  SamplingRewards__factory,
} from '../typechain-types/index.ts'
import { allow, type Role } from './access.ts'
import { type Deployer, type GroupMember, IMPLEMENTATION } from './deployer.ts'
import { deployRandomness, type RandomnessSource } from './randomness.ts'

export interface DaParameters {
  randomness: RandomnessSource
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
  /** Wei that a challenge costs until it is concluded. */
  deposit: bigint
  /** Wei of stake that a challenge is about. */
  penalty: bigint
  payments: {
    /** Wei that a blob costs, whatever its size. */
    blobPrice: bigint
    /** Wei for each KiB beside. */
    pricePerKiB: bigint
    /** Seconds between asking money back and withdrawing it. */
    lockTime: bigint
    /** Basis points of a fee that are the disperser's. */
    disperserShare: bigint
  }
  sampling: {
    roundBlocks: bigint
    /** Answers that a round aims at. */
    answersPerRound: bigint
    /** An answer earns this part of the fees that are there. */
    feeRatio: bigint
    /** Wei that an answer earns beside, from what was donated. */
    baseReward: bigint
    /** Wei to have there for that, filled up at each deployment of which less than a tenth is left. */
    donation: bigint
  }
}

/** Signers, epochs, certificates and the randomness of their seeds; payments, rewards and challenges; and the entrance that others know. */
export async function deployDa(deployer: Deployer, manager: AccessManager, parameters: DaParameters): Promise<void> {
  const authority = await manager.getAddress()
  const bonds = deployer.book.get('Bonds')
  const randomness = await deployRandomness(deployer, parameters.randomness)
  const { epochLength, minSigners, minStake, retention, answerTime, deposit, penalty, payments, sampling } = parameters
  const initializeRewards = () => SamplingRewards__factory.createInterface().encodeFunctionData('initialize', [authority, sampling])
  const initialize = () => DataAvailability__factory.createInterface().encodeFunctionData('initialize', [authority, minStake, minSigners])
  await deployer.group([
    {
      name: `SamplingRewards${IMPLEMENTATION}`,
      factory: new SamplingRewards__factory(),
      args: ({ DataAvailability }) => [DataAvailability, sampling.roundBlocks, retention],
    },
    behindProxy('SamplingRewards', initializeRewards),
    {
      name: 'BlobPayments',
      factory: new BlobPayments__factory(),
      args: ({ DataAvailability, SamplingRewards }) => [authority, DataAvailability, SamplingRewards, payments],
    },
    {
      name: 'AvailabilityChallenges',
      factory: new AvailabilityChallenges__factory(),
      args: ({ DataAvailability }) => [DataAvailability, bonds, { deposit, penalty, answerTime, retention }],
    },
    { name: 'DAEntrance', factory: new DAEntrance__factory(), args: ({ DataAvailability, SamplingRewards }) => [DataAvailability, SamplingRewards] },
    {
      name: `DataAvailability${IMPLEMENTATION}`,
      factory: new DataAvailability__factory(),
      args: ({ AvailabilityChallenges }) => [bonds, randomness, AvailabilityChallenges, epochLength, retention + answerTime],
    },
    behindProxy('DataAvailability', initialize),
  ])
  await permit(deployer, manager)
  await donate(deployer, sampling.donation)
}

function behindProxy(name: string, initialize: () => string): GroupMember {
  return { name, factory: new ERC1967Proxy__factory(), args: (addresses) => [addresses[`${name}${IMPLEMENTATION}`], initialize()] }
}

async function permit(deployer: Deployer, manager: AccessManager): Promise<void> {
  const governed: [string, unknown, [Role, string[]][]][] = [
    [
      'DataAvailability',
      DataAvailability__factory.createInterface(),
      [
        ['GOVERNOR', ['setMinStake', 'setMinSigners']],
        ['UPGRADER', ['upgradeToAndCall']],
      ],
    ],
    [
      'SamplingRewards',
      SamplingRewards__factory.createInterface(),
      [
        ['GOVERNOR', ['setParameters']],
        ['UPGRADER', ['upgradeToAndCall']],
      ],
    ],
    ['BlobPayments', BlobPayments__factory.createInterface(), [['GOVERNOR', ['setPrices']]]],
  ]
  for (const [name, abi, roles] of governed)
    for (const [role, functions] of roles)
      await allow(deployer, manager, { name, address: deployer.book.get(name), interface: abi as Interface }, role, functions)
}

async function donate(deployer: Deployer, donation: bigint): Promise<void> {
  const rewards = SamplingRewards__factory.connect(deployer.book.get('SamplingRewards'), deployer.signer)
  const { donated } = await rewards.pool()
  await deployer.ensure(
    'donate base rewards of sampling',
    async () => donated >= donation / 10n,
    () => rewards.donate({ value: donation - donated }),
  )
}
