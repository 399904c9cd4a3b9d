// The messages of the .proto files beside this one, as they are received: every field is there. 64-bit numbers are numbers (none of theirs grows beyond
// 2^53; what is larger is no valid value), absent messages null, bytes views into the message they came in.

export interface WireBlob {
  scheme: number
  log2K: number
  log2T: number
  rowSize: number
  length: number
  rowRoot: Uint8Array
  rlcRoot: Uint8Array
}

export interface WireInclusion {
  epoch: number
  batchRoot: Uint8Array
  index: number
  proof: Uint8Array
}

export interface WirePayment {
  payer: Uint8Array
  disperser: Uint8Array
  fee: Uint8Array
  nonce: Uint8Array
  deadline: number
  signature: Uint8Array
}

export interface StoreRequest {
  epoch: number
  blob: WireBlob | null
  rlc: Uint8Array
  rows: Uint8Array
  paths: Uint8Array
  payment: WirePayment | null
}

export interface StoreReply {
  blobId: Uint8Array
  error: string
}

export interface SignRequest {
  epoch: number
  blobIds: Uint8Array[]
}

export interface SignReply {
  bls: Uint8Array
  ecdsa: Uint8Array
}

export interface GetBlobRequest {
  blobId: Uint8Array
}

export interface BlobDescription {
  blobId: Uint8Array
  blob: WireBlob | null
  rlc: Uint8Array
  inclusions: WireInclusion[]
  cursor: number
}

export interface GetRowsRequest {
  blobId: Uint8Array
  rows: number[]
}

export interface Rows {
  indices: number[]
  rows: Uint8Array
  paths: Uint8Array
}

export interface ChunkPosition {
  row: number
  chunk: number
}

export interface GetChunksRequest {
  blobId: Uint8Array
  positions: ChunkPosition[]
}

export interface Chunks {
  chunks: { data: Uint8Array; path: Uint8Array }[]
}

export interface ListBlobsRequest {
  cursor: number
}

export interface GetBatchRequest {
  batchRoot: Uint8Array
  epoch: number
}

export interface Batch {
  blobIds: Uint8Array[]
}

export interface SignerStatus {
  account: Uint8Array
  signerId: number
  epoch: number
  blobs: number
  bytes: number
}

export type Empty = Record<string, never>

export interface PutRequest {
  data: Uint8Array
  payment: WirePayment | null
}

export interface PutReply {
  requestId: Uint8Array
}

/** By one of them; the other is empty. */
export interface DispersalStatusRequest {
  requestId: Uint8Array
  blobId: Uint8Array
}

export type DispersalState = 'STATE_UNKNOWN' | 'ENCODING' | 'DISPERSING' | 'CERTIFYING' | 'CERTIFIED' | 'FINAL' | 'REFUSED' | 'NOT_ENOUGH_SIGNATURES'

export interface DispersalStatus {
  state: DispersalState
  reason: string
  blobId: Uint8Array
  blob: WireBlob | null
  inclusion: WireInclusion | null
  signedWeight: Uint8Array
  totalWeight: Uint8Array
  transactionHash: Uint8Array
  blockNumber: number
  elapsedMs: number
}

export interface Terms {
  disperser: Uint8Array
  chainId: number
  contract: Uint8Array
  maxBytes: number
  sponsors: boolean
}

export type BlobStatus = 'UNKNOWN' | 'PROCESSING' | 'CONFIRMED' | 'FAILED' | 'FINALIZED' | 'INSUFFICIENT_SIGNATURES'

export interface DisperseBlobRequest {
  data: Uint8Array
}

export interface DisperseBlobReply {
  result: BlobStatus
  requestId: Uint8Array
}

export interface BlobStatusRequest {
  requestId: Uint8Array
}

/** Of the public services: `storageRoot` is the blob id. */
export interface BlobHeader {
  storageRoot: Uint8Array
  epoch: number
  quorumId: number
}

export interface BlobStatusReply {
  status: BlobStatus
  info: { blobHeader: BlobHeader | null } | null
}

export type RetrieveBlobRequest = BlobHeader

export interface RetrieveBlobReply {
  data: Uint8Array
}
