import { Command } from 'commander'
import { PerigeeError } from '../../errors.ts'
import { auditHolder } from '../../storage/download.ts'
import { findHolders } from '../../storage/holders.ts'
import { interruptible, logOf, type NetworkFlags, networkOf, nodesOf, withNetworkOptions } from '../options.ts'
import { print, table } from '../output.ts'
import { startProgress } from '../progress.ts'
import { rootOfFile } from './root.ts'

export function verifyCommand(): Command {
  return withNetworkOptions(
    new Command('verify')
      .description('check that a file on this machine has a root; or, without a file, that every node that claims the root serves it')
      .argument('<root>')
      .argument('[file]'),
  ).action((root: string, file: string | undefined, flags: NetworkFlags) =>
    file === undefined ? verifyNodes(root.toLowerCase(), flags) : verifyFile(root.toLowerCase(), file, flags),
  )
}

async function verifyFile(root: string, file: string, flags: NetworkFlags): Promise<void> {
  const tree = await rootOfFile(file, flags)
  if (tree.root !== root)
    throw new PerigeeError('VERIFICATION_FAILED', `${file} is not the file of this root`, { details: [`its root is ${tree.root}`, `expected ${root}`] })
  print({ root, file, ok: true }, flags, () => `${file}: ok`)
}

async function verifyNodes(root: string, flags: NetworkFlags): Promise<void> {
  const signal = interruptible()
  const network = networkOf(flags)
  const file = await findHolders(root, { ...nodesOf(network, flags), log: logOf(network), signal })
  const results = file.culprits.map(({ url, reason }) => ({ url, ok: false, state: reason }))
  for (const holder of file.holders) {
    const progress = startProgress(flags)
    let done = 0
    const onSegment = (): void => progress.update(new URL(holder.node.url).host, ++done, file.shape.segments)
    const culprit = await auditHolder(file, holder, { signal, onSegment }).finally(() => progress.stop())
    results.push({ url: holder.node.url, ok: !culprit, state: culprit?.reason ?? `all ${file.shape.segments} segments verified` })
  }
  print({ root, size: file.shape.size, nodes: results }, flags, () =>
    table(
      ['node', 'state'],
      results.map(({ url, state }) => [url, state]),
    ),
  )
  const bad = results.filter(({ ok }) => !ok)
  if (bad.length > 0)
    throw new PerigeeError('VERIFICATION_FAILED', `${bad.length} of ${results.length} nodes do not serve the file`, {
      details: bad.map(({ url, state }) => `${url}: ${state}`),
    })
}
