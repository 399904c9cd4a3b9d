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

/** Data availability on a network. Signers, epochs and certificates are one contract, at `address`. */
export interface DaContracts {
  address: string
  signers: IDASigners
  epochs: IDAEpochs
  certificates: IDACertificates
  payments: IBlobPayments
  rewards: ISamplingRewards
  challenges: IAvailabilityChallenges
}

/** Connects the contracts of an address book. @throws PerigeeError NOT_FOUND when the network has none */
export function connectDa(addresses: Record<string, string>, runner: ContractRunner): DaContracts {
  const address = addressNamed('DataAvailability', addresses)
  return {
    address,
    signers: IDASigners__factory.connect(address, runner),
    epochs: IDAEpochs__factory.connect(address, runner),
    certificates: IDACertificates__factory.connect(address, runner),
    payments: contractNamed('BlobPayments', addresses, runner),
    rewards: contractNamed('SamplingRewards', addresses, runner),
    challenges: contractNamed('AvailabilityChallenges', addresses, runner),
  }
}
