import { Command } from 'commander'
import { describeFault } from '../../da/locate.ts'
import { type AvailabilityVerdict, verifyBlob } from '../../da/verify.ts'
import { PerigeeError } from '../../errors.ts'
import { interruptible, positiveInteger } from '../options.ts'
import { notice, print, record, time } from '../output.ts'
import { blobId, type DaFlags, networkOf, type SignerReach, withReader, withSigners } from './options.ts'

interface VerifyFlags extends DaFlags, SignerReach {
  bits: number
}

export function verifyCommand(): Command {
  return withSigners(
    new Command('verify').description('check as a light client that a blob is available: its certificate, and random rows').argument('<blob id>', '', blobId),
  )
    .option('--bits <n>', 'how certain to be: wrong with a chance of at most 2^-n', positiveInteger, 40)
    .action(verify)
}

async function verify(id: string, flags: VerifyFlags): Promise<void> {
  const verdict = await withReader(networkOf(flags), (reader) => verifyBlob(reader, id, { bits: flags.bits, signal: interruptible() }), flags)
  for (const fault of verdict.faults) notice(`warning: ${describeFault(fault)}`, flags)
  if (!verdict.available) {
    throw new PerigeeError('VERIFICATION_FAILED', `the blob ${id} is certified, but ${verdict.answered} of ${verdict.samples} samples alone could be had`, {
      details: verdict.faults.map(describeFault),
      wayOut: 'Samples leave it open whether the blob can be recovered: `perigee da get` tells.',
    })
  }
  print(verdict, flags, () => record(describe(verdict)))
}

const describe = ({ blobId, blob, certificate, samples, answered, chance }: AvailabilityVerdict): [string, string | number][] => [
  ['blob', blobId],
  ['size', `${blob.length} bytes`],
  ['certified', `${time(certificate.certifiedAt)}, epoch ${certificate.epoch} (on chain)`],
  ['samples', `${answered} of ${samples} answered and verified`],
  ['chance', `${chance > 0 ? `2^${Math.ceil(Math.log2(chance))}` : '0'} at most to see this if the blob were lost`],
]
