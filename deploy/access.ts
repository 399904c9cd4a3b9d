import { type Interface, ZeroAddress } from 'ethers'
import { type AccessManager, AccessManager__factory, TimelockController__factory } from '../typechain-types/index.ts'
import type { Deployer } from './deployer.ts'

/** Roles of the AccessManager, as contracts/access/Roles.sol names them. Admin is the manager's own. */
export const ROLES = { ADMIN: 0n, GOVERNOR: 1n, GUARDIAN: 2n, UPGRADER: 3n } as const
export type Role = keyof typeof ROLES

export interface AccessParameters {
  /** Who holds each role beside the deployer or its timelock. */
  governors?: string[]
  guardians?: string[]
  upgraders?: string[]
  /** Hands the admin, governor and upgrader roles over to a timelock, and leaves the deployer none. */
  timelock?: {
    /** Seconds between the scheduling and the execution of a proposal. */
    delay: number
    proposers: string[]
    /** Empty: anyone may execute what is due. */
    executors: string[]
  }
}

/** The one root of authority. The deployer starts with every role, which the steps that configure modules need. */
export async function deployAccess(deployer: Deployer, parameters: AccessParameters): Promise<AccessManager> {
  const self = await deployer.signer.getAddress()
  const address = await deployer.contract('AccessManager', new AccessManager__factory(), [self])
  const manager = AccessManager__factory.connect(address, deployer.signer)
  const { governors = [], guardians = [], upgraders = [] } = parameters
  // Once handed over, who holds what is for the timelock to say.
  if (!(await holds(manager, 'ADMIN', self))) return manager
  for (const [role, accounts] of [
    ['GOVERNOR', [self, ...governors]],
    ['GUARDIAN', [self, ...guardians]],
    ['UPGRADER', [self, ...upgraders]],
  ] as const)
    for (const account of accounts) await grant(deployer, manager, role, account)
  return manager
}

export interface GovernedContract {
  name: string
  address: string
  interface: Interface
}

/** Lets holders of a role call functions that only the admin could call so far. What governance changed since stays as it is. */
export async function allow(deployer: Deployer, manager: AccessManager, contract: GovernedContract, role: Role, functions: string[]): Promise<void> {
  const selectors = functions.map((name) => contract.interface.getFunction(name)!.selector)
  const holders = await Promise.all(selectors.map((selector) => manager.getTargetFunctionRole(contract.address, selector)))
  await deployer.ensure(
    `let ${role} call ${functions.join(', ')} of ${contract.name}`,
    async () => holders.every((holder) => holder !== ROLES.ADMIN),
    () => manager.setTargetFunctionRole(contract.address, selectors, ROLES[role]),
  )
}

/** Moves the power to govern from the deployer to a timelock, last of all steps. */
export async function handOver(deployer: Deployer, manager: AccessManager, { timelock }: AccessParameters): Promise<void> {
  if (!timelock) return
  const address = await deployer.contract('TimelockController', new TimelockController__factory(), [
    timelock.delay,
    timelock.proposers,
    timelock.executors.length > 0 ? timelock.executors : [ZeroAddress],
    ZeroAddress,
  ])
  for (const role of ['ADMIN', 'GOVERNOR', 'UPGRADER'] as const) await grant(deployer, manager, role, address)
  const self = await deployer.signer.getAddress()
  for (const role of ['GOVERNOR', 'GUARDIAN', 'UPGRADER', 'ADMIN'] as const) await renounce(deployer, manager, role, self)
}

async function grant(deployer: Deployer, manager: AccessManager, role: Role, account: string): Promise<void> {
  await deployer.ensure(
    `grant ${role} to ${account}`,
    () => holds(manager, role, account),
    () => manager.grantRole(ROLES[role], account, 0),
  )
}

async function renounce(deployer: Deployer, manager: AccessManager, role: Role, account: string): Promise<void> {
  await deployer.ensure(
    `renounce ${role}`,
    async () => !(await holds(manager, role, account)),
    () => manager.renounceRole(ROLES[role], account),
  )
}

async function holds(manager: AccessManager, role: Role, account: string): Promise<boolean> {
  return (await manager.hasRole(ROLES[role], account)).isMember
}
