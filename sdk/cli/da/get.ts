import { writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import { describeFault } from '../../da/locate.ts'
import { retrieveFromStorage } from '../../da/persist.ts'
import { retrieve } from '../../da/retrieve.ts'
import { PerigeeError, reasonOf } from '../../errors.ts'
import type { Network } from '../../network.ts'
import { interruptible, logOf, nodesOf } from '../options.ts'
import { notice, print, record } from '../output.ts'
import { startProgress } from '../progress.ts'
import { blobId, type DaFlags, networkOf, type SignerReach, withReader, withSigners } from './options.ts'

interface GetFlags extends DaFlags, SignerReach {
  output: string
  force?: boolean
  fromStorage?: string
}

export function getCommand(): Command {
  return withSigners(new Command('get').description('fetch a blob from its signers; exactly the bytes that were published').argument('<blob id>', '', blobId))
    .requiredOption('-o, --output <file>', 'where it goes, or - for standard output')
    .option('--force', 'replace an existing file')
    .option('--from-storage <root>', 'from storage, where it was anchored (put --persist)')
    .action(get)
}

interface Fetched {
  blobId: string
  bytes: Uint8Array
  sources: string[]
  warnings: string[]
  facts: Record<string, unknown>
}

async function get(id: string, flags: GetFlags): Promise<void> {
  const network = networkOf(flags)
  const { bytes, sources, warnings, facts } = await (flags.fromStorage ? fromStorage(network, id, flags.fromStorage, flags) : fromSigners(network, id, flags))
  for (const warning of warnings) notice(`warning: ${warning}`, flags)
  if (flags.output === '-') {
    process.stdout.write(bytes)
    return
  }
  await write(flags.output, bytes, flags.force ?? false)
  print({ blobId: id, file: flags.output, size: bytes.length, ...facts }, flags, () =>
    record([
      ['file', flags.output],
      ['blob', `${id} (verified)`],
      ['size', `${bytes.length} bytes`],
      ['from', sources.join(' ')],
    ]),
  )
}

async function fromSigners(network: Network, id: string, flags: GetFlags): Promise<Fetched> {
  return withProgress(flags, async (onProgress) => {
    const found = await withReader(network, (reader) => retrieve(reader, id, { signal: interruptible(), onProgress }), flags)
    const { bytes, certificate, sources, faults } = found
    return {
      blobId: id,
      bytes,
      sources: sources.map(({ url, rows }) => `${url} (${rows} rows)`),
      warnings: faults.map(describeFault),
      facts: { certificate, sources, faults },
    }
  })
}

async function fromStorage(network: Network, id: string, root: string, flags: GetFlags): Promise<Fetched> {
  return withProgress(flags, async (onProgress) => {
    const options = { ...nodesOf(network, {}), log: logOf(network), signal: interruptible(), onProgress }
    const { bytes, sources, culprits } = await withReader(network, (reader) => retrieveFromStorage(reader, id, root.toLowerCase(), options))
    return {
      blobId: id,
      bytes,
      sources: sources.map(({ url, segments }) => `${url} (${segments} segments)`),
      warnings: culprits.map(({ url, lied, reason }) => `${url} ${lied ? 'LIED' : 'was no help'}: ${reason}`),
      facts: { root, sources, culprits },
    }
  })
}

async function withProgress<T>(flags: GetFlags, act: (onProgress: (done: number, total: number) => void) => Promise<T>): Promise<T> {
  const progress = startProgress(flags)
  try {
    return await act((done, total) => progress.update('fetching', done, total))
  } finally {
    progress.stop()
  }
}

async function write(file: string, bytes: Uint8Array, force: boolean): Promise<void> {
  await writeFile(file, bytes, { flag: force ? 'w' : 'wx' }).catch((cause) => {
    if (cause.code === 'EEXIST') throw new PerigeeError('USAGE', `${file} exists`, { wayOut: 'Choose another name, or use --force to replace it.' })
    throw new PerigeeError('USAGE', `cannot write ${file}: ${reasonOf(cause)}`, { cause })
  })
}
