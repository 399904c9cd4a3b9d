import { Command } from 'commander'
import { formatEther } from 'ethers'
import { balanceOf, deposit, fund } from '../../compute/ledger.ts'
import { print, record } from '../output.ts'
import { actorOf, address, type ComputeFlags, coins, withComputeOptions } from './options.ts'

interface DepositFlags extends ComputeFlags {
  provider?: string
  fromLedger?: boolean
}

export function depositCommand(): Command {
  return withComputeOptions(
    new Command('deposit').description('put coins into the ledger, and with --provider on to a provider').argument('<coins>', 'amount, such as 5', coins),
  )
    .option('--provider <address>', 'make them spendable there', address)
    .option('--from-ledger', 'take them from what the ledger has, instead of from the account')
    .action(run)
}

async function run(amount: bigint, flags: DepositFlags): Promise<void> {
  const { contracts, signer } = await actorOf(flags)
  const transactions: string[] = []
  if (!flags.fromLedger) transactions.push(await deposit(contracts, amount))
  if (flags.provider) transactions.push(await fund(contracts, flags.provider, amount))
  const balance = await balanceOf(contracts, await signer.getAddress())
  print({ ...balance, transactions }, flags, () =>
    record([
      ['account', balance.user],
      ['available', formatEther(balance.available)],
      ['total', formatEther(balance.total)],
      ...balance.accounts.map(({ provider, balance: at }): [string, string] => [provider, formatEther(at)]),
    ]),
  )
}
