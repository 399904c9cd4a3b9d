import { stat } from 'node:fs/promises'
import { Command } from 'commander'
import { sectorsOf } from '../../../protocol/storage/submission.ts'
import { fileTree } from '../../storage/file-root.ts'
import { interruptible } from '../options.ts'
import { print } from '../output.ts'
import { startProgress } from '../progress.ts'

export function rootCommand(): Command {
  return new Command('root')
    .description('compute the root of a file on this machine')
    .argument('<file>')
    .option('--json', 'print the result as JSON')
    .action(root)
}

async function root(file: string, flags: { json?: boolean }): Promise<void> {
  const tree = await rootOfFile(file, flags)
  const { size } = await stat(file)
  const sectors = sectorsOf(tree.nodes())
  print({ root: tree.root, size, sectors }, flags, () => tree.root)
}

/** The tree of a local file, with a bar while it is hashed. */
export async function rootOfFile(file: string, flags: { json?: boolean | undefined }): Promise<Awaited<ReturnType<typeof fileTree>>> {
  const { size } = await stat(file)
  const progress = startProgress(flags)
  try {
    return await fileTree(file, { signal: interruptible(), onProgress: (done) => progress.update('hashing', done, size) })
  } finally {
    progress.stop()
  }
}
