import { threadKernel } from '../../codec/keccak/index.ts'
import { HASH_SIZE, SEGMENT_SIZE } from '../../protocol/storage/constants.ts'
import { chunksInSegment } from '../../protocol/storage/file-shape.ts'
import { verifySegmentProof } from '../../protocol/storage/merkle.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { findMoreHolders, type HeldFile, type Holder, type HolderOptions, holdsSegment } from './holders.ts'
import { HttpStatusError } from './node-client.ts'

/** Requests a node answers at once. */
const STREAMS = 2
/** Segments asked for at once: enough that the round trip does not show, few enough that a failing node gives little back. */
const RUN = 16
/** Times a node may break off without having served a segment in between before it is left out. */
const BREAKS = 3

export interface FetchOptions extends HolderOptions {
  /** Called with each verified segment, in any order; its bytes are reused once the promise settles. */
  deliver: (index: number, bytes: Uint8Array) => Promise<void>
}

/** A node served bytes that are not those of the root. */
class WrongBytes extends Error {}

/** Delivering failed, for which no node is to blame. */
class Undeliverable extends Error {}

/**
 * Fetches segments from all holders at once and verifies each against the root before delivering it. A holder that keeps breaking
 * off or serves wrong bytes is left out, and named in `file.culprits`; what it owed comes from the others.
 * @throws PerigeeError when segments remain that no holder serves.
 */
export async function fetchSegments(file: HeldFile, indexes: Iterable<number>, options: FetchOptions): Promise<void> {
  const pending = new Set(indexes)
  const known = new Set(file.holders.map(({ node }) => node.url))
  while (pending.size > 0) {
    const before = pending.size
    await Promise.all(file.holders.flatMap((holder) => Array.from({ length: STREAMS }, () => drain(file, holder, pending, options))))
    // What a failing holder gave back after the others had finished is theirs in the next round.
    if (pending.size < before && file.holders.length > 0) continue
    const more = await findMoreHolders(file, known, options)
    if (more.length === 0) throw unservable(file, pending)
    for (const holder of more) known.add(holder.node.url)
    file.holders.push(...more)
  }
}

/** Works off runs of pending segments until the holder has none left to serve, or is left out. */
async function drain(file: HeldFile, holder: Holder, pending: Set<number>, options: FetchOptions): Promise<void> {
  const buffer = new Uint8Array(SEGMENT_SIZE)
  let breaks = 0
  while (file.holders.includes(holder)) {
    const run = takeRun(holder, pending)
    if (run.length === 0) return
    const taken = run.length
    try {
      await fetchRun(file, holder, run, buffer, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      if (error instanceof Undeliverable) throw error.cause
      const lied = error instanceof WrongBytes
      breaks = run.length < taken ? 1 : breaks + 1
      if (lied || breaks === BREAKS) leaveOut(file, holder, lied, reasonOf(error))
    }
    for (const index of run) pending.add(index)
  }
}

function leaveOut(file: HeldFile, holder: Holder, lied: boolean, reason: string): void {
  if (!file.holders.includes(holder)) return
  file.holders = file.holders.filter((other) => other !== holder)
  file.culprits.push({ url: holder.node.url, lied, reason })
}

/** Takes up to RUN consecutive pending segments that the holder has. */
function takeRun(holder: Holder, pending: Set<number>): number[] {
  const run: number[] = []
  for (const index of pending) {
    const follows = run.length === 0 || index === run.at(-1)! + 1
    if (run.length === RUN || !follows) break
    if (holdsSegment(holder, index)) run.push(index)
    else if (run.length > 0) break
  }
  for (const index of run) pending.delete(index)
  return run
}

/** Fetches a run and takes each segment off it once it is delivered. */
async function fetchRun(file: HeldFile, holder: Holder, run: number[], buffer: Uint8Array, { deliver, signal }: FetchOptions): Promise<void> {
  const done = async (bytes: Uint8Array): Promise<void> => {
    await deliver(run[0]!, bytes).catch((cause) => {
      throw new Undeliverable('undeliverable', { cause })
    })
    run.shift()
    holder.served++
  }
  if (file.tree && holder.raw) {
    try {
      return await fetchRaw(file, holder, run, buffer, done, signal)
    } catch (error) {
      if (!(error instanceof HttpStatusError && (error.status === 404 || error.status === 405))) throw error
      // A node of another make: it has the file, but not the HTTP API.
      holder.raw = false
    }
  }
  while (run.length > 0) await done(await fetchWithProof(file, holder, run[0]!, signal))
}

/** One request for the bytes of the whole run, verified segment by segment as they arrive. */
async function fetchRaw(
  file: HeldFile,
  holder: Holder,
  run: number[],
  buffer: Uint8Array,
  done: (bytes: Uint8Array) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const end = Math.min(file.shape.size, (run.at(-1)! + 1) * SEGMENT_SIZE)
  const body = await holder.node.data(file.root, run[0]! * SEGMENT_SIZE, end, { signal, retries: 1 })
  let filled = 0
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    for (let at = 0; at < piece.length; ) {
      if (run.length === 0) throw new WrongBytes('it sent more than was asked for')
      const length = lengthOfSegment(file, run[0]!)
      const part = piece.subarray(at, at + length - filled)
      buffer.set(part, filled)
      at += part.length
      filled += part.length
      if (filled < length) continue
      const bytes = buffer.subarray(0, length)
      if (!matchesTree(file, run[0]!, bytes)) throw new WrongBytes(`it served wrong bytes in segment ${run[0]}`)
      await done(bytes)
      filled = 0
    }
  }
  if (run.length > 0) throw new PerigeeError('NETWORK', `${holder.node.url} sent less than was asked for`)
}

async function fetchWithProof(file: HeldFile, holder: Holder, index: number, signal?: AbortSignal): Promise<Uint8Array> {
  const segment = await holder.node.segmentWithProof(holder.info.tx.seq, index, { signal, retries: 1 })
  if (!segment) throw new PerigeeError('NOT_FOUND', `${holder.node.url} does not have segment ${index}`)
  const data = Buffer.from(segment.data, 'base64')
  const { root, shape } = file
  if (!verifySegmentProof({ root, size: shape.size, index, data, proof: segment.proof })) throw new WrongBytes(`it served wrong bytes in segment ${index}`)
  return data.subarray(0, lengthOfSegment(file, index))
}

/** Bytes of data in a segment. */
export function lengthOfSegment({ shape }: HeldFile, index: number): number {
  return Math.min(SEGMENT_SIZE, shape.size - index * SEGMENT_SIZE)
}

/** Whether the bytes are those of the file's segment. */
export function matchesTree({ tree, shape }: HeldFile, index: number, bytes: Uint8Array): boolean {
  const expected = tree!.segmentRoots.subarray(index * HASH_SIZE, (index + 1) * HASH_SIZE)
  return Buffer.compare(threadKernel().segmentRoot(bytes, chunksInSegment(shape, index)), expected) === 0
}

function unservable(file: HeldFile, pending: Set<number>): PerigeeError {
  const lied = file.culprits.some((culprit) => culprit.lied)
  return new PerigeeError(lied ? 'VERIFICATION_FAILED' : 'NETWORK', `${pending.size} of ${file.shape.segments} segments could not be had from any node`, {
    details: file.culprits.map(({ url, reason }) => `${url}: ${reason}`),
    wayOut: 'What was fetched is kept: run the same command again when the nodes are back, and it goes on from there.',
  })
}
