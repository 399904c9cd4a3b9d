import { getBytes, hexlify } from 'ethers'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { createGrpc } from '../../../keepers/runtime/grpc.ts'
import { GrpcError } from '../../../keepers/runtime/grpc-error.ts'
import { blobToWire, inclusionToWire } from '../../../sdk/da/messages.ts'
import { type BlobDescription, type Chunks, type GetChunksRequest, type ListBlobsRequest, SignerService } from '../../../sdk/da/wire.ts'
import type { TestBlob } from './network.ts'

/** Serves rows as a signer of that account does, and on request as one that is broken. */
export async function startRowServer(account: string, port = 0) {
  const blobs: TestBlob[] = []
  const server = {
    blobs,
    url: '',
    /** Calls for chunks that were made, and that were cancelled before they were answered. */
    asked: 0,
    cancelled: 0,
    /** What becomes of a listed blob before it is sent. */
    describe: (description: BlobDescription): BlobDescription => description,
    /** What becomes of chunks before they are sent. */
    change: (chunks: Chunks['chunks']): Chunks['chunks'] => chunks,
    /** Chunks are not answered before this is. */
    hold: undefined as Promise<void> | undefined,
    close: () => grpc.close(),
  }

  async function* listBlobs({ cursor }: ListBlobsRequest): AsyncGenerator<BlobDescription> {
    for (let i = cursor; i < blobs.length; i++) {
      const { blobId, blob, rows, inclusion } = blobs[i]!
      const description = { blobId: getBytes(blobId), blob: blobToWire(blob), rlc: rows.rlc, inclusions: [inclusionToWire(inclusion)], cursor: i + 1 }
      yield server.describe(description)
    }
  }
  async function getChunks({ blobId, positions }: GetChunksRequest, { signal }: { signal: AbortSignal }): Promise<Chunks> {
    server.asked++
    if (server.hold) {
      const gone = new Promise<'gone'>((resolve) => signal.addEventListener('abort', () => resolve('gone'), { once: true }))
      if ((await Promise.race([server.hold, gone])) === 'gone') server.cancelled++
    }
    const held = blobs.find((each) => each.blobId === hexlify(blobId))
    if (!held) throw GrpcError.notFound('no such blob')
    const chunks = positions.map(({ row, chunk }) => ({
      data: held.rows.row(row).slice(512 * chunk, 512 * chunk + 512),
      path: held.rows.chunkPath(row, chunk),
    }))
    return { chunks: server.change(chunks) }
  }
  const refused = async () => {
    throw GrpcError.invalidArgument('a sampler does not ask for this')
  }
  const grpc = createGrpc({
    host: '127.0.0.1',
    port,
    log: pino({ level: 'silent' }),
    metrics: new Registry(),
    ready: async () => undefined,
    services: [
      {
        definition: SignerService,
        handlers: {
          Store: refused,
          Sign: refused,
          GetBlob: refused,
          GetRows: refused,
          GetChunks: getChunks,
          ListBlobs: listBlobs,
          GetBatch: refused,
          GetStatus: async () => ({ account: getBytes(account), signerId: 1, epoch: 1, blobs: blobs.length, bytes: 0 }),
        },
      },
    ],
  })
  server.url = await grpc.listen()
  return server
}
export type RowServer = Awaited<ReturnType<typeof startRowServer>>
