import type { ContractRunner } from 'ethers'
import {
  type IAvailabilityChallenges,
  type IBlobPayments,
  type IDACertificates,
  IDACertificates__factory,
  type IDAEpochs,
  IDAEpochs__factory,
  type IDASigners,
  IDASigners__factory,
  type ISamplingRewards,
} from '../../typechain-types/index.ts'
import { addressNamed, contractNamed } from '../contracts.ts'

/** Signers, epochs and certificates: one contract, at `address`. All that reading blobs takes. */
export interface AvailabilityContract {
  address: string
  signers: IDASigners
  epochs: IDAEpochs
  certificates: IDACertificates
}

/** Data availability on a network. */
export interface DaContracts extends AvailabilityContract {
  payments: IBlobPayments
  rewards: ISamplingRewards
  challenges: IAvailabilityChallenges
}

/** Connects the contracts of an address book. @throws PerigeeError NOT_FOUND when the network has none */
export function connectDa(addresses: Record<string, string>, runner: ContractRunner): DaContracts {
  return {
    ...connectAvailability(addressNamed('DataAvailability', addresses), runner),
    payments: contractNamed('BlobPayments', addresses, runner),
    rewards: contractNamed('SamplingRewards', addresses, runner),
    challenges: contractNamed('AvailabilityChallenges', addresses, runner),
  }
}

/** Connects DataAvailability alone. */
export const connectAvailability = (address: string, runner: ContractRunner): AvailabilityContract => ({
  address,
  signers: IDASigners__factory.connect(address, runner),
  epochs: IDAEpochs__factory.connect(address, runner),
  certificates: IDACertificates__factory.connect(address, runner),
})
