import { join } from 'node:path'
import { zeroPadValue } from 'ethers'
import { simulatedSource } from '../../../sdk/attestation/collateral-source.ts'
import { openTee } from '../../../sdk/attestation/open-tee.ts'
import { pcsSource } from '../../../sdk/attestation/pcs.ts'
import { IFineTuningServing__factory, ITeeSignerRegistry__factory } from '../../../typechain-types/index.ts'
import { ConfigError } from '../../runtime/config.ts'
import { type Follower, followLogs } from '../../runtime/follow.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { ChainEvents } from './chain-events.ts'
import { schema } from './config.ts'
import { Delivery } from './delivery.ts'
import { openEnclave } from './enclave.ts'
import { jsonErrors, tuningRoutes } from './http.ts'
import { observe } from './metrics.ts'
import { offeredModels } from './models.ts'
import { Quotes } from './quotes.ts'
import { Registration } from './registration.ts'
import { type DeliveryJob, Schedule } from './schedule.ts'
import { migrations, type Tables } from './schema.ts'
import { Serving } from './serving.ts'
import { networkStorage } from './storage.ts'
import { TaskFolders } from './task-folder.ts'
import { Tasks } from './tasks.ts'
import { TRAINING_ATTEMPTS, Training } from './training.ts'
import { Uploads } from './uploads.ts'

/** Chains whose registry takes quotes of a simulated TEE. */
const LOCAL_CHAINS = [31337, 1337]
const REGISTRATION_MS = 600_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** With the queue's wait of at most an hour between tries, what concerns money is tried for longer than a week. */
const DELIVERY_ATTEMPTS = 200
const CONCURRENT_SETUPS = 2
const CONCURRENT_DELIVERIES = 4

/** Tunes models for users: dataset, training, encrypted model, deliverable on chain, key for the fee. */
export const tuning = defineKeeper({
  name: 'compute/tuning',
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
    const contract = IFineTuningServing__factory.createInterface()
    const sender = await runtime.sender({ chain, wallet, database: db, interfaces: [contract, ITeeSignerRegistry__factory.createInterface()] })
    const tee = openTee({ application: 'compute/tuning', instance: `compute/tuning/${provider}`, simulated: config.simulatedTee, dstack: config.dstack })
    const enclave = await openEnclave(tee)
    const serving = new Serving({ chain, address: config.serving, sender, enclave })

    const models = offeredModels(config, chain.chainId)
    const tasks = new Tasks(db)
    const folders = new TaskFolders(join(config.dataDir, 'tasks'))
    const uploads = new Uploads({ db, folder: join(config.dataDir, 'uploads'), maxDatasetBytes: config.maxDatasetBytes, maxBytes: config.uploadBytes })
    const storage = config.indexer === undefined ? undefined : networkStorage({ indexer: config.indexer, sender, chain })

    // Closed from the last to the first: what a job queues next must still be open.
    const deliveries = await runtime.queue<DeliveryJob>('deliveries', { attempts: DELIVERY_ATTEMPTS })
    const trainings = await runtime.queue<string>('trainings', { attempts: TRAINING_ATTEMPTS })
    const setups = await runtime.queue<string>('setups', { attempts: TRAINING_ATTEMPTS })
    const upkeep = await runtime.queue<{ round: string }>('upkeep', { attempts: 1 })
    const common = { tasks, storage, serving, enclave, folders, log }
    const training = new Training({
      ...common,
      uploads,
      models,
      storageFee: config.storageFee,
      maxDatasetBytes: config.maxDatasetBytes,
      next: (task) => schedule.advance(task),
    })
    const schedule = new Schedule({ tasks, serving, training, delivery: new Delivery(common), setups, trainings, deliveries })

    const now = async () => new Date((await chain.head()).timestamp * 1000)
    const registration = new Registration({
      chain,
      tee,
      serving,
      registry: config.registry,
      source: config.simulatedTee === undefined ? pcsSource() : simulatedSource(config.simulatedTee, now),
      sender,
      service: config.autoRegister
        ? () => ({
            url: config.publicUrl ?? http.url,
            pricePerToken: config.pricePerToken,
            models: models.filter(({ standsInFor }) => !standsInFor).map(({ name }) => name),
          })
        : undefined,
      log,
    })

    let follower: Follower | undefined
    const ready = async () => (follower ? (follower.problem() ?? registration.problem() ?? sender.problem()) : 'not started')
    const http = runtime.http({ host: config.host, port: config.port, ready })
    jsonErrors(http.app)
    http.app.register(
      tuningRoutes({
        ...config,
        tasks,
        uploads,
        folders,
        models,
        serving,
        quotes: new Quotes({ tee, chain, registry: config.registry, signer: serving.signer }),
        begin: (task) => schedule.advance(task),
        abandon: (taskId) => training.abandon(taskId),
      }),
    )
    observe(metrics, { tasks, uploads })

    const events = new ChainEvents(contract)
    const look = () => schedule.check(signal).catch((error) => signal.aborted || log.warn({ err: error }, 'tasks could not be looked at: trying again'))
    const tidy = async () => {
      await uploads.removeBefore(new Date(Date.now() - config.keepUploadsHours * HOUR_MS))
      for (const { id } of await tasks.overBefore(new Date(Date.now() - config.keepModelDays * DAY_MS))) {
        await folders.remove(id)
        await tasks.removed(id)
      }
    }
    const rounds: Record<string, { everyMs: number; run: () => Promise<unknown> }> = {
      check: { everyMs: config.checkMs, run: look },
      registration: { everyMs: REGISTRATION_MS, run: () => registration.ensure() },
      tidy: { everyMs: HOUR_MS, run: tidy },
    }

    return {
      async start() {
        await uploads.open()
        follower = await followLogs({
          chain,
          database: db,
          name: 'deliverables',
          address: config.serving,
          topics: [events.topics, null, zeroPadValue(provider, 32)],
          fromBlock: config.fromBlock,
          confirmations: config.confirmations,
          log,
          metrics,
          signal,
          async apply(trx, range) {
            await events.apply(trx, range)
            if (range.logs.length > 0) void follower?.reached(range.toBlock).then(look, () => {})
          },
          rollback: (trx, toBlock) => events.rollback(trx, toBlock),
        })
        await http.listen()
        await registration.ensure()
        await setups.process((job) => training.setUp(job), { concurrency: CONCURRENT_SETUPS })
        await trainings.process((job) => training.train(job), { concurrency: config.concurrentTrainings })
        await deliveries.process((job) => schedule.run(job), { concurrency: CONCURRENT_DELIVERIES })
        for (const [name, { everyMs }] of Object.entries(rounds)) await upkeep.every(name, everyMs, { round: name })
        await upkeep.process(({ data: { round } }) => rounds[round]?.run() ?? Promise.resolve(), { concurrency: Object.keys(rounds).length })
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
