import { getCreateAddress, type Interface, type Signer, ZeroAddress } from 'ethers'
import {
  type AccessManager,
  ERC1967Proxy__factory,
  FineTuningServing__factory,
  InferenceServing__factory,
  LedgerManager__factory,
  ReceiptDisputes__factory,
} from '../typechain-types/index.ts'
import { allow } from './access.ts'
import { type Deployer, type GroupMember, IMPLEMENTATION } from './deployer.ts'

export interface ComputeParameters {
  /** Seconds between asking money back and collecting it: the time providers have to charge what they served. */
  lockTime: bigint
}

/**
 * The public client expects the proxies where these nonces of a fresh account put them on a local chain; an implementation is created one nonce
 * before. Nothing else is sent from that account, but transfers of nothing to itself.
 */
const PRESET_NONCES: Readonly<Record<string, number>> = { LedgerManager: 2, InferenceServing: 6, FineTuningServing: 12 }

/** By their contracts' names, with the type, version and description that the ledger knows them by. */
const SERVICES = {
  InferenceServing: { factory: InferenceServing__factory, registered: ['inference', 'v1.0', 'Inference by attested providers'] },
  FineTuningServing: { factory: FineTuningServing__factory, registered: ['fine-tuning', 'v1.0', 'Models tuned by attested providers'] },
} as const

/** Addresses by the names of the address book. */
type Addresses = Record<string, string>

/** A contract behind a proxy: its implementation, that one's constructor arguments, and the call that initialises the proxy. */
interface Upgradeable {
  name: string
  factory: GroupMember['factory']
  args: (addresses: Addresses) => unknown[]
  initialize: (addresses: Addresses) => string
}

/**
 * The ledger of users, the services that sell inference and tuned models, and the arbiter of their providers' stake. With `reserved`, an account that
 * never sent anything, the proxies are created from it, at the addresses that the public client presets.
 */
export async function deployCompute(deployer: Deployer, manager: AccessManager, { lockTime }: ComputeParameters, reserved?: Signer): Promise<void> {
  const authority = await manager.getAddress()
  const bonds = deployer.book.get('Bonds')
  const registry = deployer.book.find('TeeSignerRegistry') ?? ZeroAddress
  const ledger: Upgradeable = {
    name: 'LedgerManager',
    factory: new LedgerManager__factory(),
    args: () => [],
    initialize: () => LedgerManager__factory.createInterface().encodeFunctionData('initialize', [authority]),
  }
  const services = Object.entries(SERVICES).map(
    ([name, { factory }]): Upgradeable => ({
      name,
      factory: new factory(),
      args: ({ ReceiptDisputes }) => [registry, bonds, ReceiptDisputes],
      initialize: ({ LedgerManager }) => factory.createInterface().encodeFunctionData('initialize', [authority, LedgerManager!, lockTime]),
    }),
  )
  const disputes: GroupMember = {
    name: 'ReceiptDisputes',
    factory: new ReceiptDisputes__factory(),
    args: ({ InferenceServing }) => [InferenceServing, bonds],
  }
  const contracts = [ledger, ...services]
  if (reserved) await deployAtPreset(deployer, reserved, contracts, disputes)
  else await deployer.group([disputes, ...contracts.flatMap((contract) => behindProxy(contract))])
  await permit(deployer, manager)
  for (const [name, { registered }] of Object.entries(SERVICES)) await register(deployer, name, registered)
}

/** The implementation, and the proxy that is initialised in the transaction that creates it. */
function behindProxy({ name, factory, args, initialize }: Upgradeable): [GroupMember, GroupMember] {
  const implementation = `${name}${IMPLEMENTATION}`
  return [
    { name: implementation, factory, args },
    { name, factory: new ERC1967Proxy__factory(), args: (addresses) => [addresses[implementation], initialize(addresses)] },
  ]
}

async function deployAtPreset(deployer: Deployer, reserved: Signer, contracts: Upgradeable[], disputes: GroupMember): Promise<void> {
  const from = await reserved.getAddress()
  const addresses: Addresses = {}
  for (const [name, nonce] of Object.entries(PRESET_NONCES)) addresses[name] = getCreateAddress({ from, nonce })
  addresses[disputes.name] = await deployer.contract(disputes.name, disputes.factory, disputes.args(addresses))
  for (const contract of contracts) {
    const [implementation, proxied] = behindProxy(contract)
    const nonce = PRESET_NONCES[contract.name]!
    addresses[implementation.name] = await deployer.contractAt(reserved, nonce - 1, implementation.name, implementation.factory, implementation.args(addresses))
    await deployer.contractAt(reserved, nonce, proxied.name, proxied.factory, proxied.args(addresses))
  }
}

async function permit(deployer: Deployer, manager: AccessManager): Promise<void> {
  const governed = (name: string, abi: unknown) => ({ name, address: deployer.book.get(name), interface: abi as Interface })
  const ledger = governed('LedgerManager', LedgerManager__factory.createInterface())
  const services = Object.entries(SERVICES).map(([name, { factory }]) => governed(name, factory.createInterface()))
  await allow(deployer, manager, ledger, 'GOVERNOR', ['registerService'])
  for (const service of services) await allow(deployer, manager, service, 'GOVERNOR', ['updateLockTime'])
  for (const contract of [ledger, ...services]) await allow(deployer, manager, contract, 'UPGRADER', ['upgradeToAndCall'])
}

async function register(deployer: Deployer, name: string, [type, version, description]: readonly [string, string, string]): Promise<void> {
  const ledger = LedgerManager__factory.connect(deployer.book.get('LedgerManager'), deployer.signer)
  const address = deployer.book.get(name)
  await deployer.ensure(
    `register ${type}-${version}`,
    async () => (await ledger.getAllActiveServices()).some(({ serviceAddress }) => serviceAddress === address),
    () => ledger.registerService(type, version, address, description),
  )
}
