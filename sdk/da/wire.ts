import { join } from 'node:path'
import { loadPackageDefinition, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { type CallLimits, GrpcClient, type GrpcOptions } from './grpc-client.ts'
import { StoreStream } from './store-stream.ts'
import type { Anywhere } from './strangers.ts'
import type {
  Batch,
  BlobDescription,
  BlobStatusReply,
  BlobStatusRequest,
  Chunks,
  DispersalStatus,
  DispersalStatusRequest,
  DisperseBlobReply,
  DisperseBlobRequest,
  GetBatchRequest,
  GetBlobRequest,
  GetChunksRequest,
  GetRowsRequest,
  ListBlobsRequest,
  PutReply,
  PutRequest,
  RetrieveBlobReply,
  RetrieveBlobRequest,
  Rows,
  SignerStatus,
  SignReply,
  SignRequest,
  Terms,
} from './wire/types.ts'

export type * from './wire/types.ts'

/** Largest message that signers and dispersers receive: all rows of the largest blob with their paths (41 MiB), and some. */
export const MAX_MESSAGE_BYTES = 96 * 1024 * 1024

/** A signer sends rows in portions of at most so many bytes, so that whoever asks many signers at once knows how much memory that takes. */
export const MAX_PORTION_BYTES = 4 * 1024 * 1024

/** Rows with their paths and indices, or a blob's description. */
const MAX_SIGNER_REPLY = 2 * MAX_PORTION_BYTES

/** The combinations of the largest code, and hundreds of batches. */
const MAX_DESCRIPTION = 512 * 1024
/** A chunk, its path and what is around them. */
const MAX_CHUNK_REPLY = 2048
/** The ids of the largest batch. */
const MAX_BATCH = 256 * 1024

/** Most bytes of the requests to signers that have lists: what is not read cannot be made of two bytes for each entry of a list. */
export const SIGNER_REQUEST_BYTES = { Sign: 256 * 1024, GetRows: 256 * 1024, GetChunks: 256 * 1024 }

/** The definitions that reflection tells to those who ask a server. */
export const wirePackage = loadSync(['disperser.proto', 'retriever.proto', 'signer.proto', 'dispersal.proto'], {
  includeDirs: [join(import.meta.dirname, 'wire')],
  longs: Number,
  enums: String,
  defaults: true,
  arrays: true,
})

const { disperser, retriever, perigee } = loadPackageDefinition(wirePackage) as any

export const DisperserService = disperser.Disperser.service as ServiceDefinition
export const RetrieverService = retriever.Retriever.service as ServiceDefinition
export const SignerService = perigee.da.v1.Signer.service as ServiceDefinition
export const DispersalService = perigee.da.v1.Dispersal.service as ServiceDefinition

export type CallOptions = Pick<CallLimits, 'timeout' | 'signal'>

/** A signer. Every call throws PerigeeError: NOT_FOUND, NETWORK, TIMEOUT, USAGE for what it calls malformed, or REMOTE. */
export interface SignerClient {
  readonly url: string
  /** Opens a stream of blobs to store. */
  store(options?: Pick<CallOptions, 'signal'>): StoreStream
  sign(request: SignRequest, options?: CallOptions): Promise<SignReply>
  getBlob(request: GetBlobRequest, options?: CallOptions): Promise<BlobDescription>
  getRows(request: GetRowsRequest, options?: CallOptions): AsyncGenerator<Rows>
  getChunks(request: GetChunksRequest, options?: CallOptions): Promise<Chunks>
  listBlobs(request: ListBlobsRequest, options?: CallOptions): AsyncGenerator<BlobDescription>
  getBatch(request: GetBatchRequest, options?: CallOptions): Promise<Batch>
  getStatus(options?: CallOptions): Promise<SignerStatus>
  close(): void
}

/**
 * Connects a signer, when it is first called. Where `url` is what it registered, say with `anywhere` whether that may be a private address.
 * @throws PerigeeError USAGE unless `url` is host:port.
 */
export function connectSigner(url: string, { anywhere }: Pick<GrpcOptions, 'anywhere'> = {}): SignerClient {
  const client = connect(url, MAX_SIGNER_REPLY, anywhere)
  const { Store, Sign, GetBlob, GetRows, GetChunks, ListBlobs, GetBatch, GetStatus } = SignerService
  return {
    url,
    store: (options) => new StoreStream(client, Store!, options),
    sign: (request, options) => client.unary(Sign!, request, options),
    getBlob: (request, options) => client.unary(GetBlob!, request, { ...options, maxReply: MAX_DESCRIPTION }),
    getRows: (request, options) => client.stream(GetRows!, request, options),
    getChunks: (request, options) => client.unary(GetChunks!, request, { ...options, maxReply: request.positions.length * MAX_CHUNK_REPLY }),
    listBlobs: (request, options) => client.stream(ListBlobs!, request, { ...options, maxReply: MAX_DESCRIPTION }),
    getBatch: (request, options) => client.unary(GetBatch!, request, { ...options, maxReply: MAX_BATCH }),
    getStatus: (options) => client.unary(GetStatus!, {}, options),
    close: () => client.close(),
  }
}

/** A disperser: its own service, and the public one beside it. Errors as a signer's. */
export interface DisperserClient {
  readonly url: string
  put(request: PutRequest, options?: CallOptions): Promise<PutReply>
  getStatus(request: DispersalStatusRequest, options?: CallOptions): Promise<DispersalStatus>
  getTerms(options?: CallOptions): Promise<Terms>
  disperseBlob(request: DisperseBlobRequest, options?: CallOptions): Promise<DisperseBlobReply>
  getBlobStatus(request: BlobStatusRequest, options?: CallOptions): Promise<BlobStatusReply>
  retrieveBlob(request: RetrieveBlobRequest, options?: CallOptions): Promise<RetrieveBlobReply>
  close(): void
}

/** Connects a disperser, when it is first called. @throws PerigeeError USAGE unless `url` is host:port. */
export function connectDisperser(url: string): DisperserClient {
  const client = connect(url, MAX_MESSAGE_BYTES)
  const { Put, GetStatus, GetTerms } = DispersalService
  const { DisperseBlob, GetBlobStatus, RetrieveBlob } = DisperserService
  return {
    url,
    put: (request, options) => client.unary(Put!, request, options),
    getStatus: (request, options) => client.unary(GetStatus!, request, options),
    getTerms: (options) => client.unary(GetTerms!, {}, options),
    disperseBlob: (request, options) => client.unary(DisperseBlob!, request, options),
    getBlobStatus: (request, options) => client.unary(GetBlobStatus!, request, options),
    retrieveBlob: (request, options) => client.unary(RetrieveBlob!, request, options),
    close: () => client.close(),
  }
}

export interface RetrieverClient {
  readonly url: string
  retrieveBlob(request: RetrieveBlobRequest, options?: CallOptions): Promise<RetrieveBlobReply>
  close(): void
}

/** Connects a retriever, when it is first called. @throws PerigeeError USAGE unless `url` is host:port. */
export function connectRetriever(url: string): RetrieverClient {
  const client = connect(url, MAX_MESSAGE_BYTES)
  return {
    url,
    retrieveBlob: (request, options) => client.unary(RetrieverService.RetrieveBlob!, request, options),
    close: () => client.close(),
  }
}

const connect = (url: string, maxReceive: number, anywhere?: Anywhere): GrpcClient => new GrpcClient(url, { maxReceive, maxSend: MAX_MESSAGE_BYTES, anywhere })
