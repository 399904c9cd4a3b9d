import { join } from 'node:path'
import { createRowCodec } from '../../../codec/rows/index.ts'
import { MAX_BLOB_BYTES } from '../../../protocol/da/codes.ts'
import { connectAvailability } from '../../../sdk/da/contracts.ts'
import { openDaReader } from '../../../sdk/da/reader.ts'
import { signersAnywhere } from '../../../sdk/da/strangers.ts'
import { reasonOf } from '../../../sdk/errors.ts'
import { IAvailabilityChallenges__factory, IBlobPayments__factory } from '../../../typechain-types/index.ts'
import { countBuffersAsHeap } from '../../runtime/buffer-memory.ts'
import { type Follower, followLogs } from '../../runtime/follow.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { Admission } from './admission.ts'
import { Batches } from './batches.ts'
import { BlobFiles } from './blob-files.ts'
import { CERTIFIED_TOPIC, Certificates } from './certificates.ts'
import { Certifier } from './certifier.ts'
import { schema } from './config.ts'
import { startDueEpoch } from './epoch-start.ts'
import { Intake } from './intake.ts'
import { disperserMetrics, observeQueues } from './metrics.ts'
import { Payments } from './payments.ts'
import { Pipeline } from './pipeline.ts'
import { Promises } from './promises.ts'
import { Purse } from './purse.ts'
import { recent } from './recent.ts'
import { REDEEMED_TOPIC, Redemptions } from './redemptions.ts'
import { Requests } from './requests.ts'
import { migrations, type Tables } from './schema.ts'
import { dispersalService, disperserService } from './services.ts'
import { REGISTERED_TOPIC, SignerKeys } from './signer-keys.ts'
import { SignerLinks } from './signer-links.ts'
import { Signing } from './signing.ts'
import { Statuses } from './status.ts'
import { tidy } from './tidy.ts'
import { upkeep } from './upkeep.ts'

/** A blob, and what a message has beside it. */
const MAX_MESSAGE_BYTES = MAX_BLOB_BYTES + 1_048_576

/** For so long the epoch and the time of the chain are believed, in ms. */
const FRESH_MS = 500

/** Takes blobs, has them stored by the signers of the epoch, and certified in batches. */
export const disperser = defineKeeper({
  name: 'da/disperser',
  schema,
  async create(config, runtime) {
    countBuffersAsHeap()
    const { log, metrics: registry } = runtime
    const stopping = new AbortController()
    const signal = AbortSignal.any([stopping.signal, runtime.signal])
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const db = await runtime.database<Tables>(migrations)
    const wallet = await openWallet(config, chain.provider)
    const contracts = connectAvailability(config.dataAvailability, chain.provider)
    const paymentsContract = IBlobPayments__factory.connect(config.payments, chain.provider)
    const challenges = IAvailabilityChallenges__factory.connect(config.challenges, chain.provider)
    const interfaces = [contracts.certificates.interface, contracts.epochs.interface, paymentsContract.interface]
    const sender = await runtime.sender({ chain, wallet, database: db, interfaces, expected: ['EpochNotDue', 'AlreadyCertified'], stuckMs: config.stuckMs })
    const files = await BlobFiles.open(join(config.dataDir, 'blobs'))
    const codec = createRowCodec({ threads: config.codecThreads })
    runtime.onClose(() => codec.close())
    const { privateSigners } = config
    const reader = openDaReader(contracts, { privateSigners })
    runtime.onClose(() => reader.close())

    const metrics = disperserMetrics(registry)
    const requests = new Requests(db)
    const batches = new Batches(db)
    const promises = new Promises(db)
    const epochs = { current: recent(() => reader.epochs.current(), FRESH_MS), urlOf: reader.epochs.urlOf.bind(reader.epochs) }
    const now = recent(async () => (await chain.head()).timestamp, FRESH_MS)
    const anywhere = signersAnywhere(chain.provider, privateSigners)
    const links = new SignerLinks(epochs, { anywhere, windowBytes: config.windowBytes, timeoutMs: config.storeMs, lagMs: config.graceMs, log })
    const admission = new Admission(config)
    const purse = new Purse({ contract: paymentsContract, address: config.payments, chain, sender, promises, target: config.sponsorBalance, log })
    const [lockTime, retention] = (await Promise.all([paymentsContract.lockTime(), challenges.retention()])).map(Number) as [number, number]
    const payments = new Payments({ chain, now, contract: paymentsContract, address: config.payments, lockTime, wallet, promises, purse })
    const keys = new SignerKeys(db, async () => follower?.reached((await chain.head()).number))
    const domain = { chainId: chain.chainId, contract: contracts.address }
    const { certificates: contract } = contracts
    const signing = new Signing({ links, keys, domain, certificates: contract, config, metrics, signal })
    const certificates = new Certificates({ batches, contract, fromBlock: config.fromBlock, metrics, log })
    const address = contracts.address
    const certifier: Certifier = new Certifier({
      chain,
      retention,
      epochs,
      signing,
      batches,
      contract,
      address,
      certificates,
      sender,
      pipeline: () => pipeline,
      config,
      metrics,
      signal,
      log,
    })
    const stored = certifier.add.bind(certifier)
    const pipeline = new Pipeline({ requests, files, codec, epochs, links, payments, admission, stored, config, metrics, signal, log })

    let follower: Follower | undefined
    let trouble: string | undefined = 'not started'
    const problem = () => trouble ?? follower?.problem() ?? sender.problem()
    const ready = async () => problem()
    const sponsorProblem = () => {
      if (!config.sponsor)
        return GrpcError.failedPrecondition('this disperser does not pay for blobs: send a promise of payment with perigee.da.v1.Dispersal/Put')
      const reason = purse.problem()
      return reason === undefined ? undefined : GrpcError.resourceExhausted(reason)
    }
    const intake = new Intake({ files, requests, admission, pipeline, problem, sponsorProblem, metrics })
    const position = () => follower?.position() ?? 0
    const statuses = new Statuses({ batches, stageOf: (id) => pipeline.stageOf(id), position, finalityBlocks: config.finalityBlocks })
    const terms = {
      disperser: Buffer.from(wallet.address.slice(2), 'hex'),
      chainId: chain.chainId,
      contract: Buffer.from(address.slice(2), 'hex'),
      sponsors: config.sponsor,
    }
    const served = { intake, requests, statuses, files, reader, terms }
    const grpc = runtime.grpc({
      host: config.host,
      port: config.port,
      ready,
      services: [disperserService(served), dispersalService(served)],
      maxMessageBytes: MAX_MESSAGE_BYTES,
      maxCalls: config.maxCalls,
    })
    const http = runtime.http({ host: config.host, port: config.httpPort, ready })
    observeQueues(registry, () => ({
      encode: pipeline.waiting,
      batch: certifier.ready,
      certify: certifier.underway,
      pending_bytes: admission.pendingBytes,
      encoded_bytes: pipeline.encodedBytes,
    }))
    const redemptions = new Redemptions({ contract: paymentsContract, address: config.payments, sender, batches, promises, metrics, log })
    const lookAfter = upkeep(
      {
        async epoch(signal) {
          await startDueEpoch({ epochs: contracts.epochs, address, chain, sender, log }, signal)
          trouble = await epochs.current().then(() => undefined, reasonOf)
        },
        purse: async () => config.sponsor && purse.refresh(),
        certificates: () => certifier.resume(),
        disk: (signal) => tidy({ ...config, files, requests, finalBlock: () => position() - config.finalityBlocks }, signal),
      },
      log,
    )
    const redeem = upkeep({ promises: (signal) => redemptions.round(signal) }, log)

    return {
      async start() {
        await files.removeUnknown(await requests.kept())
        follower = await followLogs({
          chain,
          database: db,
          name: 'chain',
          address: [address, config.payments],
          topics: [[CERTIFIED_TOPIC, REGISTERED_TOPIC, REDEEMED_TOPIC]],
          fromBlock: config.fromBlock,
          confirmations: 0,
          log,
          metrics: registry,
          signal,
          async apply(trx, range) {
            await certificates.apply(trx, range)
            await keys.apply(trx, range.logs)
            await redemptions.apply(trx, range)
          },
          async rollback(trx, toBlock) {
            await certificates.rollback(trx, toBlock)
            await redemptions.rollback(trx, toBlock)
          },
        })
        for (const task of await requests.open()) {
          admission.resume(task.length)
          pipeline.add(task)
        }
        await lookAfter(signal)
        await http.listen()
        await grpc.listen()
        for (const [name, everyMs, run] of [['upkeep', config.upkeepMs, lookAfter] as const, ['redemptions', config.redeemMs, redeem] as const]) {
          const queue = await runtime.queue<null>(name, { attempts: 1, graceMs: 2000 })
          await queue.process(({ signal }) => run(signal))
          await queue.every(name, everyMs, null)
        }
      },
      async stop() {
        await grpc.close()
        await http.close()
        stopping.abort()
        certifier.close()
        pipeline.close()
        links.close()
        await follower?.done.catch(() => {})
      },
      ready,
      get url() {
        return grpc.url
      },
    }
  },
})
