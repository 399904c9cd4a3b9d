import { Command, InvalidArgumentError } from 'commander'
import { isAddress } from 'ethers'
import { connectFlow } from '../../contracts.ts'
import { reasonOf } from '../../errors.ts'
import type { StorageNodeClient } from '../../storage/node-client.ts'
import { place } from '../../storage/placement.ts'
import { listSubmissions } from '../../storage/submissions.ts'
import { interruptible, type NetworkFlags, networkOf, nodesOf, positiveInteger, providerOf, withNetworkOptions } from '../options.ts'
import { bytes, print, table } from '../output.ts'
import { walletOf } from '../signer.ts'

interface LsFlags extends NetworkFlags {
  keystore?: string
  account?: string
  all?: boolean
  limit: number
  fromBlock?: number
}

export function lsCommand(): Command {
  return withNetworkOptions(new Command('ls').description('list submissions, newest first'))
    .option('--account <address>', 'of this account (default: the one that `put` would pay with)', address)
    .option('--all', 'of every account')
    .option('--keystore <file>', 'of the account in this file; its password in KEYSTORE_PASSWORD')
    .option('--limit <n>', 'at most so many', positiveInteger, 50)
    .option('--from-block <n>', 'look no further back than this block', positiveInteger)
    .action(ls)
}

async function ls(flags: LsFlags): Promise<void> {
  const network = networkOf(flags)
  const signal = interruptible()
  const account = flags.all ? undefined : (flags.account ?? (await walletOf(network, flags)).address)
  const { chosen, identity } = await place({ ...nodesOf(network, flags), replicas: 1, signal })
  const { flow } = await connectFlow(identity.contract, providerOf(network.chain))
  const found = await listSubmissions({ flow }, { account, limit: flags.limit, fromBlock: flags.fromBlock, signal })
  const submissions = await Promise.all(found.map(async (submission) => ({ ...submission, state: await stateOf(chosen[0]!.node, submission.seq) })))
  print(submissions, flags, () =>
    table(
      ['seq', 'root', 'size', 'state', 'block'],
      submissions.map(({ seq, root, size, state, block }) => [seq, root, bytes(size), state, block]),
    ),
  )
}

/** What a node makes of a submission. */
export async function stateOf(node: StorageNodeClient, seq: number): Promise<string> {
  const info = await node.fileBySeq(seq, { retries: 0 }).catch((error) => reasonOf(error))
  if (typeof info === 'string') return info
  if (!info) return 'unknown'
  if (info.pruned) return 'pruned'
  return info.finalized ? 'finalized' : `${info.uploadedSegNum} segments`
}

function address(value: string): string {
  if (isAddress(value)) return value
  throw new InvalidArgumentError('An address is expected.')
}
