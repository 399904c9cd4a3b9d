import { dstackTee } from './dstack.ts'
import { openSimulatedRoot, simulatedTee } from './simulated.ts'
import type { Tee } from './tee.ts'

export interface OpenTeeOptions {
  /** What runs, "compute/provider". */
  application: string
  /** Which one of them, "compute/provider/0". */
  instance: string
  /** File of the simulated root that a local network shares; created when missing. Without it, the TEE is dstack's. */
  simulated?: string | undefined
  /** Where dstack's guest agent listens: a socket, or the URL of a forwarded one. */
  dstack?: string | undefined
}

/** The TEE that a keeper runs in. The simulated one protects nothing, and development chains only accept its quotes. */
export function openTee({ application, instance, simulated, dstack = '/var/run/dstack.sock' }: OpenTeeOptions): Tee {
  if (simulated === undefined) return dstackTee(dstack)
  return simulatedTee({ root: openSimulatedRoot(simulated), application, instance })
}
