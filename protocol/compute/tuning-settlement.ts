import { type TypedDataDomain, TypedDataEncoder } from 'ethers'

// What the TEE signer of a fine-tuning provider signs to be paid (EIP-712). Compute §3.

export const VERIFIER_MESSAGE_TYPES = {
  VerifierMessage: [
    { name: 'id', type: 'string' },
    { name: 'encryptedSecret', type: 'bytes' },
    { name: 'modelRootHash', type: 'bytes' },
    { name: 'nonce', type: 'uint256' },
    { name: 'taskFee', type: 'uint256' },
    { name: 'user', type: 'address' },
  ],
}

/** The settlement of one deliverable; `encryptedSecret` is empty (0x) while the user has not acknowledged it. */
export interface VerifierMessage {
  id: string
  /** Hex. */
  encryptedSecret: string
  /** Hex. */
  modelRootHash: string
  nonce: bigint
  /** Wei. */
  taskFee: bigint
  user: string
}

export const fineTuningDomain = (chainId: number, contract: string): TypedDataDomain => ({
  name: 'Perigee Fine-Tuning',
  version: '1',
  chainId,
  verifyingContract: contract,
})

export const verifierDigest = (domain: TypedDataDomain, message: VerifierMessage): string => TypedDataEncoder.hash(domain, VERIFIER_MESSAGE_TYPES, message)
