import { Command } from 'commander'
import type { FileTree } from '../../../protocol/storage/merkle.ts'
import { sectorsOf } from '../../../protocol/storage/submission.ts'
import { fileTree } from '../../storage/file-root.ts'
import { openSource } from '../../storage/source.ts'
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
  print({ root: tree.root, size: tree.size, sectors: sectorsOf(tree.nodes()) }, flags, () => tree.root)
}

/** The tree of a local file, with a bar while it is hashed. */
export async function rootOfFile(file: string, flags: { json?: boolean | undefined }): Promise<FileTree> {
  const source = await openSource(file)
  const progress = startProgress(flags)
  try {
    return await fileTree(source.path, { signal: interruptible(), onProgress: (done) => progress.update('hashing', done, source.size) })
  } finally {
    progress.stop()
    await source.close()
  }
}
