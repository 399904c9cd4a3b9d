import type { ContractRunner } from 'ethers'
import type { IBonds, IInferenceServing, ILedgerManager, ITeeSignerRegistry } from '../../typechain-types/index.ts'
import { contractNamed } from '../contracts.ts'

/** The compute marketplace of a network. */
export interface ComputeContracts {
  ledger: ILedgerManager
  inference: IInferenceServing
  registry: ITeeSignerRegistry
  bonds: IBonds
}

/** Connects the marketplace's contracts of an address book. @throws PerigeeError NOT_FOUND when the network has none. */
export function connectCompute(addresses: Record<string, string>, runner: ContractRunner): ComputeContracts {
  return {
    ledger: contractNamed('LedgerManager', addresses, runner),
    inference: contractNamed('InferenceServing', addresses, runner),
    registry: contractNamed('TeeSignerRegistry', addresses, runner),
    bonds: contractNamed('Bonds', addresses, runner),
  }
}

/** The ledger's name of a service, which its own functions take. @throws as the ledger does when the service is not registered. */
export async function serviceName(ledger: ILedgerManager, service: { getAddress(): Promise<string> }): Promise<string> {
  return (await ledger.getServiceInfo(await service.getAddress())).fullName
}
