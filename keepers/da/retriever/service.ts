import { status } from '@grpc/grpc-js'
import { hexlify } from 'ethers'
import { type RetrieveBlobRequest, RetrieverService } from '../../../sdk/da/wire.ts'
import { type ErrorCode, PerigeeError } from '../../../sdk/errors.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { GrpcCall, GrpcService } from '../../runtime/grpc-handler.ts'
import { Busy, type Retrievals } from './retrievals.ts'

/** The public retriever service. `storage_root` is the blob id; the epoch is a hint, and quorums there are none. */
export function retrieverService(retrievals: Retrievals): GrpcService {
  return {
    definition: RetrieverService,
    handlers: {
      async RetrieveBlob({ storageRoot, epoch }: RetrieveBlobRequest, { signal }: GrpcCall) {
        if (storageRoot.length !== 32) throw GrpcError.invalidArgument(`the storage root has ${storageRoot.length} bytes: expected the 32 of a blob id`)
        try {
          const { bytes } = await retrievals.blob(hexlify(storageRoot), { epoch: epoch > 0 ? epoch : undefined, signal })
          return { data: bytes }
        } catch (error) {
          if (error instanceof Busy) throw GrpcError.resourceExhausted(error.message)
          if (error instanceof PerigeeError) throw new GrpcError(CODES[error.code] ?? status.UNAVAILABLE, error.message)
          throw error
        }
      },
    },
  }
}

const CODES: Partial<Record<ErrorCode, status>> = {
  NOT_FOUND: status.NOT_FOUND,
  VERIFICATION_FAILED: status.DATA_LOSS,
}
