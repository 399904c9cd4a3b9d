import { IFlow__factory, IStorageMarket__factory } from '../../../typechain-types/index.ts'
import { ConfigError } from '../../runtime/config.ts'
import { type Follower, followLogs } from '../../runtime/follow.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { gauge } from '../../runtime/metrics.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { schema } from './config.ts'
import { Leases, migrations, SUBMIT_TOPIC, type Tables } from './leases.ts'
import { type Renewal, Renewals } from './renewals.ts'

/** With the queue's wait of at most an hour between tries, a renewal is tried for longer than a week. */
const ATTEMPTS = 200

/** Keeps the submissions of some uploaders alive: pays for the next period of a lease before it ends. */
export const leaseRenewer = defineKeeper({
  name: 'storage/renewer',
  schema,
  async create(config, runtime) {
    const { log, metrics, signal } = runtime
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const db = await runtime.database<Tables>(migrations)
    const wallet = await openWallet(config, chain.provider)
    const marketAddress = await IFlow__factory.connect(config.flow, chain.provider).market()
    const market = IStorageMarket__factory.connect(marketAddress, chain.provider)
    const [period, gracePeriod] = (await Promise.all([market.leasePeriod(), market.gracePeriod()])).map(Number) as [number, number]
    const renewBefore = config.renewBeforeSeconds ?? Math.ceil(period / 4)
    if (renewBefore >= period) throw new ConfigError([`renewBeforeSeconds is ${renewBefore}: expected less than the lease period, ${period} seconds`])

    const leases = new Leases(db, config.uploaders.length > 0 ? config.uploaders : [wallet.address])
    const sender = await runtime.sender({ chain, wallet, database: db, interfaces: [market.interface] })
    const queue = await runtime.queue<Renewal>('renewals', { attempts: ATTEMPTS })
    const checks = await runtime.queue<null>('checks', { attempts: 1 })
    const renewals = new Renewals({
      chain,
      market,
      marketAddress,
      leases,
      queue,
      sender,
      renewBefore,
      gracePeriod,
      maxPricePerSector: config.maxPricePerSector,
      log,
    })
    gauge(metrics, {
      name: 'leases',
      help: 'Submissions kept alive',
      async collect() {
        this.set(await leases.count())
      },
    })

    let follower: Follower | undefined
    const ready = async () => (follower ? (follower.problem() ?? sender.problem() ?? renewals.problem()) : 'not started')
    const http = runtime.http({ host: config.host, port: config.port, ready })
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
          log,
          metrics,
          signal,
          apply: (trx, range) => leases.apply(trx, range),
          rollback: (trx, toBlock) => leases.rollback(trx, toBlock),
        })
        await queue.process(({ data }) => renewals.renew(data))
        await checks.process(({ signal }) => renewals.check(signal))
        await checks.every('check', config.checkMs, null)
        await http.listen()
      },
      async stop() {
        await http.close()
      },
      ready,
      get url() {
        return http.url
      },
    }
  },
})
