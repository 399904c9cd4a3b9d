import { type Command, InvalidArgumentError, Option } from 'commander'
import { isAddress, parseEther } from 'ethers'
import { type ComputeContracts, connectCompute } from '../../compute/contracts.ts'
import type { Network } from '../../network.ts'
import { findNetwork } from '../../network.ts'
import { providerOf } from '../options.ts'
import { type SignerFlags, signerOf } from '../signer.ts'

/** Options by which a command of the marketplace finds its network and the account that acts. */
export interface ComputeFlags extends SignerFlags {
  network?: string
  rpcUrl?: string
  json?: boolean
}

export function withComputeOptions(command: Command): Command {
  return command
    .addOption(new Option('--network <name>', 'local, or the path of a devnet.json').env('PERIGEE_NETWORK'))
    .addOption(new Option('--rpc-url <url>', 'RPC endpoint of the chain').env('RPC_URL'))
    .option('--keystore <file>', 'account that acts; its password in KEYSTORE_PASSWORD (default: PRIVATE_KEY)')
    .option('--json', 'print the result as JSON')
}

export const networkOf = ({ network, rpcUrl }: ComputeFlags): Network => findNetwork({ network, rpcUrl })

/** The marketplace to look at. */
export function marketOf(flags: ComputeFlags) {
  const network = networkOf(flags)
  const rpc = providerOf(network.chain)
  return { network, rpc, contracts: connectCompute(network.contracts, rpc) }
}

/** The marketplace to act in, with the account that does. */
export async function actorOf(
  flags: ComputeFlags,
): Promise<ReturnType<typeof marketOf> & { signer: Awaited<ReturnType<typeof signerOf>>; contracts: ComputeContracts }> {
  const network = networkOf(flags)
  const signer = await signerOf(network, flags)
  return { network, rpc: providerOf(network.chain), signer, contracts: connectCompute(network.contracts, signer) }
}

/** An amount of coins, as "1.5", in wei. */
export function coins(value: string): bigint {
  try {
    const amount = parseEther(value)
    if (amount > 0n) return amount
  } catch {
    // said below
  }
  throw new InvalidArgumentError('An amount of coins is expected, such as 1.5.')
}

export function address(value: string): string {
  if (isAddress(value)) return value
  throw new InvalidArgumentError('An address is expected.')
}
