import { connect } from '../deploy/networks.ts'
import { computeTour } from './compute-tour.ts'
import { daTour } from './da-tour.ts'
import type { DevnetFile } from './devnet-file.ts'
import type { Module } from './modules.ts'
import { say } from './progress.ts'
import { storageTour } from './storage-tour.ts'

/** Shows the main job of every module that runs. */
export async function tour(file: DevnetFile, folder: string, modules: Module[]): Promise<void> {
  const provider = connect(file.chain.rpcUrl)
  try {
    say('\nA guided tour.')
    if (modules.includes('storage')) await storageTour(file, provider, folder)
    if (modules.includes('compute')) await computeTour(file, provider)
    if (modules.includes('da')) await daTour(file, provider)
    say('That was the tour. The network stays up for you: see the README for a script of your own.\n')
  } finally {
    provider.destroy()
  }
}
