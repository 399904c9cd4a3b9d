import { randomInt } from 'node:crypto'
import { createAssignment } from '../../protocol/da/assignment.ts'
import { unpackAbsent } from '../../protocol/da/certificate.ts'
import { chunksOfRow } from '../../protocol/da/row-path.ts'
import { chainError, confirmed } from '../contracts.ts'
import { PerigeeError } from '../errors.ts'
import type { DaContracts } from './contracts.ts'
import type { LocatedBlob } from './locate.ts'

/** Blocks per query; RPC endpoints limit how far one may reach. */
const PAGE = 10_000
/** Milliseconds until the transaction must be mined. */
const TIMEOUT = 120_000

export interface OpenedChallenge {
  id: bigint
  account: string
  row: number
  chunk: number
  /** Unix seconds: the last in which it can be answered. */
  deadline: number
  transaction: string
}

/**
 * Challenges a signer to show, on chain, a chunk of a row that it must hold: a random one unless named. The signer of `contracts` pays the deposit, which is
 * lost if the answer comes and earned back with a part of the signer's stake if it does not.
 * @throws PerigeeError USAGE when the account did not sign for the blob or holds no such row, CHAIN when the contract refuses
 */
export async function openChallenge(
  contracts: DaContracts,
  located: LocatedBlob,
  account: string,
  position: { row?: number; chunk?: number } = {},
): Promise<OpenedChallenge> {
  const { blobId, blob, epoch, certificate } = located
  const member = epoch.members.find((member) => member.account === account)
  const absent = await absentOf(contracts, located)
  if (!member || unpackAbsent(absent, epoch.members.length).includes(member.index))
    throw new PerigeeError('USAGE', `${account} did not sign that the blob ${blobId} is available`)
  const rows = createAssignment(epoch, blobId, blob.log2K).rowsOf(member.index)
  const { row = rows.at(randomInt(Math.max(1, rows.length))), chunk = randomInt(chunksOfRow(blob.rowSize)) } = position
  if (row === undefined || !rows.includes(row))
    throw new PerigeeError('USAGE', `${account} need not hold ${row === undefined ? 'any row' : `row ${row}`} of the blob ${blobId}`)
  const question = {
    batchRoot: certificate.batchRoot,
    absent,
    blobIndex: certificate.index,
    blobProof: certificate.proof,
    blob,
    member: member.index,
    row,
    chunk,
  }
  try {
    const sent = await contracts.challenges.open(question, { value: await contracts.challenges.deposit() })
    const receipt = await confirmed('opening the challenge', sent, { timeout: TIMEOUT })
    const { challenges } = contracts
    const opened = receipt.logs.map((log) => challenges.interface.parseLog(log)).find((event) => event?.name === 'ChallengeOpened')!
    return { id: opened.args.id, account, row, chunk, deadline: Number(opened.args.deadline), transaction: receipt.hash }
  } catch (error) {
    throw chainError('opening the challenge', error)
  }
}

/** The members that did not sign, as the certificate listed them: its event has it, the contract only a hash. */
async function absentOf({ certificates }: DaContracts, { certificate }: LocatedBlob): Promise<string> {
  try {
    const provider = certificates.runner!.provider!
    const filter = certificates.filters.BatchCertified(certificate.batchRoot)
    for (let to = await provider.getBlockNumber(); to >= 0; to -= PAGE) {
      const [event] = await certificates.queryFilter(filter, Math.max(0, to - PAGE + 1), to)
      if (event) return event.args.absent
    }
  } catch (error) {
    throw chainError('reading the certificate', error)
  }
  throw new PerigeeError('NOT_FOUND', `the RPC endpoint does not have the event of the certificate of ${certificate.batchRoot}`)
}
