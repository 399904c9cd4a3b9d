import {
  type ContractRunner,
  type ContractTransactionResponse,
  dataLength,
  Interface,
  isCallException,
  isError,
  type TransactionReceipt,
  type TransactionResponse,
} from 'ethers'
import {
  IAvailabilityChallenges__factory,
  IBlobPayments__factory,
  IBonds__factory,
  IDACertificates__factory,
  IDAEpochs__factory,
  IDASigners__factory,
  type IFlow,
  IFlow__factory,
  IInferenceServing__factory,
  ILedgerManager__factory,
  IPoraMine__factory,
  ISamplingRewards__factory,
  type IStorageMarket,
  IStorageMarket__factory,
  IStorageRewards__factory,
  ITeeSignerRegistry__factory,
} from '../typechain-types/index.ts'
import { PerigeeError, reasonOf } from './errors.ts'
import { waitFor } from './wait.ts'

/** Where submissions go and what they cost. */
export interface StorageContracts {
  flow: IFlow
  market: IStorageMarket
}

/** Connects the Flow at an address (a node's status tells it) and the market it charges by. @throws PerigeeError CHAIN when it is no Flow. */
export async function connectFlow(flowAddress: string, runner: ContractRunner): Promise<StorageContracts> {
  const flow = IFlow__factory.connect(flowAddress, runner)
  const market = await flow.market().catch((cause) => {
    throw new PerigeeError('CHAIN', `there is no storage log (Flow) at ${flowAddress}`, {
      details: [reasonOf(cause)],
      wayOut: 'Is the RPC endpoint of the same chain as the storage nodes?',
      cause,
    })
  })
  return { flow, market: IStorageMarket__factory.connect(market, runner) }
}

const FACTORIES = {
  Flow: IFlow__factory,
  StorageMarket: IStorageMarket__factory,
  StorageRewards: IStorageRewards__factory,
  PoraMine: IPoraMine__factory,
  Bonds: IBonds__factory,
  TeeSignerRegistry: ITeeSignerRegistry__factory,
  LedgerManager: ILedgerManager__factory,
  InferenceServing: IInferenceServing__factory,
  BlobPayments: IBlobPayments__factory,
  SamplingRewards: ISamplingRewards__factory,
  AvailabilityChallenges: IAvailabilityChallenges__factory,
}

/** The contracts of a network by the names of its address book. */
export type Contracts = { [Name in keyof typeof FACTORIES]: ReturnType<(typeof FACTORIES)[Name]['connect']> }

/** Connects one contract of an address book. @throws PerigeeError NOT_FOUND when the book has no such name. */
export function contractNamed<Name extends keyof Contracts>(name: Name, addresses: Record<string, string>, runner: ContractRunner): Contracts[Name] {
  return FACTORIES[name].connect(addressNamed(name, addresses), runner) as Contracts[Name]
}

/** @throws PerigeeError NOT_FOUND when the book has no such name */
export function addressNamed(name: string, addresses: Record<string, string>): string {
  const address = addresses[name]
  if (address) return address
  throw new PerigeeError('NOT_FOUND', `this network has no ${name}`, { details: [`it has ${Object.keys(addresses).join(', ') || 'no contracts'}`] })
}

/** One contract, by what it is about. */
const DATA_AVAILABILITY = [IDASigners__factory, IDAEpochs__factory, IDACertificates__factory]

/** Errors that a transaction can end in, those of OpenZeppelin's access manager and pause included. */
const errors = new Interface([
  ...new Set([...Object.values(FACTORIES), ...DATA_AVAILABILITY].flatMap(({ createInterface }) => errorsOf(createInterface()))),
  'error EnforcedPause()',
  'error AccessManagedUnauthorized(address caller)',
])

function errorsOf({ fragments }: Interface): string[] {
  return fragments.filter(({ type }) => type === 'error').map((fragment) => fragment.format('full'))
}

const HINTS: Record<string, string> = {
  NotEnoughFee: 'The price has risen; ask for it again and send what is due.',
  EnforcedPause: 'The guardian has paused submissions; a pause ends by itself. Try again later.',
  SubmitterMismatch: 'A submission is made in the name of the account that sends it.',
  FlowFull: 'This log accepts no more data.',
  LedgerNotExists: 'Deposit first: `perigee compute deposit <coins>`.',
  AccountNotExists: 'Open an account at the provider: `perigee compute deposit <coins> --provider <address>`.',
}

/** Turns what ethers throws for a transaction or call into an error that names the contract's own reason. */
export function chainError(what: string, error: unknown): PerigeeError {
  if (error instanceof PerigeeError) return error
  const reason = rpcReason(error)
  if (isError(error, 'INSUFFICIENT_FUNDS') || /(enough|insufficient) funds/.test(reason)) {
    return new PerigeeError('CHAIN', `${what}: the account cannot pay for it`, {
      details: [reason],
      wayOut: 'Fund the account, or use another key.',
      cause: error,
    })
  }
  if (isError(error, 'NETWORK_ERROR') || isError(error, 'SERVER_ERROR') || isError(error, 'TIMEOUT')) {
    return new PerigeeError('NETWORK', `${what}: the RPC endpoint does not answer`, { details: [error.shortMessage], cause: error })
  }
  const decoded = isCallException(error) && error.data && dataLength(error.data) >= 4 ? errors.parseError(error.data) : null
  if (decoded) {
    const args = decoded.fragment.inputs.map((input, i) => `${input.name} = ${decoded.args[i]}`)
    return new PerigeeError('CHAIN', `${what}: the contract refused with ${decoded.name}`, {
      details: args,
      ...(HINTS[decoded.name] ? { wayOut: HINTS[decoded.name] } : {}),
      cause: error,
    })
  }
  return new PerigeeError('CHAIN', `${what}: ${reason}`, { cause: error })
}

/** What the RPC endpoint said, where ethers passes it on unread; else what ethers says, without the request it quotes. */
function rpcReason(error: unknown): string {
  const { error: inner, shortMessage } = error as { error?: { message?: unknown }; shortMessage?: unknown }
  if (typeof inner?.message === 'string') return inner.message
  return typeof shortMessage === 'string' ? shortMessage : reasonOf(error)
}

export interface ConfirmOptions {
  confirmations?: number
  /** Milliseconds until waiting ends with TIMEOUT. */
  timeout: number
  signal?: AbortSignal | undefined
}

/** Waits until a transaction is mined and has succeeded. @throws PerigeeError TIMEOUT or CHAIN. */
export async function confirmed(
  what: string,
  { hash, nonce, provider }: TransactionResponse,
  { confirmations = 1, timeout, signal }: ConfirmOptions,
): Promise<TransactionReceipt> {
  const look = async (): Promise<TransactionReceipt | undefined> => {
    const receipt = await provider.getTransactionReceipt(hash).catch((error) => {
      throw chainError(what, error)
    })
    return receipt && (confirmations <= 1 || (await receipt.confirmations()) >= confirmations) ? receipt : undefined
  }
  const late = (): PerigeeError =>
    new PerigeeError('TIMEOUT', `${what}: not mined within ${timeout / 1000} s`, {
      details: [`transaction ${hash}, nonce ${nonce}`],
      wayOut: 'It may still be mined. Once it is, run the same command again to go on from there: nothing is paid twice.',
    })
  const receipt = await waitFor(look, { timeout, signal, late })
  if (receipt.status === 1) return receipt
  throw new PerigeeError('CHAIN', `${what}: the transaction reverted`, { details: [`transaction ${hash}`] })
}

/** Milliseconds until a transaction must be mined. */
const MINED_TIMEOUT = 120_000

/** Sends a transaction and waits until it succeeded. Gives its hash. @throws PerigeeError CHAIN, NETWORK, TIMEOUT */
export async function mined(what: string, send: () => Promise<ContractTransactionResponse>): Promise<string> {
  try {
    return (await confirmed(what, await send(), { timeout: MINED_TIMEOUT })).hash
  } catch (error) {
    throw chainError(what, error)
  }
}
