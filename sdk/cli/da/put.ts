import { createReadStream } from 'node:fs'
import { Command } from 'commander'
import { formatEther } from 'ethers'
import { MAX_BLOB_BYTES } from '../../../protocol/da/codes.ts'
import { contractNamed } from '../../contracts.ts'
import { persistBlob } from '../../da/persist.ts'
import { type PutResult, putBlob } from '../../da/put.ts'
import { PerigeeError, reasonOf } from '../../errors.ts'
import { interruptible, nodesOf, positiveInteger } from '../options.ts'
import { notice, print, record } from '../output.ts'
import { startProgress } from '../progress.ts'
import { signerOf } from '../signer.ts'
import { type DaFlags, networkOf, withAccount, withDisperser, withDisperserOf, withReader } from './options.ts'

interface PutFlags extends DaFlags {
  pay?: boolean
  persist?: boolean
  timeout: number
}

export function putCommand(): Command {
  return withAccount(
    withDisperser(
      new Command('put').description('publish a blob, and wait for its certificate on chain').argument('<file>', `path, or - for standard input; up to 32 MiB`),
    ),
  )
    .option('--pay', 'pay for it, from what was deposited; else the disperser pays if it is willing')
    .option('--persist', 'store it in storage too, where it outlives the retention of blobs')
    .option('--timeout <seconds>', 'until there must be a certificate', positiveInteger, 120)
    .action(put)
}

async function put(file: string, flags: PutFlags): Promise<void> {
  const network = networkOf(flags)
  const data = await readBlob(file)
  const payer = flags.pay || flags.persist ? await signerOf(network, flags) : undefined
  const signal = interruptible()
  const result = await withReader(network, (reader) =>
    withDisperserOf(network, flags, (disperser) =>
      putBlob(reader, disperser, data, {
        payment: flags.pay ? { payer: payer!, payments: contractNamed('BlobPayments', network.contracts, payer!) } : undefined,
        timeout: flags.timeout * 1000,
        signal,
        onProgress: (state) => notice(state.toLowerCase(), flags),
      }),
    ),
  )
  const stored = flags.persist ? await persist(result.blobId) : undefined
  print({ ...result, ...(stored && { storage: { root: stored.root, seq: stored.seq } }) }, flags, () =>
    record([...describe(result), ...(stored ? ([['storage', stored.root]] as [string, string][]) : [])]),
  )

  async function persist(blobId: string) {
    const progress = startProgress(flags)
    try {
      const onProgress = ({ phase, done, total }: { phase: string; done: number; total: number }): void => progress.update(phase, done, total)
      return await persistBlob(blobId, data, { ...nodesOf(network, {}), signer: payer!, signal, onProgress })
    } catch (error) {
      throw notStored(blobId, error)
    } finally {
      progress.stop()
    }
  }
}

/** The blob is published all the same: its id must not be lost. */
function notStored(blobId: string, error: unknown): unknown {
  if (!(error instanceof PerigeeError)) return error
  return new PerigeeError(error.code, `the blob ${blobId} is published, but not stored: ${error.shortMessage}`, {
    details: error.details,
    wayOut: `Store its file: \`perigee storage put --tags ${blobId}\`.`,
    cause: error,
  })
}

const describe = ({ blobId, blob, requestId, certificate, signedWeight, totalWeight, fee, transaction, elapsed }: PutResult): [string, string | number][] => [
  ['blob', blobId],
  ['size', `${blob.length} bytes`],
  ['request', requestId],
  ['epoch', certificate.epoch],
  ['batch', `${certificate.batchRoot}, leaf ${certificate.index}`],
  ['signed', `${percent(signedWeight, totalWeight)} of the stake`],
  ['paid', fee > 0n ? formatEther(fee) : 'by the disperser'],
  ...(transaction ? ([['transaction', transaction]] as [string, string][]) : []),
  ...(elapsed ? ([['certified', `in ${(elapsed / 1000).toFixed(2)} s`]] as [string, string][]) : []),
]

export const percent = (part: bigint, total: bigint): string => (total > 0n ? `${(Number((part * 10_000n) / total) / 100).toFixed(2)}%` : 'nothing')

/** Reads a file into memory, unless it is too large for a blob. */
async function readBlob(file: string): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of file === '-' ? process.stdin : createReadStream(file)) {
      parts.push(part)
      size += part.length
      if (size > MAX_BLOB_BYTES) throw new PerigeeError('USAGE', `the file has more than the ${MAX_BLOB_BYTES} bytes that a blob may have`)
    }
  } catch (error) {
    if (error instanceof PerigeeError) throw error
    throw new PerigeeError((error as NodeJS.ErrnoException).code === 'ENOENT' ? 'NOT_FOUND' : 'USAGE', `cannot read ${file}: ${reasonOf(error)}`, {
      cause: error,
    })
  }
  return Buffer.concat(parts)
}
