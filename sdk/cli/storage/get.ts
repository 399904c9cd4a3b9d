import { Command } from 'commander'
import { type DownloadResult, download } from '../../storage/download.ts'
import { interruptible, logOf, type NetworkFlags, networkOf, nodesOf, withNetworkOptions } from '../options.ts'
import { notice, print, record } from '../output.ts'
import { startProgress } from '../progress.ts'
import { decryptionKeys } from './keys.ts'

interface GetFlags extends NetworkFlags {
  force?: boolean
  decrypt?: boolean
  keyFile?: string
}

export function getCommand(): Command {
  return withNetworkOptions(
    new Command('get')
      .description('fetch a file and verify every byte; run again, it goes on where it was')
      .argument('<root>')
      .argument('<file>', 'where it goes'),
  )
    .option('--force', 'replace an existing file')
    .option('--decrypt', 'decrypt with ENCRYPTION_KEY or --key-file, or with PRIVATE_KEY what was encrypted to its public key')
    .option('--key-file <file>', 'file with the shared key')
    .action(get)
}

async function get(root: string, to: string, flags: GetFlags): Promise<void> {
  const decryption = flags.decrypt ? await decryptionKeys(flags.keyFile) : undefined
  const network = networkOf(flags)
  const progress = startProgress(flags)
  let result: DownloadResult
  try {
    result = await download(root.toLowerCase(), to, {
      ...nodesOf(network, flags),
      log: logOf(network),
      force: flags.force,
      decryption,
      signal: interruptible(),
      onProgress: (done, total) => progress.update('downloading', done, total),
    })
  } finally {
    progress.stop()
  }
  for (const { url, lied, reason } of result.culprits) notice(`warning: ${url} ${lied ? 'LIED' : 'was no help'}: ${reason}`, flags)
  if (result.keyVerified === false)
    notice('warning: another client encrypted this file, and nothing in it tells whether the key is right: look at what came out', flags)
  print({ ...result, file: to }, flags, () =>
    record([
      ['file', to],
      ['root', `${result.root} (verified)`],
      ['size', `${result.size} bytes${decryption ? ' stored; decrypted' : ''}`],
      ['from', result.sources.map(({ url, segments }) => `${url} (${segments} segments)`).join(' ') || 'what was fetched before'],
      ...(result.resumed > 0 ? ([['resumed', `${result.resumed} segments were already there`]] as [string, string][]) : []),
    ]),
  )
}
