import type { Signer } from 'ethers'
import { SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import type { Recipient } from '../../protocol/storage/encryption.ts'
import type { FileTree } from '../../protocol/storage/merkle.ts'
import { submissionOf } from '../../protocol/storage/submission.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { fileTree } from './file-root.ts'
import type { KeptReceipt, StorageNodeClient } from './node-client.ts'
import { copiesAmong, type Placed, type Placement, type PlacementOptions, place, replacementFor } from './placement.ts'
import { collectReceipt, type ReceiptSubject } from './receipts.ts'
import { Replica } from './replica.ts'
import { openSource, type Source, type UploadInput } from './source.ts'
import { connectFlowOfNodes, findSubmission, type Submitted, submit } from './submit.ts'

/** Segments in flight at once, each read once and sent to every node; with their buffers, all the memory an upload holds. */
const LANES = 8

/** Milliseconds for each thing that is waited for: the transaction, a node seeing it, a node finalizing the file. */
const TIMEOUT = 120_000

export interface UploadOptions extends PlacementOptions {
  /** Pays for the submission; its provider is the chain. */
  signer: Signer
  /** Copies that must be final for the upload to succeed; default 1. More are sent (`replicas`), so that a node may fail. */
  required?: number
  tags?: string
  encryption?: Recipient | undefined
  /** Pays again for a file that the network already keeps, instead of returning its submission. */
  forceNewLease?: boolean
  gasPrice?: bigint | undefined
  confirmations?: number
  /** Milliseconds for each thing that is waited for. */
  timeout?: number
  signal?: AbortSignal | undefined
  onProgress?: (progress: UploadProgress) => void
}

/** `hash`: bytes hashed. `send`: bytes that every node has, of those that some node lacked. */
export interface UploadProgress {
  phase: 'hash' | 'submit' | 'send' | 'finality'
  done: number
  total: number
}

export interface UploadResult {
  root: string
  /** Bytes stored, the encryption header included. */
  size: number
  seq: number
  /** Empty when nothing had to be paid. */
  transaction: string
  /** Wei paid to the market. */
  fee: bigint
  /** Bytes sent, to all nodes together. */
  sent: number
  /** What each node did. One that is final may still have failed to sign a receipt. */
  nodes: { url: string; finalized: boolean; receipt?: KeptReceipt; failure?: string }[]
}

/**
 * Stores a file: pays for it once, sends it to several nodes at once, waits until they have finalized it and returns their receipts.
 * Run again after an interruption, it goes on where it was: nothing is paid twice, and only missing segments are sent.
 */
export async function upload(input: UploadInput, options: UploadOptions): Promise<UploadResult> {
  const { signal, onProgress, timeout = TIMEOUT } = options
  const source = await openSource(input, options)
  try {
    const placement = await place(options)
    const tree = await fileTree(source.path, { signal, onProgress: (done) => onProgress?.({ phase: 'hash', done, total: source.size }) })
    const submitted = await findOrSubmit(source, tree, placement, options)
    const session = { source, tree, submitted, timeout, signal, onProgress }
    const replicas = await replicate(placement, session)
    const kept = replicas.filter((replica) => replica.finalized)
    if (copiesAmong(kept) < (options.required ?? 1)) throw tooFewCopies(replicas, options.required ?? 1)
    const subject = { root: tree.root, submission: submitted.seq, ...placement.identity }
    const receipts = await collectReceipts(kept, subject, signal)
    return {
      root: tree.root,
      size: source.size,
      seq: submitted.seq,
      transaction: submitted.fee > 0n ? submitted.transaction : '',
      fee: submitted.fee,
      sent: replicas.reduce((sum, replica) => sum + replica.sent, 0),
      nodes: replicas.map(({ node, finalized, failure }) => ({
        url: node.url,
        finalized,
        receipt: receipts.get(node),
        ...(failure ? { failure: reasonOf(failure) } : {}),
      })),
    }
  } finally {
    await source.close()
  }
}

/** The receipts of the nodes that give one. A node that owes one has it held against it, but has the file. */
async function collectReceipts(kept: Replica[], subject: ReceiptSubject, signal?: AbortSignal): Promise<Map<StorageNodeClient, KeptReceipt | undefined>> {
  const receipts = new Map<StorageNodeClient, KeptReceipt | undefined>()
  await attempt(kept, signal, async ({ node }) => void receipts.set(node, await collectReceipt(node, subject, signal)))
  return receipts
}

/** The submission to send data under: one the nodes know, one an earlier run paid for, or a new one. */
async function findOrSubmit(source: Source, tree: FileTree, placement: Placement, options: UploadOptions): Promise<Submitted> {
  if (!options.forceNewLease) {
    const known = await findOnNodes(
      placement.chosen.map(({ node }) => node),
      tree.root,
      source.size,
      options.signal,
    )
    if (known) return known
  }
  const contracts = await connectFlowOfNodes(placement.identity, options.signer)
  const data = submissionOf(tree, source.size, options.tags ?? '0x')
  const paid = options.forceNewLease ? undefined : await findSubmission(contracts, data)
  if (paid) return paid
  options.onProgress?.({ phase: 'submit', done: 0, total: 1 })
  return submit(contracts, options.signer, data, { ...options, timeout: options.timeout ?? TIMEOUT })
}

/** What the nodes know of this file: a finalized submission before one that still lacks data. One that is pruned is no use. */
async function findOnNodes(nodes: StorageNodeClient[], root: string, size: number, signal?: AbortSignal): Promise<Submitted | undefined> {
  const infos = await Promise.all(nodes.map((node) => node.fileByRoot(root, { signal })))
  const usable = infos.filter((info) => info !== null).filter(({ pruned, tx }) => !pruned && tx.size === size)
  const info = usable.find(({ finalized }) => finalized) ?? usable[0]
  return info && { seq: info.tx.seq, startSector: info.tx.startEntryIndex, transaction: '', block: 0, fee: 0n }
}

interface Session {
  source: Source
  tree: FileTree
  submitted: Submitted
  timeout: number
  signal: AbortSignal | undefined
  onProgress: UploadOptions['onProgress']
}

/** Sends the file to the chosen nodes, and to a spare one for each that fails. */
async function replicate({ chosen, spares }: Placement, session: Session): Promise<Replica[]> {
  const replicas: Replica[] = []
  for (let wave: Placed[] = chosen; wave.length > 0; ) {
    const opened = wave.map(({ node, config }) => new Replica(node, config, session))
    replicas.push(...opened)
    await attempt(opened, session.signal, (replica) => replica.open(session.submitted, session.tree, session.source.size))
    await sendSegments(opened, session)
    session.onProgress?.({ phase: 'finality', done: 0, total: 1 })
    await attempt(opened, session.signal, (replica) => replica.final())
    wave = opened.filter(({ failure }) => failure).flatMap((replica) => replacementFor(replica.shard, spares) ?? [])
  }
  return replicas
}

/** Does a step on each replica that is still in use; where it fails, the replica is given up and the others go on. */
async function attempt(replicas: Replica[], signal: AbortSignal | undefined, step: (replica: Replica) => Promise<void>): Promise<void> {
  const inUse = replicas.filter(({ failure }) => !failure)
  await Promise.all(inUse.map((replica) => step(replica).catch((error) => replica.giveUp(error))))
  signal?.throwIfAborted()
}

/** Reads each missing segment once and sends it to all nodes that lack it. */
async function sendSegments(replicas: Replica[], { source, onProgress, signal }: Session): Promise<void> {
  const missing = new Set(replicas.flatMap((replica) => [...replica.missing]))
  const total = missing.size * SEGMENT_SIZE
  let done = 0
  const queue = missing.values()
  const lane = async (): Promise<void> => {
    const buffer = new Uint8Array(SEGMENT_SIZE)
    for (const index of queue) {
      const takers = replicas.filter((replica) => !replica.failure && replica.missing.has(index))
      if (takers.length === 0) continue
      const bytes = await source.read(index, buffer)
      await Promise.all(takers.map((replica) => replica.send(index, bytes, source.size)))
      signal?.throwIfAborted()
      done += SEGMENT_SIZE
      onProgress?.({ phase: 'send', done, total })
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

function tooFewCopies(replicas: Replica[], required: number): PerigeeError {
  const failed = replicas.filter(({ failure }) => failure)
  const first = failed[0]?.failure
  const code = first instanceof PerigeeError ? first.code : 'FAILED'
  return new PerigeeError(
    code,
    `the file is not stored: ${copiesAmong(replicas.filter(({ finalized }) => finalized))} of ${required} required copies are final`,
    {
      details: failed.map(({ node, failure }) => `${node.url}: ${reasonOf(failure)}`),
      wayOut:
        (first instanceof PerigeeError ? first.wayOut : undefined) ?? 'Run the same command again: nothing is paid twice, and only what is missing is sent.',
      cause: first,
    },
  )
}
