import { concat, toBeHex } from 'ethers'
import { EVMNET, EVMNET_HASH } from '../../../protocol/randomness/drand.ts'
import type { IDrand } from '../../../typechain-types/index.ts'
import { IDrand__factory } from '../../../typechain-types/index.ts'
import { ConfigError } from '../../runtime/config.ts'
import { defineKeeper } from '../../runtime/keeper.ts'
import { isRevert } from '../../runtime/revert.ts'
import { openWallet } from '../../runtime/wallet.ts'
import { schema } from './config.ts'
import { Relays } from './relays.ts'
import { Rounds } from './rounds.ts'

/** Brings rounds of drand on chain when a consumer of the Drand contract waits for one. */
export const beaconKeeper = defineKeeper({
  name: 'randomness/beacon',
  schema,
  async create(config, runtime) {
    const { log, metrics, signal } = runtime
    const chain = await runtime.chain({ rpcUrl: config.rpcUrl, pollMs: config.pollMs })
    const drand = IDrand__factory.connect(config.randomness, chain.provider)
    const publicKey = await publicKeyOf(drand, config.randomness)
    if (config.network === EVMNET_HASH && publicKey !== EVMNET.publicKey)
      throw new ConfigError([`network is evmnet, but the contract at ${config.randomness} has another network's key: set network to the hash of that one`])
    const sender = await runtime.sender({
      chain,
      wallet: await openWallet(config, chain.provider),
      database: await runtime.database({}),
      interfaces: [drand.interface],
      // Others may be faster.
      expected: ['RoundKnown'],
    })
    const relays = new Relays({ urls: config.relays, network: config.network, publicKey, metrics })
    const rounds = new Rounds({ chain, drand, address: config.randomness, consumers: config.consumers, relays, sender, log, metrics, signal })
    const ready = async () => chain.problem() ?? sender.problem() ?? rounds.problem()
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

async function publicKeyOf(drand: IDrand, address: string): Promise<string> {
  try {
    const { x, y } = await drand.publicKey()
    return concat([...x, ...y].map((part) => toBeHex(part, 32)))
  } catch (error) {
    const isAnother = isRevert(error) || (error as { code?: string }).code === 'BAD_DATA'
    if (!isAnother) throw error
    throw new ConfigError([`randomness is ${address}: there is no Drand contract. Where seeds come from prevrandao, nothing has to be brought`])
  }
}
