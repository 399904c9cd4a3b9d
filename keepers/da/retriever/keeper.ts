import { MAX_BLOB_BYTES } from '../../../protocol/da/codes.ts'
import { connectAvailability } from '../../../sdk/da/contracts.ts'
import { openDaReader } from '../../../sdk/da/reader.ts'
import { reasonOf } from '../../../sdk/errors.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { schema } from './config.ts'
import { blobRoutes } from './http.ts'
import { Retrievals, WAITING } from './retrievals.ts'
import { retrieverService } from './service.ts'

/** A blob, and what a message has beside it. */
const MAX_MESSAGE_BYTES = MAX_BLOB_BYTES + 65_536

/** Fetches blobs from their signers for whoever asks over gRPC or HTTP, and serves verified bytes only. */
export const retriever = defineKeeper({
  name: 'da/retriever',
  schema,
  async create(config, runtime) {
    const { log, metrics } = runtime
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const { codecThreads: threads, privateSigners } = config
    const reader = openDaReader(connectAvailability(config.dataAvailability, chain.provider), { threads, privateSigners })
    runtime.onClose(() => reader.close())
    const retrievals = new Retrievals({ reader, parallel: config.parallel, cacheBytes: config.cacheBytes, metrics, log })
    const ready = async () => reader.epochs.current().then(() => undefined, reasonOf)
    const grpc = runtime.grpc({
      host: config.host,
      port: config.port,
      ready,
      services: [retrieverService(retrievals)],
      maxMessageBytes: MAX_MESSAGE_BYTES,
      // Each answer is a copy of a blob until its reader has taken it.
      maxCalls: config.parallel + WAITING,
    })
    const http = runtime.http({ host: config.host, port: config.httpPort, ready })
    http.app.register(blobRoutes(retrievals))
    return {
      async start() {
        await http.listen()
        await grpc.listen()
      },
      async stop() {
        await Promise.all([grpc.close(), http.close()])
      },
      ready,
      get url() {
        return grpc.url
      },
    }
  },
})
