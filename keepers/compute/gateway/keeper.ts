import { checkRegistry } from '../../../sdk/attestation/verify-signer.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { IInferenceServing__factory, ITeeSignerRegistry__factory } from '../../../typechain-types/index.ts'
import { ConfigError } from '../../runtime/config.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { gauge } from '../../runtime/metrics.ts'
import { isLoopback, strangersAgent } from '../../runtime/public-agent.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { schema } from './config.ts'
import { Decisions } from './decisions.ts'
import { Directory } from './directory.ts'
import { Health } from './health.ts'
import { gatewayRoutes } from './http.ts'
import { Idempotency, migrations, type Tables } from './idempotency.ts'
import { Receipts } from './receipts.ts'
import { Relay } from './relay.ts'
import { Sessions } from './sessions.ts'
import { Users } from './users.ts'

/** As providers take them. */
const BODY_LIMIT = 32 * 1024 * 1024
const CONNECT_MS = 5000
/** Requests to one provider at a time. */
const CONNECTIONS = 512
/** A decision is about a kilobyte. */
const DECISIONS = 10_000
const SWEEP_MS = 600_000

/** One OpenAI endpoint before all providers: picks one for each request, pays from the account of its key, and checks what comes back. */
export const gateway = defineKeeper({
  name: 'compute/gateway',
  schema,
  async create(config, runtime) {
    const { log, metrics, signal } = runtime
    if (Object.keys(config.apiKeys).length === 0 && !isLoopback(config.host)) {
      throw new ConfigError([`host is ${config.host} and there are no apiKeys: whoever reaches it would spend this account's money; set API_KEYS`])
    }
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const db = await runtime.database<Tables>(migrations)
    const sweeps = await runtime.queue<null>('sweeps', { attempts: 1 })
    const wallet = await openWallet(config, chain.provider)
    const inference = IInferenceServing__factory.connect(config.inference, chain.provider)
    const registry = ITeeSignerRegistry__factory.connect(config.registry, chain.provider)
    const dispatcher = strangersAgent({ anywhere: isLoopback(config.host), connectMs: CONNECT_MS, connections: CONNECTIONS })
    runtime.onClose(() => dispatcher.destroy())

    const healths = new Map<string, Health>()
    const health = (address: string): Health => {
      const known = healths.get(address) ?? new Health()
      healths.set(address, known)
      return known
    }
    const trusted = async () => {
      const { check } = await checkRegistry(registry, config)
      if (!check.ok) throw new PerigeeError('VERIFICATION_FAILED', `the registry at ${config.registry} is not trusted: its root is ${check.detail}`)
    }
    const directory = new Directory({
      chain,
      inference,
      registry,
      trusted,
      account: wallet.address,
      only: config.providers,
      refreshMs: config.refreshMs,
      health,
      dispatcher,
      log,
      signal,
    })
    runtime.onClose(() => directory.stopped())
    const decisions = new Decisions(DECISIONS)
    const idempotency = new Idempotency(db)
    const relay = new Relay({ config, directory, health, sessions: new Sessions(wallet), idempotency, decisions, dispatcher, metrics })
    const receipts = new Receipts({ contracts: { inference, registry }, rpc: chain.provider, account: wallet.address, dispatcher, signal })
    const usable = () => directory.providers.filter(({ problem, free, acknowledged }) => problem === undefined && acknowledged && free !== undefined)
    gauge(metrics, {
      name: 'gateway_providers',
      help: 'Providers that answer, are attested and hold a sub-account of this gateway',
      collect() {
        this.set(usable().length)
      },
    })
    const ready = async () => directory.problem() ?? (usable().length > 0 ? undefined : `none of ${directory.providers.length} providers can be asked`)
    const http = runtime.http({ host: config.host, port: config.port, ready, bodyLimit: BODY_LIMIT, maxBodyBytes: 8 * BODY_LIMIT })
    http.app.register(gatewayRoutes({ relay, directory, health, receipts, decisions, users: new Users(config.apiKeys), log, metrics }))
    return {
      async start() {
        await directory.start()
        await sweeps.process(() => idempotency.sweep())
        await sweeps.every('sweep', SWEEP_MS, null)
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
