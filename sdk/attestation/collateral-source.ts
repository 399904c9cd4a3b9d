import type { Collateral } from '../../protocol/attestation/collateral.ts'
import { openSimulatedRoot } from './simulated.ts'

/** Which collateral: that of a kind of platform, for quotes of one kind of TEE. */
export interface CollateralRequest {
  /** 12 hex digits: family, model, stepping, platform and SKU of the processor, as its PCK certificate names them. */
  fmspc: string
  tee: 'tdx' | 'sgx'
  /** Who certified the platform: its PCK certificate's issuer. */
  ca: 'platform' | 'processor'
}

/** Where collateral comes from. What it gives is unproven until somebody checks the signatures: the chain does, and so does `verifyQuote`. */
export interface CollateralSource {
  /** For messages. */
  readonly name: string
  /** @throws PerigeeError NETWORK when it cannot be had, VERIFICATION_FAILED when what came is not collateral */
  collateral(request: CollateralRequest, signal?: AbortSignal): Promise<Collateral>
}

/** The PKI of a simulated TEE. @param now what the collateral is dated by */
export function simulatedSource(file: string, now: () => Promise<Date>): CollateralSource {
  return {
    name: file,
    // Read each time: a local network that is started afresh has another root.
    collateral: async () => openSimulatedRoot(file).pki.collateral(await now()),
  }
}
