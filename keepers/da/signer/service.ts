import { getBytes, hexlify } from 'ethers'
import type { GetBatchRequest, GetBlobRequest, ListBlobsRequest, SignerStatus, SignRequest, StoreReply, StoreRequest } from '../../../sdk/da/wire.ts'
import type { GrpcCall, GrpcHandler } from '../../runtime/grpc-handler.ts'
import type { Batches } from './batches.ts'
import type { Intake } from './intake.ts'
import type { Reading } from './reading.ts'

export interface SignerServiceOptions {
  intake: Intake
  batches: Batches
  reading: Reading
  status: () => Promise<Omit<SignerStatus, 'account'>>
  account: string
}

/** Blobs of one stream that are worked on together: while one is written, others are verified and the next is read. */
const AT_ONCE = 4

/** The handlers of perigee.da.v1.Signer. */
export const signerHandlers = ({ intake, batches, reading, status, account }: SignerServiceOptions): Record<string, GrpcHandler> => ({
  Store: (requests: AsyncIterable<StoreRequest>, { signal }: GrpcCall) => answersInOrder(requests, (request) => intake.accept(request, signal)),
  Sign: (request: SignRequest) => batches.sign(request),
  GetBlob: ({ blobId }: GetBlobRequest) => reading.blob(hexlify(blobId)),
  GetRows: (request) => reading.rows(request),
  GetChunks: (request) => reading.chunks(request),
  ListBlobs: ({ cursor }: ListBlobsRequest) => reading.certified(cursor),
  GetBatch: async ({ batchRoot, epoch }: GetBatchRequest) => ({ blobIds: (await batches.blobsOf(hexlify(batchRoot), epoch)).map((id) => getBytes(id)) }),
  GetStatus: async () => ({ account: getBytes(account), ...(await status()) }),
})

/** Answers requests in the order they came, some of them at once. */
async function* answersInOrder(requests: AsyncIterable<StoreRequest>, answer: (request: StoreRequest) => Promise<StoreReply>): AsyncGenerator<StoreReply> {
  const answers: Promise<StoreReply>[] = []
  let changed = Promise.withResolvers<void>()
  const change = () => {
    changed.resolve()
    changed = Promise.withResolvers<void>()
  }
  let ended: { error?: unknown } | undefined
  let left = false
  const read = async () => {
    for await (const request of requests) {
      answers.push(answer(request))
      change()
      while (answers.length >= AT_ONCE && !left) await changed.promise
      if (left) return
    }
  }
  void read()
    .then(
      () => {
        ended = {}
      },
      (error) => {
        ended = { error }
      },
    )
    .finally(change)
  try {
    for (;;) {
      const next = answers[0]
      if (next) {
        yield await next
        answers.shift()
        change()
      } else if (!ended) await changed.promise
      else if ('error' in ended) throw ended.error
      else return
    }
  } finally {
    left = true
    change()
  }
}
