import { createRowCodec, type RowCodec } from '../../codec/rows/index.ts'
import type { AvailabilityContract } from './contracts.ts'
import { EpochReader } from './epochs.ts'
import { signersAnywhere } from './strangers.ts'
import { connectSigner, type SignerClient } from './wire.ts'

/** What reading blobs takes: the chain, the signers, and the codec that checks what they say. */
export interface DaReader {
  contracts: AvailabilityContract
  epochs: EpochReader
  codec: RowCodec
  /** The signer of that address; one connection each. @throws PerigeeError USAGE unless it is host:port */
  signerAt(url: string): SignerClient
  close(): Promise<void>
}

export interface DaReaderOptions {
  /** Of the codec; 0 (the default): this one. */
  threads?: number
  /** Connects to signers at private addresses too, as it does on local chains. */
  privateSigners?: boolean | undefined
}

/** Opens a reader. It must be closed. */
export function openDaReader(contracts: AvailabilityContract, { threads = 0, privateSigners = false }: DaReaderOptions = {}): DaReader {
  const anywhere = signersAnywhere(contracts.signers.runner, privateSigners)
  const codec = createRowCodec({ threads })
  const signers = new Map<string, SignerClient>()
  return {
    contracts,
    epochs: new EpochReader(contracts),
    codec,
    signerAt(url) {
      const known = signers.get(url)
      if (known) return known
      const client = connectSigner(url, { anywhere })
      signers.set(url, client)
      return client
    },
    async close() {
      for (const client of signers.values()) client.close()
      await codec.close()
    },
  }
}
