import { rootOfNodes, type SubmissionNode } from '../../protocol/storage/merkle.ts'
import { identityOf } from '../../protocol/storage/submission.ts'
import type { SubmitEvent } from '../../typechain-types/contracts/storage/IFlow.ts'
import { chainError, type StorageContracts } from '../contracts.ts'

/** Blocks per query; RPC endpoints limit how far one may reach. */
const PAGE = 10_000

/** A submission as the log recorded it. */
export interface SubmissionRecord {
  seq: number
  root: string
  /** Bytes. */
  size: number
  sender: string
  /** Position and length in the log, in sectors of 256 bytes. */
  startSector: number
  sectors: number
  tags: string
  block: number
  transaction: string
}

export interface ListOptions {
  /** Only submissions of this account. */
  account?: string | undefined
  /** How many, newest first. */
  limit: number
  /** Where to stop looking; default: where the log begins. */
  fromBlock?: number | undefined
  signal?: AbortSignal | undefined
}

/** Lists submissions from the chain's events, newest first. */
export async function listSubmissions(
  { flow }: Pick<StorageContracts, 'flow'>,
  { account, limit, fromBlock, signal }: ListOptions,
): Promise<SubmissionRecord[]> {
  const found: SubmissionRecord[] = []
  try {
    const first = fromBlock ?? Number(await flow.firstBlock())
    let to = await flow.runner!.provider!.getBlockNumber()
    for (; to >= first && found.length < limit; to -= PAGE) {
      signal?.throwIfAborted()
      const events = await flow.queryFilter(flow.filters.Submit(account), Math.max(first, to - PAGE + 1), to)
      found.push(
        ...events.reverse().map(({ args, blockNumber, transactionHash }) => toRecord(args as unknown as SubmitEvent.OutputTuple, blockNumber, transactionHash)),
      )
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw chainError('reading submissions', error)
  }
  return found.slice(0, limit)
}

/** The submissions of one content, oldest first: there may be several, and they may differ in size by zeros at the end. */
export async function submissionsOf({ flow }: Pick<StorageContracts, 'flow'>, nodes: readonly SubmissionNode[]): Promise<SubmissionRecord[]> {
  try {
    const events = await flow.queryFilter(flow.filters.Submit(undefined, identityOf(nodes)), Number(await flow.firstBlock()))
    return events.map(({ args, blockNumber, transactionHash }) => toRecord(args as unknown as SubmitEvent.OutputTuple, blockNumber, transactionHash))
  } catch (error) {
    throw chainError('reading submissions', error)
  }
}

function toRecord([sender, , seq, startSector, sectors, submission]: SubmitEvent.OutputTuple, block: number, transaction: string): SubmissionRecord {
  // By position: `.length` of a decoded struct is the number of its members, not the field.
  const [size, tags, nodes] = submission as unknown as [bigint, string, [string, bigint][]]
  return {
    seq: Number(seq),
    root: rootOfNodes(nodes.map(([root, height]) => ({ root, height: Number(height) }))),
    size: Number(size),
    sender: String(sender),
    startSector: Number(startSector),
    sectors: Number(sectors),
    tags,
    block,
    transaction,
  }
}
