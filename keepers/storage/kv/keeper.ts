import { type Follower, followLogs } from '../../runtime/follow.ts'
import { jsonRpc } from '../../runtime/jsonrpc.ts'
import { defineKeeper, type Keeper, type Runtime } from '../../runtime/keeper.ts'
import { type KvConfig, kvConfig } from './config.ts'
import { record, rollback, SUBMIT_TOPIC, watch } from './log.ts'
import { createKvMetrics } from './metrics.ts'
import { Replay } from './replay.ts'
import { kvMethods } from './rpc.ts'
import { type KvSchema, migrations } from './schema.ts'

/** Replays the key-value streams of the log and serves them. */
export const kvKeeper = defineKeeper({ name: 'storage/kv', schema: kvConfig, create: createKvKeeper })

export async function createKvKeeper(config: KvConfig, runtime: Runtime): Promise<Keeper> {
  const { log, metrics, signal } = runtime
  const db = await runtime.database<KvSchema>(migrations)
  const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
  const watched = config.streams.length > 0 ? config.streams : undefined
  const again = await db.transaction().execute((trx) => watch(trx, watched ?? 'all'))
  if (again) log.warn({ streams: watched ?? 'all' }, 'the watched streams have changed: every submission is decided again')

  const replay = new Replay({
    db,
    provider: chain.provider,
    source: { indexer: config.indexer, nodes: config.nodes },
    watched: (stream) => !watched || watched.includes(stream),
    dataWait: config.dataWaitSeconds * 1000,
    lateData: config.lateDataHours * 3_600_000,
    metrics: createKvMetrics(metrics, db),
    log,
  })
  let follower: Follower | undefined
  const ready = async (): Promise<string | undefined> => (follower ? (follower.problem() ?? replay.problem()) : 'not started')
  const http = runtime.http({ host: config.host, port: config.port, ready })
  await http.app.register(jsonRpc(kvMethods(db, watched), { log }))

  return {
    async start() {
      follower = await followLogs({
        chain,
        database: db,
        name: 'flow',
        address: config.flow,
        topics: [SUBMIT_TOPIC],
        fromBlock: config.fromBlock,
        confirmations: config.confirmations,
        async apply(trx, { logs }) {
          await record(trx, logs)
        },
        rollback,
        log,
        metrics,
        signal,
      })
      replay.start()
      await http.listen()
    },
    stop: () => replay.stop(),
    ready,
    get url() {
      return http.url
    },
  }
}
