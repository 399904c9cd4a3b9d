import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { verifyKept } from '../../protocol/storage/kept.ts'
import { PerigeeError } from '../errors.ts'
import { waitFor } from '../wait.ts'
import { KeptReceipt, type StorageNodeClient } from './node-client.ts'

/** What a receipt must be about. */
export interface ReceiptSubject {
  root: string
  submission: number
  chainId: number
  contract: string
}

/**
 * Checks that a receipt is the signed promise of the node it names, about this submission and none other.
 * It can convict the node later, so one that would not stand up is as good as none.
 * @throws PerigeeError VERIFICATION_FAILED.
 */
export function verifyReceipt(receipt: KeptReceipt, subject: ReceiptSubject): void {
  const wrong = [
    differs('root', receipt.root, subject.root),
    differs('submission', receipt.submission, subject.submission),
    differs('chain', receipt.chainId, subject.chainId),
    differs('contract', receipt.contract, subject.contract),
    verifyKept(receipt) ? undefined : `the signature is not by ${receipt.node}`,
  ].filter((reason) => reason !== undefined)
  if (wrong.length > 0) throw new PerigeeError('VERIFICATION_FAILED', 'the receipt of a storage node is worthless', { details: wrong })
}

/** Milliseconds within which a node that has finalized a file signs for it. */
const SIGNING_TIME = 3_000

/**
 * Asks a node for its receipt and checks it. Undefined where nodes give none: those of other makes do not.
 * @throws PerigeeError VERIFICATION_FAILED when what it gives is not a valid receipt, TIMEOUT when it gives none though it could.
 */
export async function collectReceipt(node: StorageNodeClient, subject: ReceiptSubject, signal?: AbortSignal): Promise<KeptReceipt | undefined> {
  const late = (): PerigeeError => new PerigeeError('TIMEOUT', `${node.url} has finalized submission ${subject.submission} but not signed for it`)
  const look = async (): Promise<{ receipt: KeptReceipt | undefined } | undefined> => {
    const receipt = await node.keptReceipt(subject.submission, { signal, retries: 0 })
    return receipt === null ? undefined : { receipt }
  }
  const { receipt } = await waitFor(look, { timeout: SIGNING_TIME, signal, late })
  if (receipt) verifyReceipt(receipt, subject)
  return receipt
}

/** Where receipts go when no folder is given: they outlive the file they are about. */
export function defaultReceiptFolder(): string {
  return join(homedir(), '.perigee', 'receipts')
}

/** Stores receipts as one JSON file per submission, and returns its path. Receipts of other nodes over the same submission are kept. */
export async function storeReceipts(folder: string, receipts: KeptReceipt[]): Promise<string | undefined> {
  const first = receipts[0]
  if (!first) return undefined
  const path = join(folder, `${first.chainId}-${first.submission}-${first.root.slice(2, 14)}.json`)
  const merged = new Map([...(await readReceipts(path)), ...receipts].map((receipt) => [receipt.node.toLowerCase(), receipt]))
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}`
  await writeFile(temporary, `${JSON.stringify([...merged.values()], null, 2)}\n`)
  await rename(temporary, path)
  return path
}

/** Reads stored receipts; none where there is no such file. @throws PerigeeError FAILED when it holds something else. */
export async function readReceipts(path: string): Promise<KeptReceipt[]> {
  const text = await readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return '[]'
    throw error
  })
  try {
    return KeptReceipt.array().parse(JSON.parse(text))
  } catch (cause) {
    throw new PerigeeError('FAILED', `${path} does not hold receipts`, { wayOut: 'Move it away; it will be written anew.', cause })
  }
}

function differs(what: string, found: string | number, expected: string | number): string | undefined {
  return String(found).toLowerCase() === String(expected).toLowerCase() ? undefined : `${what} ${found} instead of ${expected}`
}
