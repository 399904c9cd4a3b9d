import { Command } from 'commander'
import { formatEther, getBytes, isHexString } from 'ethers'
import type { Recipient } from '../../../protocol/storage/encryption.ts'
import { PerigeeError } from '../../errors.ts'
import { defaultReceiptFolder, storeReceipts } from '../../storage/receipts.ts'
import { type UploadResult, upload } from '../../storage/upload.ts'
import { interruptible, type NetworkFlags, networkOf, nodesOf, positiveInteger, withNetworkOptions } from '../options.ts'
import { bytes, notice, print, record } from '../output.ts'
import { startProgress } from '../progress.ts'
import { signerOf } from '../signer.ts'
import { sharedKey } from './keys.ts'

interface PutFlags extends NetworkFlags {
  keystore?: string
  replicas?: number
  required?: number
  tags?: string
  encrypt?: boolean
  encryptTo?: string
  keyFile?: string
  forceNewLease?: boolean
  receipts: string
  timeout?: number
}

export function putCommand(): Command {
  return withNetworkOptions(
    new Command('put').description('store a file; run again, it goes on where it was').argument('<file>', 'path, or - for standard input'),
  )
    .option('--keystore <file>', 'account that pays; its password in KEYSTORE_PASSWORD (default: PRIVATE_KEY)')
    .option('--replicas <n>', 'copies to send (default: 2, or 1 where there are no two nodes)', positiveInteger)
    .option('--required <n>', 'copies that must be final for success', positiveInteger, 1)
    .option('--tags <hex>', 'tags of the submission')
    .option('--encrypt', 'encrypt with the shared key in ENCRYPTION_KEY or --key-file')
    .option('--encrypt-to <public key>', 'encrypt so that only the holder of the private key can read')
    .option('--key-file <file>', 'file with the shared key')
    .option('--force-new-lease', 'pay again for a file that is already stored')
    .option('--receipts <folder>', "where the nodes' signed receipts go", defaultReceiptFolder())
    .option('--timeout <seconds>', 'for each thing that is waited for', positiveInteger, 120)
    .action(put)
}

async function put(file: string, flags: PutFlags): Promise<void> {
  const encryption = await recipientOf(flags)
  const network = networkOf(flags)
  const progress = startProgress(flags)
  let result: UploadResult
  try {
    result = await upload(file === '-' ? process.stdin : file, {
      ...nodesOf(network, flags),
      signer: await signerOf(network, flags),
      replicas: flags.replicas,
      required: flags.required,
      tags: flags.tags,
      encryption,
      forceNewLease: flags.forceNewLease,
      timeout: (flags.timeout ?? 120) * 1000,
      signal: interruptible(),
      onProgress: ({ phase, done, total }) => progress.update(PHASES[phase], done, total),
    })
  } finally {
    progress.stop()
  }
  for (const { url, finalized, failure } of result.nodes)
    if (failure) notice(`warning: ${url} ${finalized ? 'has the file, but' : 'was given up:'} ${failure}`, flags)
  const receipts = await storeReceipts(
    flags.receipts,
    result.nodes.flatMap(({ receipt }) => receipt ?? []),
  )
  print({ ...result, receipts }, flags, () =>
    record([
      ['root', result.root],
      ['size', `${result.size} bytes`],
      ['submission', result.seq],
      ['paid', result.transaction ? `${formatEther(result.fee)} in ${result.transaction}` : 'nothing: it was paid for before'],
      ['sent', bytes(result.sent)],
      [
        'nodes',
        result.nodes
          .filter(({ finalized }) => finalized)
          .map(({ url }) => url)
          .join(' '),
      ],
      ['receipts', receipts ?? 'none given'],
    ]),
  )
}

const PHASES = { hash: 'hashing', submit: 'paying', send: 'sending', finality: 'finalizing' }

async function recipientOf({ encrypt, encryptTo, keyFile }: PutFlags): Promise<Recipient | undefined> {
  if (encryptTo !== undefined) {
    const publicKey = encryptTo.startsWith('0x') ? encryptTo : `0x${encryptTo}`
    if (encrypt || !isHexString(publicKey))
      throw new PerigeeError('USAGE', encrypt ? '--encrypt and --encrypt-to exclude each other' : `not a public key: ${encryptTo}`)
    return { publicKey: getBytes(publicKey) }
  }
  if (!encrypt) return undefined
  const key = await sharedKey(keyFile)
  if (!key)
    throw new PerigeeError('USAGE', 'there is no key to encrypt with', {
      wayOut: 'Set ENCRYPTION_KEY or --key-file to 32 bytes, for example from `openssl rand -hex 32`.',
    })
  return { key }
}
