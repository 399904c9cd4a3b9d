import { EpochReader } from '../../../sdk/da/epochs.ts'
import { IDACertificates__factory, IDAEpochs__factory, IDASigners__factory, ISamplingRewards__factory } from '../../../typechain-types/index.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { Answers, LOST_RACES } from './answers.ts'
import { schema } from './config.ts'
import { HeldBlobs, migrations, type Tables } from './held-blobs.ts'
import { Listing } from './listing.ts'
import { Rounds } from './rounds.ts'
import { SignerReader } from './signer-reader.ts'

/** What an operator can do about answers that the contract refuses. */
const ADVICE = {
  NotCertified: 'the certificate is gone with a reorganisation; nothing to do',
  NotHolder: 'the endpoint answers from another chain than that of the certificates: correct rpcUrl',
}

/** Plays the lottery of sampling rewards for some signers. */
export const sampler = defineKeeper({
  name: 'da/sampler',
  schema,
  async create(config, runtime) {
    const { log, metrics, signal } = runtime
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const database = await runtime.database<Tables>(migrations)
    const rewards = ISamplingRewards__factory.connect(config.samplingRewards, chain.provider)
    const contracts = {
      certificates: IDACertificates__factory.connect(config.dataAvailability, chain.provider),
      epochs: IDAEpochs__factory.connect(config.dataAvailability, chain.provider),
      signers: IDASigners__factory.connect(config.dataAvailability, chain.provider),
    }
    const [roundBlocks, retention] = (await Promise.all([rewards.roundBlocks(), rewards.retention()])).map(Number) as [number, number]
    const sender = await runtime.sender({
      chain,
      wallet: await openWallet(config, chain.provider),
      database,
      interfaces: [rewards.interface],
      advice: ADVICE,
      expected: LOST_RACES,
    })
    const held = new HeldBlobs(database, `${chain.genesisHash} ${config.dataAvailability}`)
    const listing = new Listing({ held, certificates: contracts.certificates, epochs: new EpochReader(contracts), log })
    const answers = new Answers({ chain, rewards, rewardsAddress: config.samplingRewards, sender, margin: config.margin, log, metrics })
    const readers = config.signers.map((url) => new SignerReader({ url, chunksPerSecond: config.chunksPerSecond, held, listing, answers, log, metrics }))
    runtime.onClose(() => {
      for (const reader of readers) reader.close()
    })
    const rounds = new Rounds({ chain, rewards, roundBlocks, retention, held, readers, log, metrics, signal })
    const ready = async () => chain.problem() ?? sender.problem() ?? rounds.problem() ?? readers.map((reader) => reader.problem()).find(Boolean)
    const http = runtime.http({ host: config.host, port: config.port, ready })
    return {
      async start() {
        await http.listen()
        rounds.start()
      },
      stop: () => rounds.stop(),
      ready,
      get url() {
        return http.url
      },
    }
  },
})
