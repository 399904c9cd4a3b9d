// Blobs in certified batches on a chain with four signers. The contracts look at no more of a blob than a chunk and its path, so most blobs here are just that.
import { concat, dataSlice, id, type Signer } from 'ethers'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { blobIdOf } from '../../../protocol/da/blob.ts'
import { pickedChunk, qualityOf } from '../../../protocol/da/sampling.ts'
import { type DaEpoch, EpochReader } from '../../../sdk/da/epochs.ts'
import { AvailabilityChallenges__factory, BlobPayments__factory, DAEntrance__factory, SamplingRewards__factory } from '../../../typechain-types/index.ts'
import { deployDa, signatures, started, type TestSigner } from './deploy.ts'
import { type Blob, CHUNK, chunksOf, type Opening, rootOfPath } from './rows.ts'

export type Network = Parameters<typeof deployDa>[0]
export type Scene = Awaited<ReturnType<typeof scene>>

/** The contracts of data availability, with signers of equal stake in the first epoch. */
export async function scene(ethers: Network, changes: Parameters<typeof deployDa>[1] = {}, count = 4) {
  const of = await deployDa(ethers, changes)
  const signers = await started(of, count)
  const epoch = await new EpochReader({ epochs: of.da, signers: of.da } as never).current()
  const [, , , payer, disperser, challenger] = (await ethers.getSigners()) as unknown as Signer[] as [Signer, Signer, Signer, Signer, Signer, Signer]
  return {
    ...of,
    signers,
    epoch,
    payer,
    disperser,
    challenger,
    payments: BlobPayments__factory.connect(of.at.BlobPayments!, payer),
    rewards: SamplingRewards__factory.connect(of.at.SamplingRewards!, of.stranger),
    availability: AvailabilityChallenges__factory.connect(of.at.AvailabilityChallenges!, challenger),
    entrance: DAEntrance__factory.connect(of.at.DAEntrance!, of.stranger),
  }
}

export const bytesOf = (name: string, length: number): string =>
  dataSlice(concat(Array.from({ length: Math.ceil(length / 32) }, (_, i) => id(`${name} ${i}`))), 0, length)

export interface Shape {
  log2K: number
  rowSize: number
}

/** Rows of 64 bytes. */
export const SMALL: Shape = { log2K: 6, rowSize: 64 }
/** Rows of three chunks, the last one of 64 bytes. */
export const CHUNKED: Shape = { log2K: 8, rowSize: 1088 }
/** What 32 MiB fill. */
export const LARGE: Shape = { log2K: 12, rowSize: 8192 }

export interface Opened {
  blob: Blob
  blobId: string
  opening: Opening
  /** Index of the member that holds the row. */
  owner: number
}

/** A blob of which nothing is known but one chunk, of a row that somebody holds. */
export function openedBlob(epoch: DaEpoch, { log2K, rowSize }: Shape, name: string, { row = 5, chunk = 0, where = (_: Opened): boolean => true } = {}): Opened {
  const log2T = log2K + 2
  const size = Math.min(CHUNK, rowSize - chunk * CHUNK)
  const depth = Math.ceil(Math.log2(chunksOf(rowSize))) + log2T
  for (let salt = 0; ; salt++) {
    const named = `${name} ${salt}`
    const opening = { row, chunk, data: bytesOf(named, size), path: Array.from({ length: depth }, (_, i) => id(`${named} sibling ${i}`)) }
    const blob = { scheme: 1, log2K, log2T, rowSize, length: rowSize << log2K, rowRoot: rootOfPath(opening, log2T), rlcRoot: id(`${named} rlc`) }
    const blobId = blobIdOf(blob)
    const owner = createAssignment(epoch, blobId, log2K).ownerOf(row)
    if (owner === undefined) continue
    const opened = { blob, blobId, opening, owner }
    if (where(opened)) return opened
  }
}

/** Certifies a batch of blobs by all signers but the `absent` ones. */
export async function certified(of: { da: Scene['da']; domain: Scene['domain']; signers: TestSigner[] }, blobIds: readonly string[], absent: number[] = []) {
  const batch = batchTree(blobIds)
  await of.da.certifyBySignatures(...signatures(of as never, of.signers, batch.root, { absent }))
  return batch
}

export const sampleQuality = (seed: string, account: string, { blobId, opening }: Opened): bigint =>
  qualityOf(seed, account, blobId, opening.row, Buffer.from(opening.data.slice(2), 'hex'))

/** A blob whose chunk is the one that the current round picks. */
export async function pickedBlob(
  of: Pick<Scene, 'rewards' | 'epoch'>,
  shape: Shape,
  name: string,
  where: (opened: Opened, seed: string) => boolean = () => true,
) {
  const { seed } = await of.rewards.round({ blockTag: 'pending' })
  return openedBlob(of.epoch, shape, name, {
    where: (opened) => pickedChunk(seed, opened.blobId, opened.opening.row, shape.rowSize) === opened.opening.chunk && where(opened, seed),
  })
}

/** The sample that opens blob `index` of a batch. */
export const sampleOf = ({ blob, opening, owner }: Opened, batch: { root: string; proof(i: number): string[] }, blobIndex = 0) => ({
  batchRoot: batch.root,
  blobIndex,
  blobProof: batch.proof(blobIndex),
  blob,
  member: owner,
  row: opening.row,
  chunk: opening.data,
  path: opening.path,
})
