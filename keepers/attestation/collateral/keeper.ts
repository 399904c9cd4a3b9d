import { simulatedSource } from '../../../sdk/attestation/collateral-source.ts'
import { pcsSource } from '../../../sdk/attestation/pcs.ts'
import { ICollateralRegistry__factory } from '../../../typechain-types/index.ts'
import { ConfigError } from '../../runtime/config.ts'
import { type Follower, followLogs } from '../../runtime/follow.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { schema } from './config.ts'
import { Expiries } from './expiries.ts'
import { migrations, Platforms, type Tables, TOPICS } from './platforms.ts'
import { Publisher } from './publisher.ts'
import { unlessAborted } from './unless-aborted.ts'

/** What an operator should do about a refusal of the registry. */
const ADVICE = {
  InvalidSignature: 'the source serves something its issuer did not sign: is it the right one?',
  UnknownIssuer: 'the source serves documents of another authority than the root of this registry',
}

/** With waits of 1, 2, 4 … seconds between them: a check that fails for longer is made anew at its next time. */
const ATTEMPTS = 6

/** Keeps the collateral on chain, by which quotes are judged, from running out: asks its source, publishes what is due, and alerts in time. */
export const collateralKeeper = defineKeeper({
  name: 'attestation/collateral',
  schema,
  async create(config, runtime) {
    const { log, metrics, signal } = runtime
    if (config.warnBeforeSeconds >= config.renewBeforeSeconds) {
      throw new ConfigError([`warnBeforeSeconds is ${config.warnBeforeSeconds}: expected less than renewBeforeSeconds, ${config.renewBeforeSeconds}`])
    }
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const db = await runtime.database<Tables>(migrations)
    const wallet = await openWallet(config, chain.provider)
    const registry = ICollateralRegistry__factory.connect(config.collateral, chain.provider)
    const sender = await runtime.sender({ chain, wallet, database: db, interfaces: [registry.interface], advice: ADVICE, stuckMs: config.patienceMs })
    const checks = await runtime.queue<null>('checks', { attempts: ATTEMPTS })
    const now = async () => new Date((await chain.head()).timestamp * 1000)
    const source =
      config.simulatedTee === undefined
        ? pcsSource(config.pcsUrl, config.rootCrlUrl === undefined ? {} : { rootCrlUrl: config.rootCrlUrl })
        : simulatedSource(config.simulatedTee, now)
    const platforms = new Platforms(db)
    const expiries = new Expiries({
      registry,
      warnBefore: config.warnBeforeSeconds,
      errorBefore: config.errorBeforeSeconds,
      fmspcs: config.fmspcs,
      log,
      metrics,
    })
    const publisher = new Publisher({
      registry,
      address: config.collateral,
      source,
      platforms,
      fmspcs: config.fmspcs,
      renewBefore: config.renewBeforeSeconds,
      patienceMs: config.patienceMs,
      sender,
      log,
      metrics,
    })

    let follower: Follower | undefined
    const ready = async () => {
      if (!follower) return 'not started'
      const ending = expiries.problem()
      const why = publisher.problem()
      return follower.problem() ?? sender.problem() ?? (ending === undefined ? undefined : `${ending}${why === undefined ? '' : ` (${why})`}`)
    }
    const http = runtime.http({ host: config.host, port: config.port, ready })
    return {
      async start() {
        follower = await followLogs({
          chain,
          database: db,
          name: 'collateral',
          address: config.collateral,
          topics: TOPICS,
          fromBlock: config.fromBlock,
          confirmations: config.confirmations,
          log,
          metrics,
          signal,
          apply: (trx, range) => platforms.apply(trx, range),
          rollback: (trx, toBlock) => platforms.rollback(trx, toBlock),
        })
        await checks.process(async ({ signal }) => {
          await unlessAborted(follower!.reached((await chain.head()).number - config.confirmations), signal)
          const kinds = await platforms.kinds()
          try {
            await publisher.publish(kinds, await now(), signal)
          } finally {
            // Also when nothing could be published: then above all.
            await expiries.look(kinds, (await now()).getTime() / 1000)
          }
        })
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
