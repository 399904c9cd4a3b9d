import { type TypedDataDomain, TypedDataEncoder } from 'ethers'

// What the TEE signer of a fine-tuning provider signs to be paid (EIP-712), as FineTuningServing verifies it.

export const SETTLEMENT_TYPES = {
  Settlement: [
    { name: 'provider', type: 'address' },
    { name: 'user', type: 'address' },
    { name: 'id', type: 'string' },
    { name: 'modelRootHash', type: 'bytes32' },
    { name: 'fee', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'encryptedSecret', type: 'bytes' },
  ],
}

/** The settlement of one deliverable. */
export interface TuningSettlement {
  provider: string
  user: string
  /** UUID of the task. */
  id: string
  /** Hex, 32 bytes. */
  modelRootHash: string
  /** Wei, as stated at delivery. */
  fee: bigint
  /** Above that of the account's last settlement. */
  nonce: bigint
  /** Hex; empty (0x) while the user has not acknowledged. */
  encryptedSecret: string
}

export const tuningDomain = (chainId: number, contract: string): TypedDataDomain => ({
  name: 'Perigee Fine-Tuning',
  version: '1',
  chainId,
  verifyingContract: contract,
})

export const settlementDigest = (domain: TypedDataDomain, settlement: TuningSettlement): string => TypedDataEncoder.hash(domain, SETTLEMENT_TYPES, settlement)
