import { simulatedSource } from '../../../sdk/attestation/collateral-source.ts'
import { openTee } from '../../../sdk/attestation/open-tee.ts'
import { pcsSource } from '../../../sdk/attestation/pcs.ts'
import { IInferenceServing__factory, IReceiptDisputes__factory, ITeeSignerRegistry__factory } from '../../../typechain-types/index.ts'
import { ConfigError } from '../../runtime/config.ts'
import { type Follower, followLogs } from '../../runtime/follow.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { Access } from './access.ts'
import { Accounts } from './accounts.ts'
import { Answers } from './answers.ts'
import { openBackend } from './backend.ts'
import { Completions } from './completions.ts'
import { schema } from './config.ts'
import { Enclave, SIGNER_PATH } from './enclave.ts'
import { BODY_LIMIT, EXPOSED_HEADERS, providerRoutes } from './http.ts'
import { Journal } from './journal.ts'
import { observe } from './metrics.ts'
import { Models } from './models.ts'
import { News } from './news.ts'
import { Registration } from './registration.ts'
import { Replays } from './replays.ts'
import { serviceParams } from './service-params.ts'
import { settlementMetrics } from './settlement/metrics.ts'
import { Settlement } from './settlement/settlement.ts'
import { Receipts, Signing } from './signing.ts'
import { SigningThread } from './signing-thread.ts'
import { Slots } from './slots.ts'
import { Spend } from './spend.ts'
import { Standing } from './standing.ts'
import { migrations, type Tables } from './tables.ts'
import { Terms } from './terms.ts'
import { type Rounds, startUpkeep } from './upkeep.ts'

/** Chains whose registry takes quotes of a simulated TEE. */
const LOCAL_CHAINS = [31337, 1337]
const STANDING_MS = 10_000
const REGISTRATION_MS = 600_000
const PRUNE_MS = 3_600_000

/** Sells answers of a model: OpenAI's API, paid by session tokens, each answer with a receipt that the enclave signed. */
export const computeProvider = defineKeeper({
  name: 'compute/provider',
  schema,
  async create(config, runtime) {
    const { log, metrics } = runtime
    const stopping = new AbortController()
    const signal = AbortSignal.any([stopping.signal, runtime.signal])
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    if (config.simulatedTee !== undefined && !LOCAL_CHAINS.includes(chain.chainId)) {
      throw new ConfigError([`simulatedTee is set on chain ${chain.chainId}: a simulated TEE proves nothing, and counts on local chains only`])
    }
    const db = await runtime.database<Tables>(migrations)
    const wallet = await openWallet(config, chain.provider)
    const provider = wallet.address
    const serving = IInferenceServing__factory.connect(config.inference, chain.provider)
    const registry = ITeeSignerRegistry__factory.connect(config.registry, chain.provider)
    const sender = await runtime.sender({
      chain,
      wallet,
      database: db,
      interfaces: [serving.interface, registry.interface, IReceiptDisputes__factory.createInterface()],
    })

    const tee = openTee({ application: 'compute/provider', instance: `compute/provider/${provider}`, simulated: config.simulatedTee, dstack: config.dstack })
    const receiptContext = { chainId: chain.chainId, contract: config.inference, provider }
    const receipts = new Receipts(receiptContext)
    const secret = await tee.key(SIGNER_PATH)
    const signing = new Signing(secret, receipts)
    const thread = new SigningThread(signing.address, { secret, context: receiptContext })
    runtime.onClose(() => thread.close())
    const enclave = new Enclave({ tee, signing, chain, registry: config.registry })
    const backend = await openBackend(config, log)
    runtime.onClose(() => backend.close())

    const terms = new Terms(serving, provider)
    const standing = new Standing({ terms, registry, signer: signing.address })
    const models = new Models(backend)
    const now = async () => new Date((await chain.head()).timestamp * 1000)
    const registration = new Registration({
      chain,
      tee,
      signer: signing.address,
      registry: config.registry,
      serving,
      inference: config.inference,
      source: config.simulatedTee === undefined ? pcsSource() : simulatedSource(config.simulatedTee, now),
      sender,
      service: config.autoRegister ? async () => serviceParams(config, { url: http.url, models: await models.list(), signer: signing.address }) : undefined,
      log,
    })

    const spend = await Spend.load(db)
    const journal = new Journal({ db, spend, signing: thread, log, metrics, signal: runtime.signal })
    let follower: Follower | undefined
    const news = new News({ problem: () => (follower ? follower.problem() : 'not started'), staleMs: config.staleMs, signal })
    const caughtUp = async () => follower?.reached((await chain.head()).number - config.confirmations)
    const accounts = new Accounts({ serving, provider, db, caughtUp: async () => void (await caughtUp()) })
    const slots = new Slots(config)
    const access = new Access({ provider, accounts, spend, terms, minimumReserve: config.minimumReserve })
    const answers = new Answers({ db, receipts, chainId: chain.chainId, contract: config.inference, keepDays: config.keepDays })
    const completions = new Completions({
      ...config,
      access,
      backend,
      models,
      journal,
      replays: new Replays(db),
      slots,
      terms,
      provider,
      problem: () => news.problem() ?? standing.problem() ?? journal.problem(),
      log,
      metrics,
    })

    const settlement = new Settlement({
      db,
      chain,
      sender,
      serving,
      inference: config.inference,
      disputes:
        config.disputes === undefined ? undefined : { contract: IReceiptDisputes__factory.connect(config.disputes, chain.provider), address: config.disputes },
      provider,
      receipts,
      signing,
      spend,
      config,
      follower: () => follower,
      confirmations: config.confirmations,
      metrics: settlementMetrics(metrics),
      log,
    })

    const ready = async () =>
      follower === undefined
        ? 'not started'
        : (follower.problem() ??
          registration.problem() ??
          standing.problem() ??
          journal.problem() ??
          settlement.problem() ??
          sender.problem() ??
          backend.problem())
    const http = runtime.http({
      host: config.host,
      port: config.port,
      ready,
      bodyLimit: BODY_LIMIT,
      maxBodyBytes: 4 * BODY_LIMIT,
      exposedHeaders: EXPOSED_HEADERS,
    })
    const simulated = config.simulatedTee !== undefined
    const context = { access, answers, completions, enclave, models, spend, standing, terms, simulated, verifiability: config.verifiability, metrics }
    http.app.register(providerRoutes(context))
    observe(metrics, { slots, spend, standing })

    const refresh = () => standing.refresh().catch((error) => log.debug({ err: error }, 'the service could not be looked up'))
    const register = async () => {
      await registration.ensure()
      await refresh()
    }
    const rounds: Rounds = {
      standing: { everyMs: STANDING_MS, run: refresh },
      registration: { everyMs: REGISTRATION_MS, run: register },
      settle: { everyMs: config.settleMs, run: () => settlement.round() },
      prune: { everyMs: PRUNE_MS, run: () => answers.prune(terms.now()) },
    }
    return {
      async start() {
        terms.at((await chain.head()).timestamp)
        follower = await followLogs({
          chain,
          database: db,
          name: 'inference',
          address: [config.inference, config.registry, ...(config.disputes === undefined ? [] : [config.disputes])],
          fromBlock: config.fromBlock,
          confirmations: config.confirmations,
          log,
          metrics,
          signal,
          async apply(trx, range) {
            const { timestamp } = range.blocks.get(range.toBlock)!
            if (timestamp !== undefined) terms.at(timestamp)
            await accounts.apply(trx, range)
            await settlement.apply(trx, range)
            if (range.logs.length > 0) void refresh()
          },
          async rollback(trx, toBlock) {
            await accounts.rollback(trx, toBlock)
            await settlement.rollback(trx, toBlock)
            void refresh()
          },
        })
        await http.listen()
        await register()
        await startUpkeep(await runtime.queue('upkeep', { attempts: 1, graceMs: 2000 }), rounds)
      },
      async stop() {
        await http.close()
        await journal.close()
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
