import { Command } from 'commander'
import { formatEther } from 'ethers'
import { collectStake, leave, type Stake, stakeOf, withdrawEarnings } from '../../compute/stake.ts'
import { print, record, time } from '../output.ts'
import { walletOf } from '../signer.ts'
import { actorOf, address, type ComputeFlags, marketOf, withComputeOptions } from './options.ts'

export function providerCommand(): Command {
  return new Command('provider')
    .description("a provider's own money: what it earned and what it has at stake (the keeper compute/provider does the serving)")
    .addCommand(
      withComputeOptions(new Command('show').description('earnings and stake'))
        .option('--account <address>', 'of this provider (default: the account that acts)', address)
        .action(show),
    )
    .addCommand(withComputeOptions(new Command('withdraw').description('send the earnings home')).action(withdraw))
    .addCommand(withComputeOptions(new Command('leave').description('end the service and ask the stake back')).action(end))
    .addCommand(withComputeOptions(new Command('collect').description('send stake home that was asked back and is due')).action(collect))
}

async function show(flags: ComputeFlags & { account?: string }): Promise<void> {
  const { network, contracts } = marketOf(flags)
  print(await stakeOf(contracts, flags.account ?? (await walletOf(network, flags)).address), flags, describe)
}

async function withdraw(flags: ComputeFlags): Promise<void> {
  const { contracts, signer } = await actorOf(flags)
  const provider = await signer.getAddress()
  const { earnings } = await stakeOf(contracts, provider)
  const transaction = await withdrawEarnings(contracts, provider)
  print({ transaction, earnings }, flags, () => `${formatEther(earnings)} coins sent to ${provider} in ${transaction}`)
}

async function end(flags: ComputeFlags): Promise<void> {
  const { contracts, signer } = await actorOf(flags)
  const provider = await signer.getAddress()
  const transactions = await leave(contracts, provider)
  print({ ...(await stakeOf(contracts, provider)), transactions }, flags, describe)
}

async function collect(flags: ComputeFlags): Promise<void> {
  const { contracts, signer } = await actorOf(flags)
  const provider = await signer.getAddress()
  const transaction = await collectStake(contracts, provider, provider)
  print({ ...(await stakeOf(contracts, provider)), transaction }, flags, describe)
}

const describe = ({ provider, earnings, bonded, unbonding, unbondsAt, locked }: Stake): string =>
  record([
    ['provider', provider],
    ['earned', formatEther(earnings)],
    ['at stake', formatEther(bonded)],
    ...(unbonding > 0n ? [['asked back', `${formatEther(unbonding)}, from ${time(unbondsAt)}`] as [string, string]] : []),
    ...(locked > 0n ? [['kept by disputes', formatEther(locked)] as [string, string]] : []),
  ])
