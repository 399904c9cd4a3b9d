import { Command } from 'commander'
import { formatEther } from 'ethers'
import { refund } from '../../compute/ledger.ts'
import { print } from '../output.ts'
import { describe } from './balance.ts'
import { actorOf, address, type ComputeFlags, withComputeOptions } from './options.ts'

interface RefundFlags extends ComputeFlags {
  provider?: string[]
}

export function refundCommand(): Command {
  return withComputeOptions(
    new Command('refund').description('take money home: as much as is free now; what providers may still claim waits, run it again when the wait is over'),
  )
    .option('--provider <address>', 'from this provider only, back into the ledger; may be repeated', (value: string, before: string[] = []) => [
      ...before,
      address(value),
    ])
    .action(run)
}

async function run(flags: RefundFlags): Promise<void> {
  const { contracts, signer } = await actorOf(flags)
  const result = await refund(contracts, signer, { providers: flags.provider })
  print(result, flags, () =>
    [
      result.withdrawn > 0n ? `${formatEther(result.withdrawn)} coins sent to ${result.user}` : 'nothing to withdraw yet',
      ...result.waiting.map((account) => `${account.provider}: ${describe(account)}`),
    ].join('\n'),
  )
}
