import { join } from 'node:path'
import { getBytes } from 'ethers'
import { createRowCodec } from '../../../codec/rows/index.ts'
import { domainSeparator } from '../../../protocol/compute/receipt.ts'
import { deriveBlsKey } from '../../../protocol/da/bls.ts'
import { paymentDomain } from '../../../protocol/da/payment.ts'
import { connectAvailability } from '../../../sdk/da/contracts.ts'
import { openDaReader } from '../../../sdk/da/reader.ts'
import { MAX_MESSAGE_BYTES, SIGNER_REQUEST_BYTES, SignerService } from '../../../sdk/da/wire.ts'
import { IAvailabilityChallenges__factory, IBlobPayments__factory, IBonds__factory, IRandomness__factory } from '../../../typechain-types/index.ts'
import { countBuffersAsHeap } from '../../runtime/buffer-memory.ts'
import { ConfigError } from '../../runtime/config.ts'
import { type Follower, followLogs } from '../../runtime/follow.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { Batches } from './batches.ts'
import { ChainClock } from './chain-clock.ts'
import { ChainLog, TOPICS } from './chain-log.ts'
import { Challenges } from './challenges.ts'
import { schema } from './config.ts'
import { EpochAdvance } from './epochs.ts'
import { Intake } from './intake.ts'
import { Membership } from './membership.ts'
import { observe } from './metrics.ts'
import { MissedBatches } from './missed-batches.ts'
import { PromiseBook } from './promises.ts'
import { Pruning } from './pruning.ts'
import { Reading } from './reading.ts'
import { Registration } from './registration.ts'
import { Repair } from './repair.ts'
import { migrations, type Tables } from './schema.ts'
import { Scrub } from './scrub.ts'
import { signerHandlers } from './service.ts'
import { BlobStore } from './store.ts'

/** Keeps the rows of blobs that are its share, and signs that it has them. */
export const daSigner = defineKeeper({
  name: 'da/signer',
  schema,
  async create(config, runtime) {
    countBuffersAsHeap()
    const { log, metrics, signal } = runtime
    if (config.publicUrl === undefined && ['0.0.0.0', '::'].includes(config.host))
      throw new ConfigError([`host is ${config.host}, which is no address to register: set --public-url to where others reach this signer`])
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const db = await runtime.database<Tables>(migrations)
    const wallet = await openWallet(config, chain.provider)
    const account = wallet.address
    const bls = deriveBlsKey(getBytes(wallet.privateKey))
    const domain = { chainId: chain.chainId, contract: config.dataAvailability }

    const contracts = connectAvailability(config.dataAvailability, chain.provider)
    const { signers, epochs } = contracts
    const payments = IBlobPayments__factory.connect(config.payments, chain.provider)
    const challengesContract = IAvailabilityChallenges__factory.connect(config.challenges, chain.provider)
    const bonds = IBonds__factory.connect(config.bonds, chain.provider)
    const terms = [challengesContract.retention(), challengesContract.answerTime(), epochs.epochLength(), payments.lockTime()]
    const [retention, answerTime, epochLength, lockTime] = (await Promise.all(terms)).map(Number) as [number, number, number, number]

    const clock = new ChainClock((await chain.head()).timestamp)
    const now = () => clock.now()
    const membership = new Membership({ epochs, signers }, account)
    const store = await BlobStore.open({ folder: join(config.dataDir, 'blobs'), db, maxBytes: config.maxBytes, log, metrics })
    const batches = await Batches.open({ folder: join(config.dataDir, 'batches'), db, membership, bls, ecdsa: wallet.signingKey, domain })
    const reading = new Reading(db, store, batches)
    const scrub = new Scrub({ db, reading, rate: config.scrubRate, metrics })
    const codec = createRowCodec({ threads: config.codecThreads })
    runtime.onClose(() => codec.close())
    const separator = domainSeparator(paymentDomain(chain.chainId, config.payments))
    const promises = new PromiseBook({ db, payments, provider: chain.provider, separator, lockTime, now })

    const sender = await runtime.sender({
      chain,
      wallet,
      database: db,
      interfaces: [signers.interface, epochs.interface, challengesContract.interface, bonds.interface, IRandomness__factory.createInterface()],
      // Others may be faster, and whatever waits for an epoch is tried again.
      expected: ['EpochNotDue', 'TooFewSigners', 'EpochBeingBuilt', 'SeedNotReady', 'StakesJustRead', 'UnknownChallenge'],
      advice: { StakeTooSmall: 'the least stake was raised, or some was taken: set stake higher, or bond more' },
    })
    const registration = new Registration({
      db,
      chain,
      signers,
      contract: config.dataAvailability,
      challenges: config.challenges,
      bonds,
      bondsAddress: config.bonds,
      sender,
      bls,
      domain,
      stake: config.stake,
      join: config.join,
      position: () => follower?.position() ?? -1,
      url: () => config.publicUrl ?? grpc.url,
      log,
    })
    const advance = new EpochAdvance({ chain, epochs, signers, membership, contract: config.dataAvailability, sender, log })
    const upToDate = () => follower !== undefined && follower.problem() === undefined
    const { codecThreads: threads, privateSigners } = config
    // Certificates of before can't be challenged any more, nor need their challenges be answered.
    const oldest = () => now() - retention - answerTime
    const missed = new MissedBatches({ db, batches, membership, account, retryMs: config.repairMs, now, oldest, metrics, log })
    const repair = new Repair({
      db,
      store,
      reading,
      membership,
      missed,
      openReader: () => openDaReader(contracts, { threads, privateSigners }),
      oldest,
      retryMs: config.repairMs,
      upToDate,
      signal,
      metrics,
      log,
    })
    runtime.onClose(() => repair.close())
    const urge = (blobId: string) => repair.urge(blobId)
    const challenges = new Challenges({ db, contract: challengesContract, address: config.challenges, reading, urge, sender, now, log })

    let follower: Follower | undefined
    const ready = async () => (follower ? (follower.problem() ?? registration.problem() ?? sender.problem()) : 'not started')
    const pruning = new Pruning({ db, store, batches, membership, retention, answerTime, epochLength, now, upToDate, log })

    const { count } = observe(metrics, { db, challenges, registration })
    const intake = new Intake({ membership, promises, store, codec, count, log })
    const status = async () => {
      const { blobs } = await db
        .selectFrom('holdings')
        .select(({ fn }) => fn.countAll<number>().as('blobs'))
        .executeTakeFirstOrThrow()
      return { signerId: registration.id, epoch: await membership.current(), blobs: Number(blobs), bytes: store.bytes }
    }
    const handlers = signerHandlers({ intake, batches, reading, status, account })
    const grpc = runtime.grpc({
      host: config.host,
      port: config.port,
      ready,
      services: [{ definition: SignerService, handlers, maxRequestBytes: SIGNER_REQUEST_BYTES }],
      maxMessageBytes: MAX_MESSAGE_BYTES,
    })
    const http = runtime.http({ host: config.host, port: config.httpPort, ready })

    return {
      async start() {
        const chainLog = new ChainLog(account, log)
        follower = await followLogs({
          chain,
          database: db,
          name: 'da',
          address: [config.dataAvailability, config.challenges, config.payments],
          topics: [TOPICS],
          fromBlock: config.fromBlock,
          confirmations: config.confirmations,
          timestamps: true,
          log,
          metrics,
          signal,
          async apply(trx, range) {
            await chainLog.apply(trx, range)
            clock.set(range.blocks.get(range.toBlock)!.timestamp!)
            membership.forget()
          },
          async rollback(trx, toBlock) {
            await chainLog.rollback(trx, toBlock)
            membership.forgetAll()
          },
        })
        await http.listen()
        await grpc.listen()
        await startUpkeep()
      },
      async stop() {
        await Promise.all([grpc.close(), http.close()])
      },
      ready,
      get url() {
        return grpc.url
      },
    }

    /** Periodic work, through queues, so that it is seen and counted like other jobs; none overlaps itself. */
    async function startUpkeep(): Promise<void> {
      const checks = await runtime.queue<null>('checks', { attempts: 1 })
      await checks.process(async () => {
        await registration.ensure()
        await challenges.answerAll()
        await advance.advance()
      })
      await checks.every('check', config.checkMs, null)
      const prunings = await runtime.queue<null>('pruning', { attempts: 1, graceMs: 2000 })
      await prunings.process(({ signal }) => pruning.prune(signal))
      await prunings.every('prune', config.pruneMs, null)
      const repairs = await runtime.queue<null>('repairs', { attempts: 1, graceMs: 0 })
      await repairs.process(({ signal }) => repair.run(signal))
      await repairs.every('repair', config.repairMs, null)
      const scrubs = await runtime.queue<null>('scrubs', { attempts: 1, graceMs: 0 })
      await scrubs.process(({ signal }) => scrub.round(signal))
      await scrubs.every('scrub', config.scrubMs, null)
    }
  },
})
