import { hkdfSync, randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { createSimulatedPki, SimulatedPki, type SimulatedPkiJson } from '../../protocol/attestation/simulated-tee.ts'
import { PerigeeError } from '../errors.ts'
import { simulatedMachine } from './simulated-machine.ts'
import type { Tee } from './tee.ts'

const WARNING = 'SIMULATED TEE - DEVELOPMENT ONLY: whoever reads this file can pretend to be any keeper of this network'
const File = z.object({ warning: z.string(), seed: z.string().regex(/^[0-9a-f]{64}$/), pki: z.custom<SimulatedPkiJson>() })

/** What all simulated environments of one local network share: who signs their quotes, and what their keys derive from. */
export interface SimulatedRoot {
  pki: SimulatedPki
  seed: Uint8Array
}

/** Opens the root of a local network's simulated TEEs, or creates it with fresh keys when the file is not there. Keepers may do so at once. */
export function openSimulatedRoot(file: string): SimulatedRoot {
  if (!existsSync(file)) create(file)
  try {
    const { seed, pki } = File.parse(JSON.parse(readFileSync(file, 'utf8')))
    return { seed: Buffer.from(seed, 'hex'), pki: SimulatedPki.fromJSON(pki) }
  } catch (cause) {
    throw new PerigeeError('USAGE', `${file} is not the root of a simulated TEE: ${(cause as Error).message}`, {
      wayOut: 'Delete it to get a new one; signers registered so far no longer count then.',
      cause,
    })
  }
}

function create(file: string): void {
  mkdirSync(dirname(file), { recursive: true })
  const content = { warning: WARNING, seed: randomBytes(32).toString('hex'), pki: createSimulatedPki().toJSON() }
  const making = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  writeFileSync(making, `${JSON.stringify(content)}\n`, { mode: 0o600 })
  try {
    // Unlike a rename, a link never replaces the file of a process that was faster.
    linkSync(making, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(making)
  }
}

export interface SimulatedTeeOptions {
  root: SimulatedRoot
  /** What runs, "compute/provider": decides the measurement. */
  application: string
  /** Which one, "compute/provider/0": decides its keys. */
  instance: string
}

/** Not a trusted execution environment: quotes in the exact format, under a root that only development chains accept. */
export function simulatedTee({ root, application, instance }: SimulatedTeeOptions): Tee {
  const { eventLog, tcbInfo, vmConfig, ...measurement } = simulatedMachine(application, instance)
  return {
    kind: 'simulated',
    key: async (path) => new Uint8Array(hkdfSync('sha256', root.seed, 'perigee simulated tee', JSON.stringify([application, instance, path]), 32)),
    quote: async (reportData) => ({ quote: root.pki.quote({ reportData, measurement }), eventLog, tcbInfo, vmConfig }),
  }
}
