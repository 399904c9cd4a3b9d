import type { TrustedTee } from '../deploy/attestation.ts'
import { openSimulatedRoot } from '../sdk/attestation/simulated.ts'
import { simulatedMeasurement } from '../sdk/attestation/simulated-machine.ts'

/** Keepers that run in an enclave. */
const ENCLAVES = ['compute/provider', 'compute/tuning']

/** What the registry of a local network is to believe: the root in `file`, made when it is not there, and the code of our own keepers. */
export function trustedTee(file: string): TrustedTee {
  return { rootCertificate: openSimulatedRoot(file).pki.rootCertificate, measurements: ENCLAVES.map(simulatedMeasurement) }
}
