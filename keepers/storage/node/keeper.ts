import { join } from 'node:path'
import { IndexerClient } from '../../../sdk/storage/indexer-client.ts'
import { type Follower, followLogs } from '../../runtime/follow.ts'
import { jsonRpc } from '../../runtime/jsonrpc.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { Adoption } from './adoption.ts'
import { announcement } from './announcement.ts'
import { schema } from './config.ts'
import { Downloads } from './downloads.ts'
import { FileStore } from './file-store.ts'
import { Finality } from './finality.ts'
import { FlowLog } from './flow-log.ts'
import { fileRoutes } from './http.ts'
import { Leases } from './leases.ts'
import { LogReader, TOPICS } from './log-reader.ts'
import { marketOf } from './market.ts'
import { observe } from './metrics.ts'
import { Receipts } from './receipts.ts'
import { Replication } from './replication.ts'
import { checkFolder, createRounds } from './rounds.ts'
import { rpcMethods } from './rpc.ts'
import { migrations, type Tables } from './schema.ts'
import { Scrub } from './scrub.ts'
import { Submissions } from './submissions.ts'
import { startUpkeep } from './upkeep.ts'
import { Uploads } from './uploads.ts'

/** Public clients send up to 10 MB; other makes of nodes take 100. */
const BODY_LIMIT = 100_000_000

/** Stores what is submitted to Flow, proves it has it, and serves it. */
export const storageNode = defineKeeper({
  name: 'storage/node',
  schema,
  async create(config, runtime) {
    const { log, metrics } = runtime
    const stopping = new AbortController()
    const signal = AbortSignal.any([stopping.signal, runtime.signal])
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const db = await runtime.database<Tables>(migrations)
    const store = await FileStore.open(join(config.dataDir, 'files'), config.reserveBytes)
    runtime.onClose(() => store.close())
    const market = await marketOf(chain, config.flow)
    const wallet = config.privateKey || config.keystore ? await openWallet(config) : undefined

    // What the last block applied says the time is, and that block.
    const synced = { number: Math.max(0, config.fromBlock - 1), hash: chain.genesisHash, time: 0 }
    const now = () => synced.time
    const [shardId, numShard] = config.shard.split('/').map(Number) as [number, number]
    const shard = { shardId, numShard }

    const submissions = new Submissions(db)
    const leases = new Leases({ submissions, store, market: market.leases, now, log })
    const receipts = new Receipts({ db, submissions, wallet, chainId: chain.chainId, flow: config.flow })
    const bookkeeping = () => leases.learn().then(() => receipts.issue())
    const finalized = () => void bookkeeping().catch((error) => log.warn({ err: error }, 'no receipt yet'))
    const finality = new Finality({ submissions, store, shard, finalized, log })
    const uploads = new Uploads({ submissions, store, finality, leases, shard, earlyBytes: config.earlyBytes })
    const indexer = config.indexer === undefined ? undefined : new IndexerClient(config.indexer)
    const replication = new Replication({ store, finality, peers: config.peers, indexer, signal, log })
    const repair = async (submission: Parameters<Replication['fetch']>[0]) => void (await replication.fetch(submission, { partial: true }))
    const downloads = new Downloads({ store, finality, repair, log })
    const flowLog = new FlowLog({ db, submissions, downloads, log })
    let follower: Follower | undefined
    const upToDate = () => follower !== undefined && follower.problem() === undefined
    const scrub = new Scrub({ submissions, store, finality, leases, upToDate, log })
    const rounds = createRounds({ db, config, submissions, store, uploads, finality, replication, scrub, leases, receipts, now, log })

    const announced =
      indexer && config.publicUrl ? { announce: announcement({ indexer, publicUrl: config.publicUrl, everyMs: config.announceMs, log }) } : undefined

    const ready = async () => (follower ? follower.problem() : 'not started')
    const http = runtime.http({ host: config.host, port: config.port, ready, bodyLimit: BODY_LIMIT, maxBodyBytes: config.maxInflightBytes })
    const context = { submissions, store, uploads, downloads, leases, receipts, flowLog, shard }
    const identity = { chainId: chain.chainId, flow: config.flow, syncedTo: () => synced, connectedPeers: config.peers.length }
    http.app.register(jsonRpc(rpcMethods({ ...context, ...identity }), { log }))
    http.app.register(fileRoutes(context))
    observe(metrics, { db, submissions })

    return {
      async start() {
        await checkFolder({ db, store, submissions, log })
        const adoption = new Adoption(submissions, await submissions.count(), (submission) => uploads.adopt(submission))
        const reader = new LogReader(submissions, config.flow)
        follower = await followLogs({
          chain,
          database: db,
          name: 'flow',
          address: [config.flow, market.address],
          topics: TOPICS,
          fromBlock: config.fromBlock,
          confirmations: config.confirmations,
          log,
          metrics,
          signal,
          async apply(trx, range) {
            await reader.apply(trx, range)
            const { number, hash, timestamp } = range.blocks.get(range.toBlock)!
            const committed = async () => {
              Object.assign(synced, { number, hash, time: timestamp ?? synced.time })
              submissions.forget()
              await adoption.advance()
              await bookkeeping()
            }
            void follower!
              .reached(number)
              .then(committed)
              .catch((error) => log.error({ err: error, block: number }, 'new submissions could not be looked at: trying again with the next block'))
          },
          async rollback(trx, toBlock) {
            adoption.retreat(await reader.rollback(trx, toBlock))
          },
        })
        const block = await chain.block(Math.max(0, follower.position()))
        if (block && synced.time === 0) Object.assign(synced, { number: block.number, hash: block.hash, time: block.timestamp })
        await http.listen()
        await startUpkeep(await runtime.queue('upkeep', { attempts: 1, graceMs: 2000 }), { ...rounds, ...announced })
      },
      async stop() {
        await http.close()
        stopping.abort()
        await follower?.done.catch(() => {})
      },
      ready,
      get url() {
        return http.url
      },
    }
  },
})
