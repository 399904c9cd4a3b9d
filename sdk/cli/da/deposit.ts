import { Command } from 'commander'
import { connectDa } from '../../da/contracts.ts'
import { blobBalanceOf, depositForBlobs } from '../../da/payments.ts'
import { address, coins } from '../compute/options.ts'
import { print, record } from '../output.ts'
import { signerOf } from '../signer.ts'
import { describeBalance } from './balance.ts'
import { type DaFlags, networkOf, withAccount, withDaOptions } from './options.ts'

export function depositCommand(): Command {
  return withAccount(withDaOptions(new Command('deposit').description('put down coins that pay for blobs').argument('<coins>', 'amount, such as 5', coins)))
    .option('--account <address>', 'for this account (default: the one that acts)', address)
    .action(deposit)
}

async function deposit(amount: bigint, flags: DaFlags & { account?: string }): Promise<void> {
  const network = networkOf(flags)
  const signer = await signerOf(network, flags)
  const contracts = connectDa(network.contracts, signer)
  const account = flags.account ?? (await signer.getAddress())
  const transaction = await depositForBlobs(contracts, account, amount)
  const balance = await blobBalanceOf(contracts, account)
  print({ ...balance, transaction }, flags, () => record([...describeBalance(balance), ['transaction', transaction]]))
}
