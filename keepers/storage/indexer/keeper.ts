import { jsonRpc } from '../../runtime/jsonrpc.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { gauge } from '../../runtime/metrics.ts'
import { isLoopback, strangersAgent } from '../../runtime/public-agent.ts'
import { schema } from './config.ts'
import { Discovery } from './discovery.ts'
import { gateway } from './gateway.ts'
import { NodeDirectory } from './node-directory.ts'
import { rpcMethods } from './rpc.ts'

/** An answer of a storage node to what it is asked here is a few hundred bytes. */
const ANSWER_BYTES = 65_536
const CONNECT_MS = 1500

/** Tells clients which storage nodes answer and which hold a file, and serves files over plain HTTP. */
export const indexer = defineKeeper({
  name: 'storage/indexer',
  schema,
  async create(config, { log, metrics, http: openHttp }) {
    const directory = new NodeDirectory({ nodes: config.nodes, pollMs: config.healthMs, log })
    const discovery = config.discover
      ? new Discovery({
          network: () => directory.network(),
          trusted: config.nodes,
          capacity: config.maxDiscovered,
          pollMs: config.discoveredHealthMs,
          dispatcher: strangersAgent({ anywhere: isLoopback(config.host), connectMs: CONNECT_MS, connections: 1, maxResponseSize: ANSWER_BYTES }),
          log,
        })
      : undefined
    const ready = async () => (directory.live().length > 0 ? undefined : `none of ${config.nodes.length} storage nodes answers`)
    const http = openHttp({ host: config.host, port: config.port, ready })
    http.app.register(jsonRpc(rpcMethods(directory, discovery), { log }))
    http.app.register(gateway(directory, discovery))
    gauge(metrics, {
      name: 'storage_indexer_live_nodes',
      help: 'Storage nodes that answer',
      collect() {
        this.set(directory.live().length)
      },
    })
    gauge(metrics, {
      name: 'storage_indexer_discovered_nodes',
      help: 'Nodes that announced themselves and answer',
      collect() {
        this.set(discovery?.live().length ?? 0)
      },
    })
    return {
      async start() {
        await directory.start()
        await http.listen()
      },
      async stop() {
        directory.stop()
        await discovery?.stop()
        await http.close()
      },
      ready,
      get url() {
        return http.url
      },
    }
  },
})
