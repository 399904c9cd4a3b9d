import { type JsonRpcApiProvider, type Provider, toQuantity } from 'ethers'
import { type DrandNetwork, EVMNET, keyOf } from '../protocol/randomness/drand.ts'
import { Drand__factory, PrevRandao__factory } from '../typechain-types/index.ts'
import type { AddressBook } from './address-book.ts'
import type { Deployer } from './deployer.ts'

export interface DrandParameters extends DrandNetwork {
  /** Seconds that a round is ahead of the block in which it is asked for, at least. */
  delay: bigint
}

/** Where the seeds of epochs come from. */
export type RandomnessSource = 'prevrandao' | DrandParameters

/** By the name that a deployment gives it. Blocks are final long before a minute is over on the chains that evmnet is for. */
export const SOURCES: Readonly<Record<string, RandomnessSource>> = { prevrandao: 'prevrandao', evmnet: { ...EVMNET, delay: 60n } }

/** Blocks before the latest whose randomness is compared: some far apart, as a rollup may repeat the value of its parent chain for a while. */
const COMPARED_BLOCKS = [0, 1, 2, 4, 8, 16, 32, 64, 128]

/** Throws, before anything is sent, if the chain has not got what the source needs, or the book has another source already. */
export async function checkRandomness(provider: Provider, book: AddressBook, source: RandomnessSource): Promise<void> {
  const recorded = book.find('Randomness')
  if (recorded) return checkRecorded(provider, recorded, source)
  if (source === 'prevrandao') return checkPrevRandao(provider as JsonRpcApiProvider)
  const { data } = await drandFactory(source)
  await provider.call({ data }).catch((error: Error) => {
    throw new Error(
      `Drand can't be deployed: does this chain have the precompiles of BN254 (EIP-196, EIP-197), and is the network's key right? ${error.message}`,
    )
  })
}

export async function deployRandomness(deployer: Deployer, source: RandomnessSource): Promise<string> {
  if (source === 'prevrandao') return deployer.contract('Randomness', new PrevRandao__factory(), [])
  return deployer.contract('Randomness', new Drand__factory(), drandArguments(source))
}

const drandArguments = ({ publicKey, genesisTime, period, delay }: DrandParameters): Parameters<Drand__factory['deploy']> => [
  keyOf(publicKey),
  genesisTime,
  period,
  delay,
]
const drandFactory = (source: DrandParameters) => new Drand__factory().getDeployTransaction(...drandArguments(source))

async function checkRecorded(provider: Provider, address: string, source: RandomnessSource): Promise<void> {
  const isDrand = await Drand__factory.connect(address, provider)
    .period()
    .then(
      () => true,
      () => false,
    )
  const wanted = source !== 'prevrandao'
  if (isDrand !== wanted)
    throw new Error(
      `the seeds of this deployment come from ${isDrand ? 'drand' : 'prevrandao'}, by the contract at ${address}, and not from ${wanted ? 'drand' : 'prevrandao'}: contracts that are deployed keep their source`,
    )
}

/**
 * Returns a zero byte and what contracts are told: PREVRANDAO, PUSH1 1, MSTORE, PUSH1 33, PUSH1 0, RETURN. Some rollups tell 1, whatever their headers say. What is
 * returned is taken for the code of a new contract, and none may begin with 0xEF (EIP-3541), as one value in 256 does.
 */
const READ_PREVRANDAO = '0x4460015260216000f3'

/** Throws if recent blocks all have one prevrandao, or contracts are told 0 or 1: seeds would be for anybody to compute in advance. */
async function checkPrevRandao(provider: JsonRpcApiProvider): Promise<void> {
  const latest = await provider.getBlockNumber()
  const numbers = COMPARED_BLOCKS.map((back) => latest - back).filter((number) => number >= 0)
  const blocks = await Promise.all(numbers.map((number) => provider.send('eth_getBlockByNumber', [toQuantity(number), false])))
  const values = new Set(blocks.map((block) => (block as { mixHash?: string }).mixHash))
  const told = BigInt((await provider.send('eth_call', [{ data: READ_PREVRANDAO }, 'latest'])) as string)
  const reason =
    values.size === 1 && numbers.length > 1
      ? `blocks ${numbers.at(-1)} to ${latest} all have the mixHash ${[...values][0]}`
      : told <= 1n && `contracts are told ${told} for it`
  if (reason)
    throw new Error(
      `this chain has no randomness of its own: ${reason}. Data availability draws the seeds of its epochs from it. Let them come from drand (--randomness evmnet, or SOURCES.evmnet in the profile; docs/randomness.md), or leave data availability out of the profile`,
    )
}
