import { getAddress, hexlify } from 'ethers'
import { MAX_BLOB_BYTES } from '../../../protocol/da/codes.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'
import { paymentFromWire } from '../../../sdk/da/messages.ts'
import type { DaReader } from '../../../sdk/da/reader.ts'
import { retrieve } from '../../../sdk/da/retrieve.ts'
import {
  type BlobStatusRequest,
  DispersalService,
  type DispersalStatusRequest,
  type DisperseBlobRequest,
  DisperserService,
  type PutRequest,
  type RetrieveBlobRequest,
  type Terms,
  type WirePayment,
} from '../../../sdk/da/wire.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { GrpcCall, GrpcService } from '../../runtime/grpc-handler.ts'
import type { BlobFiles } from './blob-files.ts'
import type { Intake } from './intake.ts'
import { storedPromise } from './payments.ts'
import type { Request, Requests } from './requests.ts'
import type { StoredPromise } from './schema.ts'
import type { Statuses } from './status.ts'

export interface ServicesOptions {
  intake: Intake
  requests: Requests
  statuses: Statuses
  files: BlobFiles
  reader: DaReader
  terms: Omit<Terms, 'maxBytes'>
}

/** Of the public service and of ours: what clients know it by is ASCII, a dash between two numbers in hex. */
const REQUEST_ID = /^[0-9a-f]{64}-[0-9a-f]{32}$/

const HASH_BYTES = 32
/** A blob id for promises whose blob is not known yet: only their form is looked at. */
const NO_BLOB = `0x${'00'.repeat(HASH_BYTES)}`

/** The public disperser service, with names, numbers and states as its clients know them. */
export function disperserService({ intake, requests, statuses, files, reader }: ServicesOptions): GrpcService {
  return {
    definition: DisperserService,
    handlers: {
      async DisperseBlob({ data }: DisperseBlobRequest, { peer }: GrpcCall) {
        return { result: 'PROCESSING', requestId: Buffer.from(await intake.accept(data, undefined, peer)) }
      },
      async GetBlobStatus({ requestId }: BlobStatusRequest) {
        return statuses.publicOf(await known(requests, requestId))
      },
      async RetrieveBlob({ storageRoot }: RetrieveBlobRequest, { signal }: GrpcCall) {
        const blobId = idOf(storageRoot, 'the storage root')
        const request = await requests.findCertified(blobId)
        const data = request === undefined ? undefined : await files.read(request)
        return { data: data ?? (await retrieved(reader, blobId, signal)) }
      },
    },
  }
}

/** Our own service: with payment, and telling all of a certificate. */
export function dispersalService({ intake, requests, statuses, terms }: ServicesOptions): GrpcService {
  return {
    definition: DispersalService,
    handlers: {
      async Put({ data, payment }: PutRequest, { peer }: GrpcCall) {
        const promise = payment ? promised(payment, terms) : undefined
        return { requestId: Buffer.from(await intake.accept(data, promise, peer)) }
      },
      async GetStatus({ requestId, blobId }: DispersalStatusRequest) {
        if (requestId.length > 0 && blobId.length > 0) throw GrpcError.invalidArgument('a request and a blob are named: expected one of them')
        if (requestId.length > 0) return statuses.ofRequest(await known(requests, requestId))
        const request = await requests.findBlob(idOf(blobId, 'the blob id'))
        if (!request) throw GrpcError.notFound(`the blob ${hexlify(blobId)} did not come by this disperser, or so long ago that it is forgotten`)
        return statuses.ofRequest(request)
      },
      async GetTerms(): Promise<Terms> {
        return { ...terms, maxBytes: MAX_BLOB_BYTES }
      },
    },
  }
}

async function known(requests: Requests, requestId: Uint8Array): Promise<Request> {
  const id = Buffer.from(requestId).toString('latin1')
  if (!REQUEST_ID.test(id))
    throw GrpcError.invalidArgument(`the request id has ${requestId.length} bytes and is none of ours: expected it as DisperseBlob or Put gave it`)
  const request = await requests.find(id)
  if (!request) throw GrpcError.notFound(`the request ${id} is not known here, or so old that it is forgotten`)
  return request
}

function idOf(bytes: Uint8Array, what: string): string {
  if (bytes.length !== HASH_BYTES) throw GrpcError.invalidArgument(`${what} has ${bytes.length} bytes: expected ${HASH_BYTES}`)
  return hexlify(bytes)
}

function promised(wire: WirePayment, { disperser }: Pick<Terms, 'disperser'>): StoredPromise {
  const us = getAddress(hexlify(disperser))
  try {
    const promise = storedPromise(paymentFromWire(wire, NO_BLOB))
    if (promise.disperser !== us) throw GrpcError.invalidArgument(`the promise is made to ${promise.disperser}: expected ${us}`)
    return promise
  } catch (error) {
    throw error instanceof DaFormatError ? GrpcError.invalidArgument(error.message) : error
  }
}

async function retrieved(reader: DaReader, blobId: string, signal: AbortSignal): Promise<Uint8Array> {
  try {
    return (await retrieve(reader, blobId, { signal })).bytes
  } catch (error) {
    if (!(error instanceof PerigeeError)) throw error
    throw error.code === 'NOT_FOUND' ? GrpcError.notFound(error.message) : GrpcError.unavailable(error.message)
  }
}
