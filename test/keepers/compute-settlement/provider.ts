import { getBytes, Wallet } from 'ethers'
import { Registry } from 'prom-client'
import { z } from 'zod'
import { type Draft, Journal } from '../../../keepers/compute/provider/journal.ts'
import type { SettlementConfig } from '../../../keepers/compute/provider/settlement/config.ts'
import { settlementFields } from '../../../keepers/compute/provider/settlement/config.ts'
import { settlementMetrics } from '../../../keepers/compute/provider/settlement/metrics.ts'
import { Settlement } from '../../../keepers/compute/provider/settlement/settlement.ts'
import { type ReceiptContext, Receipts, Signing } from '../../../keepers/compute/provider/signing.ts'
import { SigningThread } from '../../../keepers/compute/provider/signing-thread.ts'
import { Spend } from '../../../keepers/compute/provider/spend.ts'
import { migrations, type Tables } from '../../../keepers/compute/provider/tables.ts'
import { type Follower, followLogs } from '../../../keepers/runtime/follow.ts'
import { type Backend, createRuntime } from '../../../keepers/runtime/keeper.ts'
import type { Log } from '../../../keepers/runtime/log.ts'
import { InferenceServing__factory, ReceiptDisputes__factory } from '../../../typechain-types/index.ts'

/** What a provider is told; as JSON also in another process. */
export interface ProviderSetup {
  rpcUrl: string
  privateKey: string
  /** Of the enclave's key. */
  secret: string
  inference: string
  disputes: string
}

/** Settles everything at once, whatever it costs. */
const EAGER = { settleAfterSeconds: 0, settleGasPercent: 9 * 10 ** 15, withdrawAbove: 2n ** 96n }

export interface Served {
  user: string
  inputUnits?: number
  outputUnits?: number
  priceVersion?: number
}

export interface OpenOptions {
  backend: Backend
  /** Of its tables. */
  name?: string
  log: Log
  config?: Partial<SettlementConfig>
}

/** The half of a provider that is paid: journal, follower and settlement on real tables, without HTTP. */
export async function openProvider(setup: ProviderSetup, { backend, name = 'compute/provider', log, config = {} }: OpenOptions) {
  const runtime = createRuntime({ name, backend, log })
  const chain = await runtime.chain({ rpcUrl: setup.rpcUrl, pollMs: 20 })
  const db = await runtime.database<Tables>(migrations)
  const wallet = new Wallet(setup.privateKey, chain.provider)
  const serving = InferenceServing__factory.connect(setup.inference, chain.provider)
  const disputes = ReceiptDisputes__factory.connect(setup.disputes, chain.provider)
  const sender = await runtime.sender({ chain, wallet, database: db, stuckMs: 1000, interfaces: [serving.interface, disputes.interface] })
  const context: ReceiptContext = { chainId: chain.chainId, contract: setup.inference, provider: wallet.address }
  const receipts = new Receipts(context)
  const signing = new Signing(getBytes(setup.secret), receipts)
  const spend = await Spend.load(db)
  const metrics = new Registry()
  const thread = new SigningThread(signing.address, { secret: getBytes(setup.secret), context })
  const journal = new Journal({ db, spend, signing: thread, log, metrics, signal: runtime.signal })
  let follower: Follower | undefined
  const settlement = new Settlement({
    db,
    chain,
    sender,
    serving,
    inference: setup.inference,
    disputes: { contract: disputes, address: setup.disputes },
    provider: wallet.address,
    receipts,
    signing,
    spend,
    config: { ...z.object(settlementFields).parse({}), ...EAGER, ...config },
    follower: () => follower,
    confirmations: 0,
    metrics: settlementMetrics(metrics),
    log,
  })
  follower = await followLogs({
    chain,
    database: db,
    name: 'inference',
    address: [setup.inference, setup.disputes],
    fromBlock: 0,
    confirmations: 0,
    log,
    metrics,
    signal: runtime.signal,
    apply: (trx, range) => settlement.apply(trx, range),
    rollback: (trx, toBlock) => settlement.rollback(trx, toBlock),
  })
  let served = (await db.selectFrom('answers').select('id').execute()).length

  return {
    db,
    spend,
    settlement,
    metrics,
    receipts,
    address: wallet.address,
    /** Journals an answer, priced as the chain has it. */
    async serve({ user, inputUnits = 100, outputUnits = 10, priceVersion }: Served) {
      const version = priceVersion ?? Number((await serving.priceVersion(wallet.address)).current)
      const { inputPrice, outputPrice, effectiveAt } = await serving.priceOf(wallet.address, version)
      const { timestamp } = await chain.head()
      const draft: Draft = {
        id: `answer-${served++}`,
        user,
        tokenId: 255,
        epoch: '0:0',
        createdAt: timestamp,
        price: { version, inputPrice, outputPrice, effectiveAt: Number(effectiveAt) },
        inputUnits: BigInt(inputUnits),
        outputUnits: BigInt(outputUnits),
        requestHash: `0x${'11'.repeat(32)}`,
        responseHash: `0x${'22'.repeat(32)}`,
        model: 'm',
        specHash: `0x${'33'.repeat(32)}`,
        seed: 0n,
        unitsRule: 'tokens/1',
      }
      return journal.append(draft)
    },
    /** Everything up to the newest block is applied. */
    caughtUp: async () => follower?.reached((await chain.head()).number),
    states: async () => {
      const rows = await db
        .selectFrom('answers')
        .select(['state', (on) => on.fn.countAll<string>().as('count')])
        .groupBy('state')
        .execute()
      return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]))
    },
    async stop() {
      await journal.close()
      await thread.close()
      await runtime.close()
      await follower?.done.catch(() => {})
    },
  }
}

export type Provider = Awaited<ReturnType<typeof openProvider>>
