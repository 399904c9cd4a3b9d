import { getCreateAddress, type Interface, type Signer, ZeroAddress } from 'ethers'
import { type AccessManager, InferenceServing__factory, LedgerManager__factory, ReceiptDisputes__factory } from '../typechain-types/index.ts'
import { allow } from './access.ts'
import { type Deployer, type GroupMember, IMPLEMENTATION, proxy } from './deployer.ts'

export interface ComputeParameters {
  /** Seconds between asking money back and collecting it: the time providers have to charge what they served. */
  lockTime: bigint
}

/**
 * The public client expects the proxies where this account's nonces put them on a local chain; an implementation is created one nonce before.
 * Nothing else is sent from it, but transfers of nothing to itself.
 */
export const PRESET_NONCES = { LedgerManager: 2, InferenceServing: 6 } as const

/** What the ledger calls the services: type and version. */
const INFERENCE = { type: 'inference', version: 'v1.0', description: 'Inference by attested providers' }

/**
 * The ledger of users, the service that sells inference, and the arbiter of its providers' stake. With `reserved`, an account that never sent anything,
 * the proxies are created from it, at the addresses that the public client presets.
 */
export async function deployCompute(deployer: Deployer, manager: AccessManager, parameters: ComputeParameters, reserved?: Signer): Promise<void> {
  const authority = await manager.getAddress()
  const bonds = deployer.book.get('Bonds')
  const registry = deployer.book.find('TeeSignerRegistry') ?? ZeroAddress
  const ledger = (implementation: string) => proxy('LedgerManager', implementation, () => ledgers.encodeFunctionData('initialize', [authority]))
  const disputes: GroupMember = {
    name: 'ReceiptDisputes',
    factory: new ReceiptDisputes__factory(),
    args: ({ InferenceServing }) => [InferenceServing, bonds],
  }
  const serving = (implementation: string) =>
    proxy('InferenceServing', implementation, ({ LedgerManager, ReceiptDisputes }) =>
      servings.encodeFunctionData('initialize', [authority, LedgerManager!, registry, bonds, ReceiptDisputes!, parameters.lockTime]),
    )

  if (reserved) await deployAtPreset(deployer, reserved, { ledger, disputes, serving })
  else {
    const ledgerImplementation = await deployer.implementation('LedgerManager', new LedgerManager__factory())
    const servingImplementation = await deployer.implementation('InferenceServing', new InferenceServing__factory())
    await deployer.group([ledger(ledgerImplementation), disputes, serving(servingImplementation)])
  }
  await permit(deployer, manager)
  await register(deployer)
}

const ledgers = LedgerManager__factory.createInterface()
const servings = InferenceServing__factory.createInterface()

interface Members {
  ledger: (implementation: string) => GroupMember
  disputes: GroupMember
  serving: (implementation: string) => GroupMember
}

async function deployAtPreset(deployer: Deployer, reserved: Signer, { ledger, disputes, serving }: Members): Promise<void> {
  const from = await reserved.getAddress()
  const addresses: Record<string, string> = Object.fromEntries(Object.entries(PRESET_NONCES).map(([name, nonce]) => [name, getCreateAddress({ from, nonce })]))
  addresses.ReceiptDisputes = await deployer.contract(disputes.name, disputes.factory, disputes.args(addresses))
  for (const [member, factory] of [
    [ledger, new LedgerManager__factory()],
    [serving, new InferenceServing__factory()],
  ] as const) {
    const { name } = member(ZeroAddress)
    const nonce = PRESET_NONCES[name as keyof typeof PRESET_NONCES]
    const implementation = await deployer.contractAt(reserved, nonce - 1, `${name}${IMPLEMENTATION}`, factory, [])
    const { factory: proxies, args } = member(implementation)
    await deployer.contractAt(reserved, nonce, name, proxies, args(addresses))
  }
}

async function permit(deployer: Deployer, manager: AccessManager): Promise<void> {
  const governed = (name: string, abi: Interface) => ({ name, address: deployer.book.get(name), interface: abi })
  const ledger = governed('LedgerManager', ledgers)
  const serving = governed('InferenceServing', servings)
  await allow(deployer, manager, ledger, 'GOVERNOR', ['registerService'])
  await allow(deployer, manager, serving, 'GOVERNOR', ['updateLockTime'])
  for (const contract of [ledger, serving]) await allow(deployer, manager, contract, 'UPGRADER', ['upgradeToAndCall'])
}

async function register(deployer: Deployer): Promise<void> {
  const ledger = LedgerManager__factory.connect(deployer.book.get('LedgerManager'), deployer.signer)
  const address = deployer.book.get('InferenceServing')
  const { type, version, description } = INFERENCE
  await deployer.ensure(
    `register ${type}-${version}`,
    async () => (await ledger.getAllActiveServices()).some(({ serviceAddress }) => serviceAddress === address),
    () => ledger.registerService(type, version, address, description),
  )
}
