import { hexlify, type Interface } from 'ethers'
import {
  type AccessManager,
  CollateralReader__factory,
  CollateralRegistry__factory,
  QuoteVerifier__factory,
  TeeSignerRegistry__factory,
} from '../typechain-types/index.ts'
import { allow, type GovernedContract } from './access.ts'
import { type Deployer, proxy } from './deployer.ts'

/** A TEE to believe: its root, and the code in it that may register signers from the start. */
export interface TrustedTee {
  /** DER. Any but Intel's is that of a simulated TEE, which only chain ids 31337 and 1337 accept. */
  rootCertificate: Uint8Array
  /** keccak256(MRTD ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID) each. Governance can allow more, the guardian can remove any. */
  measurements: string[]
}

export interface AttestationParameters {
  /** Seconds after which a registration has to be renewed; at most a week. */
  lifetime: bigint
  /** Collateral below this evaluation number of Intel's is refused. */
  minimumEvaluation: bigint
  /** Where it is absent, `deploy` has to be given one. */
  tee?: TrustedTee
}

/** What authenticates collateral, what verifies quotes by it, and the registry of those they prove. Only the last can be upgraded. */
export async function deployAttestation(deployer: Deployer, manager: AccessManager, parameters: AttestationParameters & { tee: TrustedTee }): Promise<void> {
  const { tee, lifetime, minimumEvaluation } = parameters
  const reader = await deployer.contract('CollateralReader', new CollateralReader__factory(), [])
  const linked = new CollateralRegistry__factory({ 'project/contracts/attestation/CollateralReader.sol:CollateralReader': reader })
  const collateral = await deployer.contract('CollateralRegistry', linked, [hexlify(tee.rootCertificate)])
  const verifier = await deployer.contract('QuoteVerifier', new QuoteVerifier__factory(), [collateral])
  const implementation = await deployer.implementation('TeeSignerRegistry', new TeeSignerRegistry__factory())

  const contract = TeeSignerRegistry__factory.createInterface()
  const initialization = [await manager.getAddress(), verifier, lifetime, minimumEvaluation, tee.measurements] as const
  const { name, factory, args } = proxy('TeeSignerRegistry', implementation, () => contract.encodeFunctionData('initialize', [...initialization]))
  const registry: GovernedContract = { name, address: await deployer.contract(name, factory, args({})), interface: contract as Interface }
  await allow(deployer, manager, registry, 'GOVERNOR', ['allowMeasurement', 'setVerifier', 'setMinimumEvaluation'])
  await allow(deployer, manager, registry, 'GUARDIAN', ['removeMeasurement', 'revoke'])
  await allow(deployer, manager, registry, 'UPGRADER', ['upgradeToAndCall'])
}
