import { join } from 'node:path'
import { getBytes, ZeroAddress } from 'ethers'
import { loadKernel } from '../../../codec/keccak/index.ts'
import { Flow__factory, PoraMine__factory, StorageRewards__factory } from '../../../typechain-types/index.ts'
import { ConfigError } from '../../runtime/config.ts'
import { lockFolder } from '../../runtime/files.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { Answers, LOST_RACES } from './answers.ts'
import { schema } from './config.ts'
import { SealingContexts } from './contexts.ts'
import { Miners } from './miners.ts'
import { Mining } from './mining.ts'
import { registerMiner } from './registration.ts'
import { SealStore } from './seal-store.ts'
import { SealThreads } from './seal-threads.ts'
import { Sealer } from './sealer.ts'
import { StorageNode } from './storage-node.ts'

/** What an operator can do about answers that the contract refuses. */
const ADVICE = {
  InconsistentMerkleRoot: 'the storage node may hold wrong data: look at its log',
  ZeroSeal: 'padding earns nothing; the seal is sealed again without it',
}

/** Mines the data of one storage node. */
export const miner = defineKeeper({
  name: 'storage/miner',
  schema,
  async create(config, runtime) {
    const { log, metrics, signal } = runtime
    const { rpcUrl, pollMs, shard } = config
    runtime.onClose(lockFolder(join(config.dataDir, 'seals')))
    const chain = await runtime.chain({ rpcUrl, pollMs })
    const mine = PoraMine__factory.connect(config.mine, chain.provider)
    const flow = Flow__factory.connect(await mine.flow(), chain.provider)
    const rewardsAt = await mine.rewards()
    if (rewardsAt === ZeroAddress) throw new ConfigError([`mine is ${config.mine}, which pays nothing: it was set up without rewards`])
    const rewards = StorageRewards__factory.connect(rewardsAt, chain.provider)
    const sender = await runtime.sender({
      chain,
      wallet: await openWallet(config, chain.provider),
      database: await runtime.database({}),
      interfaces: [mine.interface, flow.interface, rewards.interface],
      advice: ADVICE,
      expected: LOST_RACES,
    })

    const kernel = loadKernel()
    const id = await registerMiner(mine, sender)
    const minerId = getBytes(id)
    const store = await SealStore.open(config.dataDir, id)
    log.info({ minerId: id, sealedLoads: store.loads.size }, 'this miner')
    const node = new StorageNode(config.nodeUrl, signal)
    const threads = new SealThreads(config.sealThreads)
    const sealer: Sealer = new Sealer({
      minerId,
      shard,
      store,
      node,
      contexts: new SealingContexts(flow),
      threads,
      log,
      metrics,
      onSealed: (load) => miners.add(load),
    })
    const answers = new Answers({
      kernel,
      mine,
      rewards,
      chunkSectors: Number(await rewards.chunkSectors()),
      node,
      sender,
      margin: config.margin,
      withdrawAbove: config.withdrawAbove,
      log,
      metrics,
      workOf: (taskId) => mining.workOf(taskId),
      onWrongSeals: (load) => {
        miners.remove(load)
        return sealer.again(load)
      },
    })
    const miners = new Miners({
      folder: store.folder,
      minerId,
      nonceRate: config.nonceRate,
      threads: config.threads,
      sealed: store.loads,
      log,
      metrics,
      onWon: (won) => answers.take(won),
      onDamaged: (load) => void sealer.again(load).catch((error: unknown) => log.error({ err: error, load }, 'damaged seals could not be removed')),
    })
    const mining = new Mining({ kernel, chain, mine, flow, sender, minerId: id, shard, sealer, miners, openEpochs: config.openEpochs, log, signal })
    const ready = async () => chain.problem() ?? sender.problem() ?? mining.problem()
    const http = runtime.http({ host: config.host, port: config.port, ready })

    return {
      async start() {
        await http.listen()
        mining.start()
      },
      async stop() {
        await mining.stop()
        await miners.stop()
        await threads.stop()
        await Promise.all([answers.stop(), sealer.stop()])
      },
      ready,
      get url() {
        return http.url
      },
    }
  },
})
