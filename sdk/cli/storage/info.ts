import { Command } from 'commander'
import { sectorsOf } from '../../../protocol/storage/submission.ts'
import { connectFlow } from '../../contracts.ts'
import { findHolders } from '../../storage/holders.ts'
import { leaseEnd } from '../../storage/lease.ts'
import { interruptible, logOf, type NetworkFlags, networkOf, nodesOf, providerOf, withNetworkOptions } from '../options.ts'
import { print, record, time } from '../output.ts'

export function infoCommand(): Command {
  return withNetworkOptions(
    new Command('info').description('what the network knows of a file: size, submission, lease, who holds it').argument('<root>'),
  ).action(info)
}

async function info(root: string, flags: NetworkFlags): Promise<void> {
  const network = networkOf(flags)
  const signal = interruptible()
  const file = await findHolders(root.toLowerCase(), { ...nodesOf(network, flags), log: logOf(network), signal })
  const { node, info } = file.holders[0]!
  const { seq, startEntryIndex, merkleNodes } = info.tx
  const sectors = sectorsOf(merkleNodes.map(([depth]) => ({ height: depth - 1 })))
  const { networkIdentity } = await node.status({ signal })
  const [receipt, contracts] = await Promise.all([node.keptReceipt(seq, { signal }), connectFlow(networkIdentity.flowAddress, providerOf(network.chain))])
  const until = await leaseEnd(contracts, { seq, startSector: startEntryIndex, sectors })
  const result = {
    root: file.root,
    size: file.shape.size,
    segments: file.shape.segments,
    sectors,
    seq,
    startSector: startEntryIndex,
    paidUntil: until,
    nodes: file.holders.map(({ node, shard }) => ({ url: node.url, ...shard })),
    culprits: file.culprits,
    receipt,
  }
  print(result, flags, () =>
    record([
      ['root', result.root],
      ['size', `${result.size} bytes, ${result.segments} segments`],
      ['submission', `${seq}, sectors ${startEntryIndex} to ${startEntryIndex + sectors - 1} of the log`],
      ['paid until', until === undefined ? 'this network has no leases' : time(until)],
      ['nodes', result.nodes.map(({ url }) => url).join(' ')],
      ...file.culprits.map(({ url, reason }): [string, string] => ['not', `${url}: ${reason}`]),
      ['receipt', receipt ? `by ${receipt.node}, until ${time(receipt.until)}` : 'none given'],
    ]),
  )
}
