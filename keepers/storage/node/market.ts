import { IFlow__factory, type IStorageMarket, IStorageMarket__factory } from '../../../typechain-types/index.ts'
import { type Chain, shortMessage } from '../../runtime/chain.ts'
import { ConfigError } from '../../runtime/config.ts'

export interface Market {
  address: string
  /** Undefined where the market sells storage once and for all. */
  leases: IStorageMarket | undefined
}

/** The market that a Flow contract charges through. @throws ConfigError when there is no Flow contract at the address */
export async function marketOf({ provider, chainId }: Chain, flow: string): Promise<Market> {
  if ((await provider.getCode(flow)) === '0x') throw new ConfigError([`flow is ${flow}: there is no contract at this address on chain ${chainId}`])
  const address = await IFlow__factory.connect(flow, provider)
    .market()
    .catch((error) => {
      throw new ConfigError([`flow is ${flow}: the contract there does not name a market (${shortMessage(error)})`])
    })
  const market = IStorageMarket__factory.connect(address, provider)
  const leases = await market.gracePeriod().then(
    () => market,
    (error) => {
      if (error.code === 'CALL_EXCEPTION' || error.code === 'BAD_DATA') return undefined
      throw error
    },
  )
  return { address, leases }
}
