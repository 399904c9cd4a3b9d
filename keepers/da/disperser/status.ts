import { getBytes } from 'ethers'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { blobToWire, inclusionToWire, weightToWire } from '../../../sdk/da/messages.ts'
import type { BlobStatus, BlobStatusReply, DispersalState, DispersalStatus } from '../../../sdk/da/wire.ts'
import type { Batches } from './batches.ts'
import type { Stage } from './pipeline.ts'
import type { Batch, Request } from './requests.ts'

export interface StatusOptions {
  batches: Batches
  stageOf: (id: string) => Stage
  /** The last block of which the log was read. */
  position: () => number
  finalityBlocks: number
}

const PUBLIC: Record<DispersalState, BlobStatus> = {
  STATE_UNKNOWN: 'UNKNOWN',
  ENCODING: 'PROCESSING',
  DISPERSING: 'PROCESSING',
  CERTIFYING: 'PROCESSING',
  CERTIFIED: 'CONFIRMED',
  FINAL: 'FINALIZED',
  REFUSED: 'FAILED',
  NOT_ENOUGH_SIGNATURES: 'INSUFFICIENT_SIGNATURES',
}

/** How far a request has come, as the services tell it. */
export class Statuses {
  readonly #options: StatusOptions

  constructor(options: StatusOptions) {
    this.#options = options
  }

  async ofRequest(request: Request): Promise<DispersalStatus> {
    const batch = request.batch === null ? undefined : await this.#options.batches.find(request.batch)
    const certified = batch && batch.block !== null ? batch : undefined
    return {
      state: this.#stateOf(request, batch),
      reason: certified ? '' : (request.reason ?? ''),
      blobId: request.blob_id === null ? new Uint8Array() : getBytes(request.blob_id),
      blob: request.blob && blobToWire(request.blob),
      inclusion: certified ? inclusionOf(request, certified) : null,
      signedWeight: certified ? weightToWire(BigInt(certified.signed!)) : new Uint8Array(),
      totalWeight: certified ? weightToWire(BigInt(certified.total!)) : new Uint8Array(),
      transactionHash: certified ? getBytes(certified.tx_hash!) : new Uint8Array(),
      blockNumber: certified?.block ?? 0,
      elapsedMs: certified ? certified.certified_at! - request.accepted_at : 0,
    }
  }

  /** As the clients of the public service know it. */
  async publicOf(request: Request): Promise<BlobStatusReply> {
    const batch = request.batch === null ? undefined : await this.#options.batches.find(request.batch)
    const status = PUBLIC[this.#stateOf(request, batch)]
    if (status !== 'CONFIRMED' && status !== 'FINALIZED') return { status, info: null }
    return { status, info: { blobHeader: { storageRoot: getBytes(request.blob_id!), epoch: batch!.epoch, quorumId: 0 } } }
  }

  #stateOf({ id, state }: Request, batch: Batch | undefined): DispersalState {
    if (state === 'refused') return 'REFUSED'
    if (state === 'unsigned') return 'NOT_ENOUGH_SIGNATURES'
    if (!batch) return this.#options.stageOf(id)
    if (batch.block === null) return 'CERTIFYING'
    const { position, finalityBlocks } = this.#options
    return batch.seen && batch.block + finalityBlocks <= position() ? 'FINAL' : 'CERTIFIED'
  }
}

function inclusionOf({ leaf }: Request, { root, epoch, blob_ids }: Batch) {
  return inclusionToWire({ epoch, batchRoot: root, index: leaf!, proof: batchTree(blob_ids).proof(leaf!) })
}
