import { Command } from 'commander'
import { formatEther } from 'ethers'
import { balanceOf, type SubAccount } from '../../compute/ledger.ts'
import { print, record, time } from '../output.ts'
import { walletOf } from '../signer.ts'
import { address, type ComputeFlags, marketOf, withComputeOptions } from './options.ts'

interface BalanceFlags extends ComputeFlags {
  account?: string
}

export function balanceCommand(): Command {
  return withComputeOptions(new Command('balance').description('what an account has in the ledger and at providers'))
    .option('--account <address>', 'of this account (default: the one that acts)', address)
    .action(run)
}

async function run(flags: BalanceFlags): Promise<void> {
  const { network, contracts } = marketOf(flags)
  const balance = await balanceOf(contracts, flags.account ?? (await walletOf(network, flags)).address)
  print(balance, flags, () =>
    record([
      ['account', balance.user],
      ['available', formatEther(balance.available)],
      ['total', formatEther(balance.total)],
      ...balance.accounts.map((account): [string, string] => [account.provider, describe(account)]),
    ]),
  )
}

export function describe({ balance, pendingRefund, refundableAt }: SubAccount): string {
  if (pendingRefund === 0n) return formatEther(balance)
  return `${formatEther(balance)}, of which ${formatEther(pendingRefund)} asked back${refundableAt ? `, to be collected from ${time(refundableAt)}` : ''}`
}
