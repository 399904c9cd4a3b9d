import { type Signer, toNumber } from 'ethers'
import { identityOf, type SubmissionData, sectorsOf } from '../../protocol/storage/submission.ts'
import type { SubmitEvent } from '../../typechain-types/contracts/storage/IFlow.ts'
import { chainError, confirmed, connectFlow, type StorageContracts } from '../contracts.ts'
import { PerigeeError } from '../errors.ts'
import { leaseEnd } from './lease.ts'

/** Blocks that are searched for a submission that an interrupted run paid for. */
const SEARCH_BLOCKS = 5_000

/** A submission as the chain recorded it. Positions in sectors of 256 bytes. */
export interface Submitted {
  seq: number
  startSector: number
  transaction: string
  block: number
  /** Wei paid to the market; 0 when an earlier run has paid. */
  fee: bigint
}

export interface SubmitOptions {
  gasPrice?: bigint | undefined
  confirmations?: number
  /** Milliseconds until the transaction must be mined. */
  timeout: number
  signal?: AbortSignal | undefined
}

/** Connects to the Flow that nodes follow, and refuses when the signer's chain is another. */
export async function connectFlowOfNodes(identity: { chainId: number; contract: string }, signer: Signer): Promise<StorageContracts> {
  const { chainId } = await signer.provider!.getNetwork().catch((error) => {
    throw chainError('connecting to the chain', error)
  })
  if (toNumber(chainId) === identity.chainId) return connectFlow(identity.contract, signer)
  throw new PerigeeError('USAGE', `the storage nodes follow chain ${identity.chainId}, the RPC endpoint is chain ${chainId}`, {
    wayOut: 'Give the RPC endpoint of the same network as the nodes.',
  })
}

/** Pays for a submission and waits until it is on chain. Sends exactly what is due. */
export async function submit({ flow, market }: StorageContracts, signer: Signer, data: SubmissionData, options: SubmitOptions): Promise<Submitted> {
  const submitter = await signer.getAddress()
  const sectors = sectorsOf(data.nodes)
  try {
    const fee = (await market.pricePerSector()) * BigInt(sectors)
    const send = flow['submit(((uint256,bytes,(bytes32,uint256)[]),address))']
    const gasPrice = options.gasPrice === undefined ? {} : { gasPrice: options.gasPrice }
    // More than estimated: a submission that comes first changes what this one has to write.
    const gasLimit = ((await send.estimateGas({ data, submitter }, { value: fee, ...gasPrice })) * 3n) / 2n
    const transaction = await send({ data, submitter }, { value: fee, gasLimit, ...gasPrice })
    const receipt = await confirmed('submitting', transaction, options)
    for (const log of receipt.logs) {
      if (log.address.toLowerCase() !== (await flow.getAddress()).toLowerCase()) continue
      const event = flow.interface.parseLog(log)
      if (event?.name !== 'Submit') continue
      const [, , seq, startSector] = event.args as unknown as SubmitEvent.OutputTuple
      return { seq: Number(seq), startSector: Number(startSector), transaction: receipt.hash, block: receipt.blockNumber, fee }
    }
    throw new PerigeeError('CHAIN', 'the transaction was mined but recorded no submission', {
      details: [`transaction ${receipt.hash}`],
      wayOut: 'Is this the Flow contract of a storage network?',
    })
  } catch (error) {
    throw chainError('submitting', error)
  }
}

/** A submission of the same content that is on chain and still paid for, whoever made it: data may be sent under it at no cost. */
export async function findSubmission({ flow, market }: StorageContracts, data: SubmissionData): Promise<Submitted | undefined> {
  const identity = identityOf(data.nodes)
  const head = (await flow.runner!.provider!.getBlock('latest'))!
  // An endpoint that does not serve logs costs no more than a second payment, and then only after an interrupted run.
  const found = await flow.queryFilter(flow.filters.Submit(undefined, identity), Math.max(0, head.number - SEARCH_BLOCKS)).catch(() => [])
  for (const { args, transactionHash, blockNumber } of found.reverse()) {
    const [, , seq, startSector, sectors, submission] = args as unknown as SubmitEvent.OutputTuple
    // By position: `.length` of a decoded struct is the number of its members.
    if (Number((submission as unknown as [bigint])[0]) !== data.length) continue
    const until = await leaseEnd({ market }, { seq: Number(seq), startSector: Number(startSector), sectors: Number(sectors) })
    if (until !== undefined && until <= head.timestamp) continue
    return { seq: Number(seq), startSector: Number(startSector), transaction: transactionHash, block: blockNumber, fee: 0n }
  }
  return undefined
}
