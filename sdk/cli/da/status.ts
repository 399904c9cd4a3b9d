import { Command } from 'commander'
import { type BlobProgress, blobStatus } from '../../da/status.ts'
import { print, record, time } from '../output.ts'
import { type DaFlags, networkOf, withDisperser, withDisperserOf, withReader } from './options.ts'
import { percent } from './put.ts'

export function statusCommand(): Command {
  return withDisperser(
    new Command('status').description('how far a blob is; its certificate as the chain has it').argument('<id>', 'of the blob, or of the request'),
  ).action(status)
}

async function status(id: string, flags: DaFlags): Promise<void> {
  const network = networkOf(flags)
  const subject = /^0x[0-9a-f]{64}$/i.test(id) ? { blobId: id.toLowerCase() } : { requestId: id }
  const progress = await withReader(network, (reader) => withDisperserOf(network, flags, (disperser) => blobStatus(reader, disperser, subject)))
  print(progress, flags, () => record(describe(progress)))
}

function describe({ state, reason, blobId, blob, certificate, signedWeight, totalWeight, transaction, elapsed }: BlobProgress): [string, string | number][] {
  return [
    ['state', state.toLowerCase()],
    ...(reason ? ([['reason', reason]] as [string, string][]) : []),
    ...(blobId ? ([['blob', blobId]] as [string, string][]) : []),
    ...(blob ? ([['size', `${blob.length} bytes`]] as [string, string][]) : []),
    ...(totalWeight > 0n ? ([['signed', `${percent(signedWeight, totalWeight)} of the stake`]] as [string, string][]) : []),
    ...(certificate
      ? ([
          ['certified', `${time(certificate.certifiedAt)}, epoch ${certificate.epoch} (on chain)`],
          ['batch', `${certificate.batchRoot}, leaf ${certificate.index}`],
        ] as [string, string][])
      : []),
    ...(transaction ? ([['transaction', transaction]] as [string, string][]) : []),
    ...(elapsed ? ([['took', `${(elapsed / 1000).toFixed(2)} s`]] as [string, string][]) : []),
  ]
}
