import { Command } from 'commander'
import { formatEther } from 'ethers'
import { type BlobBalance, blobBalanceOf } from '../../da/payments.ts'
import { address } from '../compute/options.ts'
import { print, record, time } from '../output.ts'
import { walletOf } from '../signer.ts'
import { contractsOf, type DaFlags, networkOf, withAccount, withDaOptions } from './options.ts'

export function balanceCommand(): Command {
  return withAccount(withDaOptions(new Command('balance').description('what an account has to pay for blobs')))
    .option('--account <address>', 'of this account (default: the one that acts)', address)
    .action(balance)
}

async function balance(flags: DaFlags & { account?: string }): Promise<void> {
  const network = networkOf(flags)
  const found = await blobBalanceOf(contractsOf(network), flags.account ?? (await walletOf(network, flags)).address)
  print(found, flags, () => record(describeBalance(found)))
}

export const describeBalance = ({ account, available, withdrawing, withdrawableAt }: BlobBalance): [string, string][] => [
  ['account', account],
  ['available', formatEther(available)],
  ...(withdrawableAt ? ([['withdrawing', `${formatEther(withdrawing)}, to be withdrawn from ${time(withdrawableAt)}`]] as [string, string][]) : []),
]
