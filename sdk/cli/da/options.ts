import { type Command, InvalidArgumentError, Option } from 'commander'
import { addressNamed } from '../../contracts.ts'
import { connectAvailability, connectDa, type DaContracts } from '../../da/contracts.ts'
import { type DaReader, type DaReaderOptions, openDaReader } from '../../da/reader.ts'
import { connectDisperser, type DisperserClient } from '../../da/wire.ts'
import { PerigeeError } from '../../errors.ts'
import { findNetwork, type Network } from '../../network.ts'
import { providerOf } from '../options.ts'
import type { SignerFlags } from '../signer.ts'

/** Options by which a command finds its network; the same for all about blobs. */
export interface DaFlags extends SignerFlags {
  network?: string
  rpcUrl?: string
  disperser?: string
}

export function withDaOptions(command: Command): Command {
  return command
    .addOption(new Option('--network <name>', 'local, or the path of a devnet.json').env('PERIGEE_NETWORK'))
    .addOption(new Option('--rpc-url <url>', 'RPC endpoint of the chain').env('RPC_URL'))
    .option('--json', 'print the result as JSON')
}

/** For commands that connect to where signers registered that they serve. */
export const withSigners = (command: Command): Command =>
  withDaOptions(command).option('--private-signers', 'connect to signers at private addresses too, as on a local chain')

export type SignerReach = Pick<DaReaderOptions, 'privateSigners'>

/** For commands that ask a disperser. */
export const withDisperser = (command: Command): Command =>
  withDaOptions(command).option('--disperser <host:port>', "gRPC address of the disperser (default: the network's)")

/** For commands of an account. */
export const withAccount = (command: Command): Command =>
  command.option('--keystore <file>', 'account that acts; its password in KEYSTORE_PASSWORD (default: PRIVATE_KEY)')

export const networkOf = ({ network, rpcUrl }: DaFlags): Network => findNetwork({ network, rpcUrl })

export const contractsOf = (network: Network): DaContracts => connectDa(network.contracts, providerOf(network.chain))

/** Does something with a reader of the network's blobs, which is closed behind it. */
export async function withReader<T>(network: Network, act: (reader: DaReader) => Promise<T>, { privateSigners }: SignerReach = {}): Promise<T> {
  const contracts = connectAvailability(addressNamed('DataAvailability', network.contracts), providerOf(network.chain))
  const reader = openDaReader(contracts, { privateSigners })
  try {
    return await act(reader)
  } finally {
    await reader.close()
  }
}

/** Does something with the disperser of the flags, or of the network. @throws PerigeeError NOT_FOUND when there is none */
export async function withDisperserOf<T>({ services }: Network, { disperser }: DaFlags, act: (disperser: DisperserClient) => Promise<T>): Promise<T> {
  const url = disperser ?? services.daDisperser
  if (!url) throw new PerigeeError('NOT_FOUND', 'this network has no disperser', { wayOut: 'Name one with --disperser.' })
  const client = connectDisperser(url)
  try {
    return await act(client)
  } finally {
    client.close()
  }
}

export function blobId(value: string): string {
  if (/^0x[0-9a-f]{64}$/i.test(value)) return value.toLowerCase()
  throw new InvalidArgumentError('A blob id is expected: 0x and 64 hex digits.')
}
