import { pino } from 'pino'
import { type Chain, type ChainOptions, startChain } from './chain.ts'
import { answerParent } from './child.ts'

export type ChainRequest = Required<Pick<ChainOptions, 'journal' | 'port' | 'blockTime'>>
export type ChainAnswer = Pick<Chain, 'url' | 'chainId' | 'accounts'> | { failure: string }

let chain: Chain | undefined

answerParent<ChainRequest, ChainAnswer>(
  async (request) => {
    try {
      chain = await startChain({ ...request, log: pino() })
      return { url: chain.url, chainId: chain.chainId, accounts: chain.accounts }
    } catch (error) {
      return { failure: (error as Error).message }
    }
  },
  async () => chain?.stop(),
)
